// Whether an origin is called at all: a circuit breaker. Failures in a row open it, then one call at a time asks
// whether the host is back, later and later, and the first that is answered closes it.
//
// Pure: a function of what ended how, and when. It holds calls back and fails none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <pawl/http.h>

namespace pawl::http {

class Breaker {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Policy {
    unsigned failures_max = 0;           // in a row; 0: never opens
    std::chrono::milliseconds delay{0};  // from opening to the first probe; doubles with each that fails
    std::chrono::milliseconds delay_max{0};
  };
  enum class Verdict : std::uint8_t {
    good,     // the host works
    bad,      // it does not
    neither,  // nothing is known
  };
  enum class Change : std::uint8_t { none, opened, reopened, closed };

  [[nodiscard]] BreakerState state() const noexcept { return state_; }
  /// When the next call may leave: `now`, later, or Time::max() while a probe is on its way.
  [[nodiscard]] Time opens_at(Time now) const noexcept {
    if (state_ == BreakerState::closed) return now;
    return state_ == BreakerState::half_open ? Time::max() : std::max(now, until_);
  }
  /// A call leaves, which opens_at() allowed. True: it is the probe.
  bool started() noexcept {
    if (state_ == BreakerState::closed) return false;
    state_ = BreakerState::half_open;
    return true;
  }
  /// The probe has not left after all, or told nothing: another may.
  void probe_lost() noexcept {
    if (state_ == BreakerState::half_open) state_ = BreakerState::open;
  }
  /// A call ended. `random` in [0, 1) spreads probes over a quarter of their delay.
  enum class Role : std::uint8_t { ordinary, probe };
  Change ended(const Policy& policy, Verdict verdict, Role role, double random, Time now) noexcept {
    if (verdict == Verdict::good) {
      failures_ = 0;
      trips_ = 0;
      if (state_ == BreakerState::closed) return Change::none;
      state_ = BreakerState::closed;
      return Change::closed;
    }
    if (verdict == Verdict::neither) {
      if (role == Role::probe) probe_lost();
      return Change::none;
    }
    ++failures_;
    if (state_ == BreakerState::closed) {
      if (policy.failures_max == 0 || failures_ < policy.failures_max) return Change::none;
      down_since_ = now;
      open(policy, random, now);
      return Change::opened;
    }
    if (role != Role::probe) return Change::none;
    open(policy, random, now);
    return Change::reopened;
  }

  /// Failures since the last good call.
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
  /// How often it opened since it was closed last; 0: it is closed.
  [[nodiscard]] unsigned trips() const noexcept { return trips_; }
  /// When it opened, or opened last. REQUIRES: it is not closed.
  [[nodiscard]] Time down_since() const noexcept { return down_since_; }
  [[nodiscard]] Time until() const noexcept { return until_; }

 private:
  static constexpr unsigned kTripsMax = 64;  // what the delay can double at all

  void open(const Policy& policy, double random, Time now) noexcept {
    auto delay = policy.delay;
    for (unsigned i = 0; i < trips_ && delay < policy.delay_max && delay.count() > 0; ++i) delay *= 2;
    delay = std::min(delay, policy.delay_max);
    trips_ = trips_ < kTripsMax ? trips_ + 1 : kTripsMax - 1;  // by turns odd and even
    state_ = BreakerState::open;
    until_ = now + delay - std::chrono::duration_cast<std::chrono::nanoseconds>(delay * random / 4);
  }

  BreakerState state_ = BreakerState::closed;
  unsigned trips_ = 0;
  std::uint64_t failures_ = 0;
  Time down_since_{};
  Time until_{};
};

}  // namespace pawl::http
