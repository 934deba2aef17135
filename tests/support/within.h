// How long a test lets something take that is promised within a time. The promise is for a machine with nothing else
// to do; a test also runs on a slow one, beside others and under sanitizers, and there it may take ten times as long.
// PAWL_TIME_FACTOR=1 holds it to its word. Not for a time that must pass before something: that is never too long.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace pawl::test {

inline std::chrono::milliseconds within(std::chrono::milliseconds promise) {
  const char* given = std::getenv("PAWL_TIME_FACTOR");
  return promise * (given != nullptr ? std::max(1L, std::strtol(given, nullptr, 10)) : 10L);
}

}  // namespace pawl::test
