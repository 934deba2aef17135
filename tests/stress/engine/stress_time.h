// How long a stress runs, and its seed.
#pragma once

#include <chrono>
#include <cstdlib>

#include "stage_doubles.h"

namespace pawl::test {

inline std::chrono::steady_clock::time_point stress_end() {
  const char* given = std::getenv("PAWL_STRESS_SECONDS");
  const double seconds = given != nullptr ? std::strtod(given, nullptr) : 5.0;
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace pawl::test
