// Latencies of single calls: a clock that costs little and a log-linear histogram.
//
// The clock is the time-stamp counter where there is one (x86-64 with an invariant counter), else the steady clock.
// What two readings in a row cost is in every sample and is reported beside the figures as `clock`.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <benchmark/benchmark.h>

namespace pawl::bench {

/// Ticks of unspecified length; see seconds_per_tick(). Read after everything before has been done.
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  _mm_lfence();  // without it the counter may be read while loads before it are still under way
  return __rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

inline double seconds_per_tick() {
  static const double value = [] {
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    const std::uint64_t first = ticks();
    while (Clock::now() - begin < std::chrono::milliseconds(20)) {
    }
    const std::uint64_t last = ticks();
    return std::chrono::duration<double>(Clock::now() - begin).count() / static_cast<double>(last - first);
  }();
  return value;
}

/// Counts values in buckets that are at most 1/32 wide, relative to the value. One writer.
class Histogram {
 public:
  void add(std::uint64_t value) noexcept {
    ++buckets_[index_of(value)];
    ++count_;
    most_ = std::max(most_, value);
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t most() const noexcept { return most_; }

  /// The least value that at least `share` of all are not above, rounded up to its bucket's end.
  [[nodiscard]] std::uint64_t quantile(double share) const noexcept {
    const double wanted = share * static_cast<double>(count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) return std::min(end_of(i), most_);
    }
    return most_;
  }

  /// Sets `<name>p50`, `p99`, `p999` and `max`, in seconds. The values must be ticks.
  void report(benchmark::State& state, const char* name = "") const {
    const auto set = [&](const char* what, std::uint64_t value) {
      state.counters[std::string(name) + what] = static_cast<double>(value) * seconds_per_tick();
    };
    set("p50", quantile(0.5));
    set("p99", quantile(0.99));
    set("p999", quantile(0.999));
    set("max", most_);
  }

 private:
  static constexpr unsigned kBits = 5;  // 32 buckets to a power of two
  static constexpr std::size_t kLinear = std::size_t{1} << kBits;

  static std::size_t index_of(std::uint64_t value) noexcept {
    if (value < kLinear) return value;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return kLinear * shift + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t end_of(std::size_t index) noexcept {
    if (index < 2 * kLinear) return index;
    const std::size_t shift = index / kLinear - 1;
    return ((static_cast<std::uint64_t>(index - kLinear * shift) + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kLinear * (64 - kBits + 1)> buckets_{};
  std::uint64_t count_ = 0, most_ = 0;
};

/// Sets `clock`: what a sample of nothing at all would be (the median of many).
inline void report_clock(benchmark::State& state) {
  Histogram nothing;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t begin = ticks();
    benchmark::ClobberMemory();
    nothing.add(ticks() - begin);
  }
  state.counters["clock"] = static_cast<double>(nothing.quantile(0.5)) * seconds_per_tick();
}

}  // namespace pawl::bench
