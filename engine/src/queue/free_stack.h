// FreeStack: indices of free things, last in first out, so that what is used next is what was used last and is still
// in the processor's cache.
//
// A stack of a fixed set of indices, 1 … capacity (R. K. Treiber, "Systems Programming: Coping with Parallelism",
// 1986), whose elements are lots: what was given at once lies together on one cache line, so that a taker reads one
// line between its look at the head and its CAS. Were the indices linked one by one, a walk through lines that the
// giver has just written would take longer than the giver's next change, and a taker would walk again and again.
//
// The lines are the stack's own and are never freed before it, so a reader that is late reads a stale index and not
// freed memory; a tag in the head, changed by every change of the stack, makes its CAS fail (the ABA problem). The tag
// has 40 bits: it would have to come round, 10^12 changes, between a reader's look at the head and its CAS. Lock-free;
// whatever is given is given with one CAS, a lot is taken with one. Takes 64 bytes an index. Not FIFO, and not for a
// set that grows.
#pragma once

#include <algorithm>
#include <array>
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
  explicit FreeStack(std::uint32_t capacity) : lots_(std::make_unique<Lot[]>(capacity + std::size_t{1})) {}
  FreeStack(const FreeStack&) = delete;
  FreeStack& operator=(const FreeStack&) = delete;

  /// Takes up to `most` indices, newest first; fewer where the next ones are a lot that is larger than what is wanted
  /// still. None only if the stack is empty, or none are wanted. Any thread.
  [[nodiscard]] std::size_t take(std::uint32_t* indices, std::size_t most) noexcept {
    std::size_t taken = 0;
    std::uint64_t head = head_.load(std::memory_order_acquire);  // acquire [F1]
    while (taken < most) {
      const std::uint32_t first = index_of(head);
      if (first == 0) break;
      // relaxed: [F1] published it; a value changed since then is found out by the CAS
      const std::uint32_t below = lots_[first].below.load(std::memory_order_relaxed);
      if (taken != 0 && taken + size_above(below) > most) break;
      const std::uint64_t rest = changed(head, index_of(below));
      // acq_rel [F1]: what the givers of these did to them is seen; acquire on failure for the next look
      if (!head_.compare_exchange_weak(head, rest, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      head = rest;
      taken += open(first, size_above(below), indices + taken, most - taken);
    }
    return taken;
  }

  /// Gives indices back; the first one is on top. Any thread.
  void give(const std::uint32_t* indices, std::size_t count) noexcept {
    if (count == 0) return;
    Lot* last = nullptr;
    std::size_t size = 0;
    for (std::size_t begin = 0; begin < count; begin += kLot) {
      // relaxed: published by [F1]
      if (last != nullptr) last->below.store(below_lot(size, indices[begin]), std::memory_order_relaxed);
      last = &lots_[indices[begin]];
      size = std::min(count - begin, kLot);
      for (std::size_t i = 1; i < size; ++i) last->others[i - 1] = indices[begin + i];
    }
    std::uint64_t head = head_.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    do {
      last->below.store(below_lot(size, index_of(head)), std::memory_order_relaxed);  // relaxed: published by [F1]
      // release [F1]: publishes the lots and what the giver did to the things
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

  /// What was given at once, or a part of it. Lies under its first index, and is written by who gives that.
  struct alignas(kCacheLine) Lot {
    Atom<std::uint32_t> below{0};  // [indices of this lot:8][first index of the next one:24]; late takers read it too
    std::array<std::uint32_t, 14> others{};  // the second to the last; read by who has taken the lot
  };
  static constexpr std::size_t kLot = 15;
  static std::uint32_t below_lot(std::size_t size, std::uint32_t index) noexcept {
    return static_cast<std::uint32_t>(size << kIndexBits) | index;
  }
  static std::size_t size_above(std::uint32_t below) noexcept { return below >> kIndexBits; }

  /// The indices of a lot that is the caller's: up to `most`, 1 …; the rest is given back.
  std::size_t open(std::uint32_t first, std::size_t size, std::uint32_t* indices, std::size_t most) noexcept {
    const Lot& lot = lots_[first];
    const std::size_t taken = std::min(size, most);
    indices[0] = first;
    std::copy_n(lot.others.begin(), taken - 1, indices + 1);
    if (taken == size) return taken;
    std::array<std::uint32_t, kLot> left;
    std::copy(lot.others.begin() + static_cast<std::ptrdiff_t>(taken) - 1,
              lot.others.begin() + static_cast<std::ptrdiff_t>(size) - 1, left.begin());
    give(left.data(), size - taken);
    return taken;
  }

  alignas(kCacheLine) Atom<std::uint64_t> head_{0};  // [tag:40][first index:24]; written by take() and give()
  std::unique_ptr<Lot[]> lots_;                      // by first index
};

}  // namespace pawl
