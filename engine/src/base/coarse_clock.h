// Times that need not be exact. coarse_now(): the steady clock to within one tick of the system's timer (1 to 10 ms),
// for a fraction of the cost: for time stamps of batches that only a watchdog reads.
#pragma once

#include <chrono>
#include <ctime>

namespace pawl {

inline std::chrono::milliseconds coarse_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::seconds(now.tv_sec) +
                                                               std::chrono::nanoseconds(now.tv_nsec));
}

/// The time on the steady clock after `wait`; the end of time if that is too far away to be told.
inline std::chrono::steady_clock::time_point time_in(std::chrono::milliseconds wait) noexcept {
  using Clock = std::chrono::steady_clock;
  const auto now = Clock::now();
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::time_point::max() - now);
  return wait < left ? now + wait : Clock::time_point::max();
}

}  // namespace pawl
