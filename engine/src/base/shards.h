// Shards of the things that producers write at every submit: one for each, as long as there are enough.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pawl {

/// Numbers 0 … kShared - 1 are lent to one holder at a time; who comes when all are lent shares kShared.
template <template <class> class Atom = std::atomic>
class Shards {
 public:
  static constexpr std::size_t kShared = 63;

  /// Any thread; lock-free.
  [[nodiscard]] std::size_t take() noexcept {
    std::uint64_t free = free_.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    while (free != 0) {
      // acquire [H1]: what the last holder wrote without read-modify-write is seen
      if (free_.compare_exchange_weak(free, free & (free - 1), std::memory_order_acquire, std::memory_order_relaxed))
        return static_cast<std::size_t>(std::countr_zero(free));
    }
    return kShared;
  }
  void give(std::size_t shard) noexcept {
    if (shard != kShared) free_.fetch_or(1ull << shard, std::memory_order_release);  // release [H1]
  }

 private:
  Atom<std::uint64_t> free_{(1ull << kShared) - 1};  // bit i: shard i is lent to nobody
};

}  // namespace pawl
