#include "faults.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pawl::mockapi {

FaultPlanner::FaultPlanner(const Options& options)
    : options_(options), random_(options.seed), tokens_(std::max(1.0, options.rate_limit_per_s)) {}

Plan FaultPlanner::next(Clock::time_point now) noexcept {
  const double share = random_.unit();
  const std::uint64_t pick = random_.bits();
  Plan plan;
  plan.delay_ms = draw_delay_ms();
  if (options_.rate_limit_per_s > 0 && !take_token(now)) {
    plan.fault = Fault::rate_limited;
    plan.delay_ms = 0;
    plan.retry_after = retry_after();
    return plan;
  }
  double upto = options_.drop_rate;
  if (share < upto) {
    plan.fault = Fault::dropped;
  } else if (share < (upto += options_.error_rate)) {
    plan.fault = Fault::error;
    plan.error_code = options_.error_codes[pick % options_.error_codes.size()];
    plan.retry_after = options_.retry_after.value_or(std::chrono::milliseconds{0});
  } else if (share < (upto += options_.truncate_rate)) {
    plan.fault = Fault::truncated;
  } else if (share < upto + options_.slow_rate) {
    plan.fault = Fault::slow;
  }
  return plan;
}

double FaultPlanner::draw_delay_ms() noexcept {
  constexpr double kLongestMs = 86'400'000;  // the tail of a wide lognormal must still fit a clock
  const double first = random_.unit();
  const double second = random_.unit();
  const Latency& latency = options_.latency;
  switch (latency.kind) {
    case Latency::Kind::fixed: return latency.mean_ms;
    case Latency::Kind::uniform: return latency.mean_ms + latency.spread * (2 * first - 1);
    case Latency::Kind::lognormal: {
      if (latency.mean_ms <= 0) return 0;
      // Box and Muller; 1 - first is never zero. The mean of exp(N(mu, sigma)) is exp(mu + sigma²/2).
      const double normal = std::sqrt(-2 * std::log(1 - first)) * std::cos(2 * std::numbers::pi * second);
      const double sigma = latency.spread;
      return std::min(kLongestMs, latency.mean_ms * std::exp(sigma * normal - sigma * sigma / 2));
    }
  }
  return 0;
}

bool FaultPlanner::take_token(Clock::time_point now) noexcept {
  if (filled_at_ != Clock::time_point{}) {
    const double passed_s = std::chrono::duration<double>(now - filled_at_).count();
    const double room = std::max(1.0, options_.rate_limit_per_s);
    tokens_ = std::min(room, tokens_ + passed_s * options_.rate_limit_per_s);
  }
  filled_at_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

std::chrono::milliseconds FaultPlanner::retry_after() const noexcept {
  if (options_.retry_after) return *options_.retry_after;
  const double wait_ms = std::min(86'400'000.0, std::ceil((1 - tokens_) / options_.rate_limit_per_s * 1000));
  return std::chrono::milliseconds{static_cast<std::int64_t>(wait_ms)};
}

}  // namespace pawl::mockapi
