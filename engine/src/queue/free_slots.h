// FreeSlots: which slots of the slab are free, and a way to look at those that are not.
//
// A looker (a watchdog, a report) reads what a slot holds while the pipeline goes on. So that it does not read a slot
// that is being used again for another task, slots that are given back while somebody looks are kept aside until
// nobody does. Protocol [L1], store-load as the doorbell's: the looker counts itself, fences and reads where the task
// is; who gives back has set that to "nowhere", fences and reads the count. One of the two sees the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/cache_line.h"
#include "queue/doorbell.h"
#include "queue/free_stack.h"

namespace pawl {

/// Slots by index, 1 … capacity. Everything may be called by any thread, and is lock-free.
template <template <class> class Atom = std::atomic>
class FreeSlots {
 public:
  /// None is free yet: give() them.
  explicit FreeSlots(std::uint32_t capacity) : free_(capacity), kept_(capacity) {}

  /// Takes up to `most` free slots; the ones given back last first.
  [[nodiscard]] std::size_t take(std::uint32_t* slots, std::size_t most) noexcept { return free_.take(slots, most); }

  /// Gives back slots whose tasks are nowhere any more, or that were never used.
  void give(const std::uint32_t* slots, std::size_t count) noexcept {
    if (nobody_looks()) return free_.give(slots, count);
    kept_.give(slots, count);
    free_kept();  // the last looker may have gone before it could see these
  }

  /// Between these two, a slot whose task is seen to be somewhere keeps what it holds.
  void begin_look() noexcept {
    lookers_.fetch_add(1, std::memory_order_seq_cst);
    full_fence(lookers_);  // [L1]
  }
  /// True if slots have become free by this.
  bool end_look() noexcept {
    // release [L2]: what was read is read before a slot is used again
    return lookers_.fetch_sub(1, std::memory_order_acq_rel) == 1 && free_kept();
  }

  /// For who is about to use a slot again without giving it back: its task is nowhere any more.
  [[nodiscard]] bool nobody_looks() noexcept {
    full_fence(lookers_);                                  // [L1]
    return lookers_.load(std::memory_order_acquire) == 0;  // acquire [L2]
  }

  /// A hint for whether to sleep; exact only after a fence that pairs with the giver's (see Doorbell).
  [[nodiscard]] bool looks_empty() const noexcept { return free_.looks_empty(); }

 private:
  /// Frees what was kept for lookers, unless somebody looks (again): then he will do it.
  bool free_kept() noexcept {
    bool any = false;
    std::uint32_t slots[kLot];
    while (nobody_looks()) {
      const std::size_t count = kept_.take(slots, kLot);
      if (count == 0) break;
      // One that was kept for a look that began after ours ended: who kept it had seen that look's count, and taking
      // the slot from him shows it to us.
      if (nobody_looks()) {
        free_.give(slots, count);
        any = true;
      } else {
        kept_.give(slots, count);
      }
    }
    return any;
  }

  static constexpr std::size_t kLot = 64;
  FreeStack<Atom> free_;
  FreeStack<Atom> kept_;                                // given back while somebody looked
  alignas(kCacheLine) Atom<std::uint32_t> lookers_{0};  // between begin_look() and end_look(); read by all who give
};

}  // namespace pawl
