// Distribution of durations in constant memory: 32 buckets per power of two of microseconds, so a percentile is at
// most 4 % too high. One thread records, any thread reads; a reader may miss the newest records, which is harmless.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <span>

#include <pawl/http.h>

namespace pawl::http {

class LatencyHistogram {
 public:
  /// Recording thread only.
  void record(std::chrono::steady_clock::duration duration) noexcept {
    const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
    const std::uint64_t value = count > 0 ? static_cast<std::uint64_t>(count) : 0;
    bump(counts_[bucket(value)]);
    sum_us_.store(sum_us_.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);  // as in bump()
    if (value > max_.load(std::memory_order_relaxed)) max_.store(value, std::memory_order_relaxed);
  }

  /// Milliseconds that `share` (0 … 1) of the records do not exceed; 0 if there are none. Any thread.
  [[nodiscard]] double percentile_ms(double share) const noexcept {
    const LatencyHistogram* const self = this;
    return percentile_ms({&self, 1}, share);
  }
  /// The same of the records of several.
  [[nodiscard]] static double percentile_ms(std::span<const LatencyHistogram* const> all, double share) noexcept {
    std::uint64_t total = 0;
    double most = 0;
    for (const auto* one : all) {
      for (const auto& count : one->counts_) total += count.load(std::memory_order_relaxed);
      most = std::max(most, one->max_ms());
    }
    if (total == 0) return 0;
    auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total));
    if (wanted >= total) wanted = total - 1;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      for (const auto* one : all) seen += one->counts_[i].load(std::memory_order_relaxed);
      if (seen > wanted) return std::min(static_cast<double>(upper_bound(i)) / 1000, most);
    }
    return most;
  }
  [[nodiscard]] double max_ms() const noexcept {
    return static_cast<double>(max_.load(std::memory_order_relaxed)) / 1000;
  }

  /// Adds the records to `times`. Any thread.
  void add_to(AttemptTimes& times) const noexcept {
    std::uint64_t seen = 0;
    std::size_t i = 0;
    for (std::size_t bound = 0; bound < kAttemptBounds.size(); ++bound) {
      const auto most = static_cast<std::uint64_t>(std::llround(kAttemptBounds[bound] * 1e6));
      for (; i < kBuckets && upper_bound(i) <= most; ++i) seen += counts_[i].load(std::memory_order_relaxed);
      times.at_most[bound] += seen;
    }
    for (; i < kBuckets; ++i) seen += counts_[i].load(std::memory_order_relaxed);
    times.count += seen;
    times.sum_s += static_cast<double>(sum_us_.load(std::memory_order_relaxed)) / 1e6;
  }

 private:
  static constexpr unsigned kSubBits = 5;
  static constexpr unsigned kOctaves = 35;  // up to 2^39 µs, six days

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
  static void bump(std::atomic<std::uint64_t>& count) noexcept {
    // relaxed, and no read-modify-write: one thread writes
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  static constexpr std::size_t kBuckets = std::size_t{kOctaves + 1} << kSubBits;
  std::array<std::atomic<std::uint64_t>, kBuckets> counts_{};
  std::atomic<std::uint64_t> max_{0};
  std::atomic<std::uint64_t> sum_us_{0};
};

}  // namespace pawl::http
