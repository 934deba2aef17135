// What must not come out again: credentials that the stage sends, put out of sight wherever a server or libcurl repeats
// them. They are looked for as they stand, not encoded in another way.
//
// When not to use it: as a reason to let secrets go where they need not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/http.h>

namespace pawl::http {

class Secrets {
 public:
  /// Shorter ones would be found by chance: answers keep them.
  static constexpr std::size_t kLeastInAnswers = 8;
  static constexpr std::string_view kInstead = "[secret]";

  Secrets() = default;
  /// Reads the environment for proxies.
  explicit Secrets(const Options& options);

  /// In what a server said.
  void hide_in_answer(Outcome& outcome) const;
  /// In a sentence for a person: proxies' credentials too, and whatever stands in a URL where credentials do.
  void hide_in_message(std::string& text) const;

 private:
  std::vector<std::string> sent_;     // to origins; longest first, as one may hold another
  std::vector<std::string> proxies_;  // user names with passwords, and passwords; as above
};

}  // namespace pawl::http
