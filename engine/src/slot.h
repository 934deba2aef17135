// A slot of the engine's slab: the task that stages see, and what the engine keeps beside it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <pawl/status.h>
#include <pawl/task.h>

#include "base/cache_line.h"
#include "base/prefetch.h"
#include "order/streams.h"

namespace pawl {

/// Where a task is, and since when.
class Whereabouts {
 public:
  struct Seen {
    Place place = Place::none;
    std::chrono::milliseconds since{0};  // on the steady clock
  };
  /// By whoever has the task.
  void move_to(Place place, std::chrono::milliseconds now) noexcept {
    // release [P1]: who looks from outside sees the task's request
    value_.store(static_cast<std::uint64_t>(place) << kTimeBits | static_cast<std::uint64_t>(now.count()),
                 std::memory_order_release);
  }
  [[nodiscard]] Seen look() const noexcept {
    const std::uint64_t value = value_.load(std::memory_order_acquire);  // acquire [P1]
    return {static_cast<Place>(value >> kTimeBits), std::chrono::milliseconds(value & ((1ull << kTimeBits) - 1))};
  }

 private:
  static constexpr unsigned kTimeBits = 56;
  std::atomic<std::uint64_t> value_{0};  // [place:8][since:56]
};

/// What the engine keeps of a task, in front of it: with the task's first fields this is one cache line, the outcome
/// three, and what most requests have the next two. A submitter writes the first and the last two of them.
struct alignas(kCacheLine) SlotHead : Streams<>::Link {
  std::uint8_t parity = 0;  // of the epoch that admitted it
  // The task's way through the pipeline holds the slot, and its place in the stream does while its successor still has
  // to look at it (StreamTurns). Who lets go last frees it: [S1]
  std::atomic<std::uint32_t> holders{0};
  std::uint32_t index = 0;  // of this slot in the slab, from 1
  Whereabouts where;
  Streams<>::Stream* stream = nullptr;
  std::uint64_t bytes = 0;  // byte credits it holds

  /// The order node, before it gives the task its turn.
  void hold() noexcept { holders.store(2, std::memory_order_relaxed); }  // relaxed: published with the mark in the link
  /// True for the last holder.
  [[nodiscard]] bool let_go() noexcept {
    return holders.load(std::memory_order_acquire) == 1 ||        // acquire [S1]: the other one has let go
           holders.fetch_sub(1, std::memory_order_acq_rel) == 1;  // acq_rel [S1]
  }
};

struct Slot : SlotHead, Task {
  /// Who is about to use the slot for a new task: a submitter.
  void prefetch_to_fill() noexcept {
    prefetch_to_write(static_cast<SlotHead*>(this));
    prefetch_to_write(&save_mark);
    prefetch_to_write(&request.position);
  }
  /// Who takes it on: a graph worker.
  void prefetch_to_lead() noexcept {
    prefetch_to_write(static_cast<SlotHead*>(this));
    prefetch_to_read(&save_mark);
    prefetch_to_read(&request.position);
  }
};
static_assert(sizeof(Slot) == 10 * kCacheLine, "see SlotHead");

}  // namespace pawl
