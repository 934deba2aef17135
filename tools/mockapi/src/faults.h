// What befalls a call: its latency and its fault, decided when the request has arrived, before anything waits.
//
// A pure function of options, seed and the order of arrival (and, for the rate limit, of the time given in), so that
// tests need no network and no clock. Every call draws the same number of values: changing one rate does not shift
// what other calls get.
#pragma once

#include <chrono>
#include <cstdint>

#include <pawl/mockapi.h>

#include "random.h"

namespace pawl::mockapi {

using Clock = std::chrono::steady_clock;

enum class Fault : std::uint8_t { none, rate_limited, dropped, error, truncated, slow };

struct Plan {
  Fault fault = Fault::none;
  int error_code = 0;                        // of `error`
  double delay_ms = 0;                       // 0 for rate_limited: a real limiter answers at once
  std::chrono::milliseconds retry_after{0};  // of `rate_limited`, and of an `error` 429
};

class FaultPlanner {
 public:
  /// `options` have been validated.
  explicit FaultPlanner(const Options& options);

  /// The plan for a call that arrived at `now`. Times must not run backwards.
  [[nodiscard]] Plan next(Clock::time_point now) noexcept;

 private:
  [[nodiscard]] double draw_delay_ms() noexcept;
  [[nodiscard]] bool take_token(Clock::time_point now) noexcept;
  [[nodiscard]] std::chrono::milliseconds retry_after() const noexcept;

  Options options_;
  Random random_;
  double tokens_ = 0;  // of the rate limit
  Clock::time_point filled_at_{};
};

}  // namespace pawl::mockapi
