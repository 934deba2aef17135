#include "adaptive.h"

#include <algorithm>
#include <cmath>

namespace pawl::http {

namespace {

constexpr std::uint64_t kCountLeast = 8;   // samples of a window, and at least as many as there are calls at once
constexpr std::uint64_t kCountMost = 400;  // more are not waited for, however they scatter
constexpr double kScatter = 0.04;          // standard error of a window's mean, as a share of it, that is good enough
constexpr double kWindowLeast_s = 0.05;    // shorter ones see how this machine schedules
constexpr double kWindowMost_s = 3;        // longer ones are ended if they have their samples
constexpr double kQueued = 1.25;           // latency, as a multiple of the base, that shows a queue
constexpr double kHeadroom = 1.05;         // limit at the knee, and one more: a place must not wait for its next call
constexpr double kGrowthLeast = 1.1;
constexpr double kGrowthMost = 2;
constexpr double kOverload = 0.7;
constexpr double kLowering = 0.7;
constexpr unsigned kLoweringEvery = 16;  // windows
constexpr double kBusy = 0.8;            // share of the limit in flight below which nothing is learnt about it

double seconds(std::chrono::steady_clock::duration duration) noexcept {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Adaptive::Adaptive(unsigned most) noexcept
    : most_(std::max(1u, most)), limit_(std::min<double>(kFirstLimit, most_)), growth_(kGrowthLeast) {}

void Adaptive::set_most(unsigned most) noexcept {
  most_ = std::max(1u, most);
  limit_ = std::min(limit_, most_);
}

unsigned Adaptive::limit() const noexcept { return static_cast<unsigned>(limit_); }

void Adaptive::set_limit(double limit, Time now) noexcept {
  limit_ = std::clamp(limit, 1.0, most_);
  window_ = {.opened = now};
}

void Adaptive::ended(const Sample& sample, Time now) noexcept {
  if (sample.how == Ended::otherwise) return;
  if (sample.how == Ended::overloaded) {
    if (sample.began <= shrunk_at_) return;  // it went out before the last step down
    shrunk_at_ = now;
    phase_ = Phase::steady;
    growth_ = kGrowthLeast;
    top_limit_ = 0;
    return set_limit(kOverload * std::min(limit_, static_cast<double>(sample.in_flight)), now);
  }
  if (window_.opened == Time{}) window_.opened = first_opened_ = sample.began;
  if (sample.began <= window_.opened && window_.opened != first_opened_) return;
  const double latency_s = seconds(now - sample.began);
  ++window_.count;
  window_.sum_s += latency_s;
  window_.squares += latency_s * latency_s;
  window_.in_flight_sum += sample.in_flight;
  window_.in_flight_max = std::max(window_.in_flight_max, sample.in_flight);
  if (enough(now)) decide(now);
}

bool Adaptive::enough(Time now) const noexcept {
  const auto count = static_cast<double>(window_.count);
  const double elapsed_s = seconds(now - window_.opened);
  if (window_.count < kCountLeast || count < std::floor(limit_) || elapsed_s < kWindowLeast_s) return false;
  if (window_.count >= kCountMost || elapsed_s >= kWindowMost_s) return true;
  return window_.error() <= kScatter;
}

double Adaptive::Window::error() const noexcept {
  const auto samples = static_cast<double>(count);
  const double mean = mean_s();
  return mean > 0 ? std::sqrt(std::max(0.0, squares / samples - mean * mean) / samples) / mean : 0;
}

void Adaptive::decide(Time now) noexcept {
  const double latency_s = window_.mean_s();
  const double in_flight = window_.in_flight_sum / static_cast<double>(window_.count);
  ++windows_;
  if (base_s_ <= 0) base_s_ = latency_s;
  const double error = window_.error();
  if (latency_s * (1 + error) < base_s_) base_s_ += (latency_s - base_s_) / 2;
  const bool busy = in_flight >= kBusy * std::floor(limit_) && window_.in_flight_max >= std::floor(limit_);
  if (phase_ == Phase::lowered) {
    phase_ = Phase::steady;
    if (busy && latency_s < kQueued * base_s_) base_s_ += (latency_s - base_s_) / 2;
    if (latency_s < kQueued * base_s_) return set_limit(before_lowering_, now);
  }
  if (!busy) return set_limit(limit_, now);
  settle(in_flight, latency_s, error, now);
}

void Adaptive::settle(double in_flight, double latency_s, double error, Time now) noexcept {
  if (grown_from_ > 0) {
    // Latency rose with the limit, from where there seemed to be no queue: there was one, and the base is too long.
    const double ratio = in_flight / grown_from_;
    if (ratio > 1.15 && grown_s_ < 1.03 * base_s_ && latency_s > grown_s_ * (1 + 0.8 * (ratio - 1))) base_s_ *= 0.8;
    grown_from_ = 0;
  }
  if (top_limit_ > 0 && latency_s > 1.1 * top_s_) {
    top_s_ = latency_s;  // it is still on its way up
    top_in_flight_ = in_flight;
  } else if (top_limit_ > 0) {
    // Latency fell by less than half of what it would have fallen by, had there been a queue: there was none.
    const double expected_s = top_s_ * in_flight / top_in_flight_;
    if (expected_s < top_s_ && latency_s > (top_s_ + expected_s) / 2 && in_flight < 0.9 * top_in_flight_) {
      base_s_ = latency_s;
      const double limit = top_limit_;
      top_limit_ = 0;
      return set_limit(limit, now);
    }
  }
  const double queued = latency_s / base_s_;
  if (queued > kQueued + 2 * error) {
    if (top_limit_ <= 0) {
      top_limit_ = limit_;
      top_s_ = latency_s;
      top_in_flight_ = in_flight;
    }
    phase_ = Phase::steady;
    growth_ = kGrowthLeast;
    return set_limit(kHeadroom * in_flight / queued + 1, now);
  }
  top_limit_ = 0;
  if (phase_ == Phase::doubling) return set_limit(2 * limit_, now);
  if (windows_ % kLoweringEvery == 0 && limit_ > 2) {
    phase_ = Phase::lowered;
    before_lowering_ = limit_;
    return set_limit(kLowering * limit_, now);
  }
  grown_from_ = in_flight;
  grown_s_ = latency_s;
  grow(now);
}

void Adaptive::grow(Time now) noexcept {
  const double limit = std::max(limit_ + 1, limit_ * growth_);
  growth_ = std::min(kGrowthMost, 1 + 2 * (growth_ - 1));
  set_limit(limit, now);
}

}  // namespace pawl::http
