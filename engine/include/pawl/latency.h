// Distribution of durations in constant memory, and what can be told of it.
//
// 32 buckets per power of two of microseconds, so a percentile is at most 4 % too high. Recording costs a few plain
// stores, so a stage may do it for every batch. When not to use it: from several threads at once (give each its own and
// look at them together), or for durations of less than a microsecond.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>

namespace pawl {

/// Bounds of Latency::at_most, in seconds.
inline constexpr std::array<double, 21> kLatencyBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                          0.025,  0.05,    0.1,    0.25,  0.5,    1,     2.5,
                                                          5,      10,      25,     60,    120,    300,   600};

/// What histograms told at one instant.
struct Latency {
  double p50_ms = 0;  // 50 % took at most so long: upper bound of the bucket, at most 4 % too high; 0 before the first
  double p90_ms = 0;
  double p99_ms = 0;
  double p999_ms = 0;  // 99.9 %
  double max_ms = 0;
  /// How many took at most so long; each counts all the ones before it, too. A bound is met to within 4 %: those just
  /// below it may be missing.
  std::array<std::uint64_t, kLatencyBounds.size()> at_most{};
  std::uint64_t count = 0;
  double sum_s = 0;
};

/// One thread records, any thread reads; a reader may miss the newest records, which is harmless.
class LatencyHistogram {
 public:
  using Clock = std::chrono::steady_clock;

  /// `times` records of one duration. Recording thread only; wait-free.
  void record(Clock::duration duration, std::uint64_t times = 1) noexcept {
    const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
    const std::uint64_t value = count > 0 ? static_cast<std::uint64_t>(count) : 0;
    add(counts_[bucket(value)], times);
    add(sum_us_, value * times);
    if (value > max_.load(std::memory_order_relaxed)) max_.store(value, std::memory_order_relaxed);  // as in add()
  }

  /// Records a batch that ends at `now`; `begun(item)` says when an item began. Neighbours that began together, as
  /// those that were handed over together did, cost one record. Recording thread only; wait-free.
  template <class Items, class Begun>
  void record_batch(const Items& items, Clock::time_point now, Begun&& begun) noexcept {
    for (auto first = std::begin(items); first != std::end(items);) {
      const Clock::time_point since = begun(*first);
      const auto end =
          std::find_if(std::next(first), std::end(items), [&](const auto& item) { return begun(item) != since; });
      record(now - since, static_cast<std::uint64_t>(std::distance(first, end)));
      first = end;
    }
  }

  /// What it holds. Any thread.
  [[nodiscard]] Latency look() const noexcept {
    const LatencyHistogram* const self = this;
    return look_at({&self, 1});
  }
  /// What they hold together.
  [[nodiscard]] static Latency look_at(std::span<const LatencyHistogram* const> all) noexcept {
    std::array<std::uint64_t, kBuckets> counts{};
    std::uint64_t sum_us = 0;
    Latency seen;
    for (const auto* one : all) {
      // relaxed: statistics
      for (std::size_t i = 0; i < kBuckets; ++i) counts[i] += one->counts_[i].load(std::memory_order_relaxed);
      sum_us += one->sum_us_.load(std::memory_order_relaxed);
      seen.max_ms = std::max(seen.max_ms, static_cast<double>(one->max_.load(std::memory_order_relaxed)) / 1000);
    }
    for (const std::uint64_t count : counts) seen.count += count;
    seen.sum_s = static_cast<double>(sum_us) / 1e6;
    seen.p50_ms = percentile_ms(counts, seen, 0.5);
    seen.p90_ms = percentile_ms(counts, seen, 0.9);
    seen.p99_ms = percentile_ms(counts, seen, 0.99);
    seen.p999_ms = percentile_ms(counts, seen, 0.999);
    std::uint64_t up_to = 0;
    std::size_t i = 0;
    for (std::size_t bound = 0; bound < kLatencyBounds.size(); ++bound) {
      const auto most = static_cast<std::uint64_t>(std::llround(kLatencyBounds[bound] * 1e6));
      for (; i < kBuckets && upper_bound(i) <= most; ++i) up_to += counts[i];
      seen.at_most[bound] = up_to;
    }
    return seen;
  }

 private:
  static constexpr unsigned kSubBits = 5;
  static constexpr unsigned kOctaves = 35;  // up to 2^39 µs, six days
  static constexpr std::size_t kBuckets = std::size_t{kOctaves + 1} << kSubBits;

  static std::size_t bucket(std::uint64_t value) noexcept {
    if (value < (1u << kSubBits)) return value;
    const unsigned octave = static_cast<unsigned>(std::bit_width(value)) - kSubBits - 1;
    if (octave >= kOctaves) return kBuckets - 1;
    return ((octave + 1) << kSubBits) + ((value >> octave) & ((1u << kSubBits) - 1));
  }
  static std::uint64_t upper_bound(std::size_t bucket) noexcept {
    if (bucket < (1u << kSubBits)) return bucket;
    const std::size_t octave = (bucket >> kSubBits) - 1;
    const std::uint64_t low = (1u << kSubBits) + (bucket & ((1u << kSubBits) - 1));
    return ((low + 1) << octave) - 1;
  }
  /// Milliseconds that `share` (0 … 1) of the records do not exceed.
  static double percentile_ms(const std::array<std::uint64_t, kBuckets>& counts, const Latency& all,
                              double share) noexcept {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(all.count));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts[i];
      if (seen > wanted) return std::min(static_cast<double>(upper_bound(i)) / 1000, all.max_ms);
    }
    return all.max_ms;
  }
  static void add(std::atomic<std::uint64_t>& count, std::uint64_t times) noexcept {
    // relaxed, and no read-modify-write: one thread writes
    count.store(count.load(std::memory_order_relaxed) + times, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, kBuckets> counts_{};  // all three: written by one thread, read by any
  std::atomic<std::uint64_t> max_{0};
  std::atomic<std::uint64_t> sum_us_{0};
};

}  // namespace pawl
