// Credits: the only back-pressure. A credit is a free task slot plus room for the task's bytes.
//
// Slots are taken in small lots by each producer, so that the shared queue is touched once for many tasks.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <pawl/limits.h>

#include "base/cache_line.h"
#include "queue/doorbell.h"
#include "queue/free_slots.h"
#include "slot.h"

namespace pawl {

class Credits {
 public:
  static constexpr std::size_t kMostAtOnce = 64;

  explicit Credits(const Limits& limits);

  /// A producer joins: how many slots at once it may take. What idle producers hold ahead of use never exceeds half
  /// of all, so that none of them can starve the rest; late comers among very many take one at a time.
  [[nodiscard]] std::size_t join() noexcept {
    const std::size_t ahead = lot_ - 1;
    std::size_t held = ahead_.load(std::memory_order_relaxed);  // relaxed: a budget, orders nothing
    do {
      if (held + ahead > ahead_limit_) return 1;
    } while (!ahead_.compare_exchange_weak(held, held + ahead, std::memory_order_relaxed));
    return lot_;
  }
  /// A producer that got `lot` from join() has given its slots back.
  void leave(std::size_t lot) noexcept { ahead_.fetch_sub(lot - 1, std::memory_order_relaxed); }

  /// Takes up to `most` free slots, at most kMostAtOnce; the one used last first. Any thread.
  [[nodiscard]] std::size_t take_slots(Slot** slots, std::size_t most) noexcept {
    std::uint32_t indices[kMostAtOnce];
    const std::size_t count = free_.take(indices, std::min(most, kMostAtOnce));
    for (std::size_t i = 0; i < count; ++i) slots[i] = &slot(indices[i]);
    return count;
  }
  /// Gives slots back, of tasks that have retired (their `where` is none) or that were never used, and wakes whoever
  /// waits for credit; with no slot too, for those who wait for bytes. Any thread.
  void give_slots(Slot* const* slots, std::size_t count) noexcept {
    std::uint32_t indices[kMostAtOnce];
    while (count != 0) {
      const std::size_t lot = std::min(count, kMostAtOnce);
      for (std::size_t i = 0; i < lot; ++i) indices[i] = slots[i]->index;
      free_.give(indices, lot);
      slots += lot;
      count -= lot;
    }
    bell_.ring();
  }

  /// Between these two, a slot that is seen to be somewhere (Whereabouts) keeps its request. Any thread, any number of
  /// lookers; the pipeline goes on with the slots that are free.
  void begin_look() noexcept { free_.begin_look(); }
  void end_look() noexcept {
    if (free_.end_look()) bell_.ring();
  }
  /// For who is about to use a slot again whose task has retired.
  [[nodiscard]] bool nobody_looks() noexcept { return free_.nobody_looks(); }

  [[nodiscard]] std::uint64_t bytes_limit() const noexcept { return bytes_limit_; }

  /// The slots, used or not: by index from 1 to size().
  [[nodiscard]] Slot& slot(std::uint32_t index) noexcept { return slab_[index - 1]; }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

  /// Takes room for `bytes`, or nothing. A task larger than the limit is let in when it is alone. `given_seen` is the
  /// caller's own, 0 at first: what it knows of bytes given back, so that it seldom looks at what others write.
  [[nodiscard]] bool take_bytes(std::uint64_t bytes, std::uint64_t& given_seen) noexcept {
    // relaxed: the counts order nothing, the slots do. A CAS, so that a refusal never shows to others.
    std::uint64_t taken = bytes_taken_.load(std::memory_order_relaxed);
    do {
      if (taken - given_seen + bytes <= bytes_limit_) continue;  // given_seen only lags: what fits, fits
      given_seen = bytes_given_.load(std::memory_order_relaxed);
      // `taken` may be older than `given_seen`; then the CAS fails.
      if (taken != given_seen && taken - given_seen + bytes > bytes_limit_) {
        const std::uint64_t now = bytes_taken_.load(std::memory_order_relaxed);
        if (now == taken) return false;
        taken = now;
        if (taken != given_seen && taken - given_seen + bytes > bytes_limit_) return false;
      }
    } while (!bytes_taken_.compare_exchange_weak(taken, taken + bytes, std::memory_order_relaxed));
    return true;
  }
  [[nodiscard]] bool take_bytes(std::uint64_t bytes) noexcept {
    std::uint64_t given_seen = 0;
    return take_bytes(bytes, given_seen);
  }
  /// Adds what a response brought; never refused, so that nothing in flight waits for credit.
  void add_bytes(std::uint64_t bytes) noexcept { bytes_taken_.fetch_add(bytes, std::memory_order_relaxed); }
  void give_bytes(std::uint64_t bytes) noexcept {
    bytes_given_.fetch_add(bytes, std::memory_order_release);  // release [K1]: after they were taken
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    const std::uint64_t given = bytes_given_.load(std::memory_order_acquire);  // acquire [K1]: not ahead
    return bytes_taken_.load(std::memory_order_relaxed) - given;
  }

  /// Waits until credits for a task of `bytes` are there, if only for a moment, or `stop()` holds. Does not return
  /// early: a waiter that tried again at every ring would take slots, give them back and so ring for the next one.
  template <class Stop>
  void wait(std::uint64_t bytes, Stop&& stop) noexcept {
    const auto worth_a_try = [&] {
      const std::uint64_t held = this->bytes();
      return stop() || (!free_.looks_empty() && (held == 0 || held + bytes <= bytes_limit_));
    };
    while (!worth_a_try()) bell_.sleep(worth_a_try);
  }
  void wake_waiters() noexcept { bell_.ring_always(); }

 private:
  const std::uint32_t size_;
  std::unique_ptr<Slot[]> slab_;
  FreeSlots<> free_;
  const std::size_t lot_;
  const std::size_t ahead_limit_;
  const std::uint64_t bytes_limit_;
  std::atomic<std::size_t> ahead_{0};  // slots that producers may hold ahead of use; written by join() and leave()
  // What tasks in flight hold is the difference of these two, which only grow.
  alignas(kCacheLine) std::atomic<std::uint64_t> bytes_taken_{0};  // written by producers, and for responses
  alignas(kCacheLine) std::atomic<std::uint64_t> bytes_given_{0};  // written by the graph
  Doorbell bell_;                                                  // rung when credits come back
};

/// Looks at the slots for as long as it lives, see Credits::begin_look().
class Look {
 public:
  explicit Look(Credits& credits) noexcept : credits_(credits) { credits_.begin_look(); }
  ~Look() { credits_.end_look(); }
  Look(const Look&) = delete;
  Look& operator=(const Look&) = delete;

 private:
  Credits& credits_;
};

}  // namespace pawl
