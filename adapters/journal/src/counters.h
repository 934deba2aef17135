// The journal's counts: written by its writer thread (dropped answers also by those who note them), read by anyone.
#pragma once

#include <atomic>
#include <cstdint>

namespace pawl::journal {

class Counter {
 public:
  // relaxed: a count publishes nothing, and a stale one is harmless
  void add(std::uint64_t count) noexcept { value_.fetch_add(count, std::memory_order_relaxed); }
  void subtract(std::uint64_t count) noexcept { value_.fetch_sub(count, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};  // written by add() and subtract(), read by read(); publishes nothing
};

struct Counters {
  Counter tasks, sent, sent_with_save, settled, answers, answers_dropped;
  Counter groups, syncs, bytes, segments_made, segments_reused, segments_removed;
};

}  // namespace pawl::journal
