// How many calls at once a lane bears: finds the knee, the concurrency beyond which more calls only wait in the server,
// and follows it when it moves.
//
// Beyond the knee latency grows in proportion to the calls in flight, and below it does not grow at all; so the knee is
// the calls in flight, divided by how many times longer than without a queue they take (Little's law). The limit
// doubles until latency rises, goes to the knee found, and then pokes a little above it and now and then below it. Each
// step down is an experiment too: if latency does not fall with it, there was no queue, and what has changed is the
// server's own time, which is then learnt anew. A refusal for overload (429, 503, a time-out) takes three tenths off.
//
// A pure function of the samples and their times; no clock, no thread. When not to use it: for a server that limits by
// rate and not by concurrency; its answers (429, Retry-After) say more than its latency.
#pragma once

#include <chrono>
#include <cstdint>

namespace pawl::http {

class Adaptive {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr unsigned kFirstLimit = 2;

  /// `most`: largest limit, at least 1.
  explicit Adaptive(unsigned most) noexcept;

  /// Calls at once, 1 … most.
  [[nodiscard]] unsigned limit() const noexcept;

  /// Largest limit from now on, at least 1.
  void set_most(unsigned most) noexcept;

  enum class Ended : std::uint8_t {
    answered,    // its latency counts
    overloaded,  // the server said, or showed, that this was too much
    otherwise,   // tells nothing
  };
  struct Sample {
    Ended how = Ended::answered;
    Time began{};
    unsigned in_flight = 1;  // when it ended, itself included
  };
  void ended(const Sample& sample, Time now) noexcept;

 private:
  /// What has been seen under the present limit, by calls that began under it.
  struct Window {
    Time opened{};
    std::uint64_t count = 0;
    double sum_s = 0, squares = 0;  // of latencies
    double in_flight_sum = 0;
    unsigned in_flight_max = 0;
    [[nodiscard]] double mean_s() const noexcept { return sum_s / static_cast<double>(count); }
    /// Standard error of the mean, as a share of it.
    [[nodiscard]] double error() const noexcept;
  };
  enum class Phase : std::uint8_t {
    doubling,  // until latency rises
    steady,
    lowered,  // one window below the knee, to see whether the base is still right
  };

  [[nodiscard]] bool enough(Time now) const noexcept;
  void decide(Time now) noexcept;
  void grow(Time now) noexcept;
  void settle(double in_flight, double latency_s, double error, Time now) noexcept;
  void set_limit(double limit, Time now) noexcept;

  double most_;
  double limit_;
  double base_s_ = 0;  // latency without a queue; 0: not known
  double growth_;      // factor of the next step up
  unsigned windows_ = 0;
  Phase phase_ = Phase::doubling;
  double before_lowering_ = 0;        // the limit to return to
  double top_limit_ = 0, top_s_ = 0;  // where the present run of steps down began; 0: none
  double top_in_flight_ = 0;
  double grown_from_ = 0, grown_s_ = 0;  // calls in flight, and latency, before the step up just made; 0: none
  Time shrunk_at_{};
  Time first_opened_{};
  Window window_;
};

}  // namespace pawl::http
