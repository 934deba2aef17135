// What a repository must hold, and how it differs from that.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace pawl::test {

/// The tasks of one repository: what is asked for, in order in each stream.
class Model {
 public:
  /// `name` makes the Idempotency-Keys differ from those of other repositories.
  Model(std::string name, unsigned tasks, unsigned streams, std::uint64_t seed);

  [[nodiscard]] const std::string& input() const noexcept { return input_; }  // in the batch format
  [[nodiscard]] std::size_t tasks() const noexcept { return tasks_; }
  /// The Idempotency-Key of a task, which its input line names.
  [[nodiscard]] std::string key_of(const std::string& stream, const std::string& id) const;

  struct Difference {
    std::uint64_t lost = 0;          // asked for, not committed
    std::uint64_t twice = 0;         // committed more than once
    std::uint64_t wrong = 0;         // committed with another request, or never asked for
    std::uint64_t out_of_order = 0;  // records or their commits, against the order of the stream
    std::vector<std::string> notes;  // what and where
    [[nodiscard]] bool none() const noexcept { return lost + twice + wrong + out_of_order == 0; }
  };
  enum class Expect : std::uint8_t { all, only_these };
  /// Compares with the branch and the files of a repository. With `only_these` just the tasks with `keys` must be
  /// there.
  [[nodiscard]] Difference compare(const std::filesystem::path& repo, Expect expect = Expect::all,
                                   const std::set<std::string>& keys = {}) const;

 private:
  std::string name_;
  std::string input_;
  std::size_t tasks_ = 0;
  std::map<std::string, std::vector<std::string>> asked_;                // stream → ids
  std::map<std::pair<std::string, std::string>, std::string> requests_;  // (stream, id) → body
};

}  // namespace pawl::test
