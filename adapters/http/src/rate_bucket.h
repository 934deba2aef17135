// A token bucket as one point in time: when it will be full again. Whether so many may be taken now, and if not, when,
// follows from that by arithmetic; there is no timer and nothing to refill.
//
// More than the burst may be taken once the bucket is full; it then owes. What turns out to have cost more or less than
// was taken is corrected afterwards, so the rate holds in the long run whatever was estimated.
#pragma once

#include <algorithm>
#include <chrono>

#include <pawl/http.h>

namespace pawl::http {

class RateBucket {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Longest time that a bucket's debt is believed to take.
  static constexpr std::chrono::hours kDebtMax{24};

  /// Limits nothing.
  RateBucket() = default;
  explicit RateBucket(const Rate& rate) noexcept {
    if (rate.count <= 0) return;
    const double per_second = rate.count * 1000 / static_cast<double>(rate.per.count());
    each_ns_ = 1e9 / per_second;
    burst_ = rate.burst > 0 ? rate.burst : std::max(1.0, per_second);
  }

  /// Nothing is saved up as of `now`.
  void empty(Time now) noexcept { full_at_ = now + cost(burst_); }

  [[nodiscard]] bool limited() const noexcept { return each_ns_ > 0; }

  /// The earliest time, `now` or later, at which `amount` may be taken.
  [[nodiscard]] Time ready_at(double amount, Time now) const noexcept {
    if (!limited()) return now;
    return std::max(now, full_at_ - cost(burst_ - std::min(amount, burst_)));
  }
  void take(double amount, Time now) noexcept {
    if (!limited()) return;
    full_at_ = std::min(std::max(full_at_, now) + cost(amount), now + kDebtMax);
  }
  /// What was taken proved to be `amount` too little, or too much if negative.
  void correct(double amount, Time now) noexcept {
    if (amount >= 0) return take(amount, now);
    if (limited()) full_at_ -= cost(-amount);
  }

 private:
  [[nodiscard]] std::chrono::nanoseconds cost(double amount) const noexcept {
    constexpr double kMost = 86'400e9;
    return std::chrono::nanoseconds(static_cast<std::chrono::nanoseconds::rep>(std::min(amount * each_ns_, kMost)));
  }

  double each_ns_ = 0;  // 0: not limited
  double burst_ = 0;
  Time full_at_{};
};

}  // namespace pawl::http
