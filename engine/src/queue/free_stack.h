// FreeStack: indices of free things, last in first out, so that what is used next is what was used last and is still
// in the processor's cache.
//
// A stack of a fixed set of indices, 1 … capacity (R. K. Treiber, "Systems Programming: Coping with Parallelism",
// 1986). The links lie in an array of the stack's own, which is never freed before the stack, so a reader that is late
// reads a stale index and not freed memory; a tag in the head, changed by every change of the stack, makes its CAS
// fail (the ABA problem). The tag has 40 bits: it would have to come round, 10^12 changes, between a reader's look at
// the head and its CAS. Lock-free; chains are taken and given with one CAS each. Not FIFO, and not for a set that
// grows.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/cache_line.h"

namespace pawl {

template <template <class> class Atom = std::atomic>
class FreeStack {
 public:
  static constexpr std::uint32_t kMost = (1u << 24) - 1;  // largest capacity

  /// Empty: give() the indices that are free. `capacity` is at most kMost.
  explicit FreeStack(std::uint32_t capacity) : below_(std::make_unique<Atom<std::uint32_t>[]>(capacity + 1)) {}
  FreeStack(const FreeStack&) = delete;
  FreeStack& operator=(const FreeStack&) = delete;

  /// Takes up to `most` indices, newest first. Any thread.
  [[nodiscard]] std::size_t take(std::uint32_t* indices, std::size_t most) noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);  // acquire [F1]
    for (;;) {
      std::size_t count = 0;
      std::uint32_t index = index_of(head);
      while (index != 0 && count < most) {
        indices[count++] = index;
        // relaxed: [F1] published it; a value changed since then is found out by the CAS
        index = below_[index].load(std::memory_order_relaxed);
      }
      if (count == 0) return 0;
      // acq_rel [F1]: what the givers of these did to them is seen; acquire on failure for the next walk
      if (head_.compare_exchange_weak(head, changed(head, index), std::memory_order_acq_rel, std::memory_order_acquire))
        return count;
    }
  }

  /// Gives indices back; the first one is on top. Any thread.
  void give(const std::uint32_t* indices, std::size_t count) noexcept {
    if (count == 0) return;
    for (std::size_t i = 0; i + 1 < count; ++i)
      below_[indices[i]].store(indices[i + 1], std::memory_order_relaxed);  // relaxed: published by [F1]
    std::uint64_t head = head_.load(std::memory_order_relaxed);             // relaxed: the CAS checks it
    do {
      below_[indices[count - 1]].store(index_of(head), std::memory_order_relaxed);
      // release [F1]: publishes the links and what the giver did to the things
    } while (!head_.compare_exchange_weak(head, changed(head, indices[0]), std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
  }

  /// A hint for whether to sleep; exact only after a fence that pairs with the giver's (see Doorbell).
  [[nodiscard]] bool looks_empty() const noexcept {
    return index_of(head_.load(std::memory_order_relaxed)) == 0;  // relaxed: see above
  }

 private:
  static constexpr unsigned kIndexBits = 24;
  static std::uint32_t index_of(std::uint64_t head) noexcept { return static_cast<std::uint32_t>(head & kMost); }
  static std::uint64_t changed(std::uint64_t head, std::uint32_t index) noexcept {
    return (((head >> kIndexBits) + 1) << kIndexBits) | index;
  }

  alignas(kCacheLine) Atom<std::uint64_t> head_{0};  // [tag:40][index:24]; written by take() and give()
  std::unique_ptr<Atom<std::uint32_t>[]> below_;     // by index: the one below it; written by its giver
};

}  // namespace pawl
