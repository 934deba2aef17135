// The API of a crash test: pawl-mockapi as a process of its own, which outlives every kill of pawl and counts the calls
// of each Idempotency-Key.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "process.h"

namespace pawl::test {

struct CallCount {
  std::uint64_t calls = 0;
  std::uint64_t answered = 0;  // with 2xx
  bool operator==(const CallCount&) const = default;
};
using CallCounts = std::map<std::string, CallCount>;  // by Idempotency-Key

class ApiProcess {
 public:
  /// Starts it, with latencies and failures; fails the test if it does not come up.
  explicit ApiProcess(std::uint64_t seed);
  [[nodiscard]] std::string base_url() const;
  /// Counts of each key since the last reset().
  [[nodiscard]] CallCounts counts() const;
  void reset() const;

 private:
  [[nodiscard]] std::string ask(const std::string& request) const;

  TempDir folder_;
  Process process_;
  std::string port_;
};

}  // namespace pawl::test
