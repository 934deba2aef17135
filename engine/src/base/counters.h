// Monotonic counters for status: many writers that do not disturb each other, one reader that adds up.
//
// Not for decisions: a sum is exact only when the writers rest.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/cache_line.h"

namespace pawl {

/// One counter on a line of its own. add() is wait-free.
template <template <class> class Atom = std::atomic>
class alignas(kCacheLine) Counter {
 public:
  void add(std::uint64_t n) noexcept {
    value_.fetch_add(n, std::memory_order_release);  // release [C1]: what was counted before comes with it
  }
  /// As add(), for a counter that only this thread writes: no read-modify-write.
  void add_alone(std::uint64_t n) noexcept {
    // relaxed: our own last value; release [C1]
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t read() const noexcept { return value_.load(std::memory_order_acquire); }  // acquire [C1]

 private:
  Atom<std::uint64_t> value_{0};  // written by stage bodies, read by status()
};

/// A counter of many lines; a writer keeps to its own shard.
template <std::size_t kShards, template <class> class Atom = std::atomic>
class ShardedCounter {
 public:
  [[nodiscard]] Counter<Atom>& shard(std::size_t index) noexcept { return shards_[index % kShards]; }
  [[nodiscard]] std::uint64_t read() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& shard : shards_) sum += shard.read();
    return sum;
  }

 private:
  std::array<Counter<Atom>, kShards> shards_;
};

static_assert(sizeof(Counter<>) == kCacheLine);

}  // namespace pawl
