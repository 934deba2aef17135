// What producers, graph and engine share.
#pragma once

#include <atomic>
#include <cstdint>

#include <pawl/engine.h>

#include "base/counters.h"
#include "base/shards.h"
#include "epoch/epochs.h"
#include "order/streams.h"
#include "queue/credits.h"
#include "queue/doorbell.h"
#include "queue/task_queue.h"

namespace pawl {

/// Takes work from the intake queue once it is told to; implemented by the graph.
class Pump {
 public:
  virtual void poke() noexcept = 0;

 protected:
  ~Pump() = default;
};

struct Core {
  explicit Core(const Limits& limits)
      : streams({.tasks_in_flight = limits.tasks_in_flight}), credits(limits), intake(limits.tasks_in_flight) {}

  Epochs<> epochs;
  Streams<> streams;
  Credits credits;
  PointerQueue<Slot> intake;
  Doorbell intake_bell;                   // announced while the pump rests
  Pump* pump = nullptr;                   // set before the first producer is made
  std::atomic<std::uint32_t> waiters{0};  // flush() and close() calls under way; read by the graph
  Shards<> shards;                        // of the admission words and of `admitted`

  // In stage order; each task counts in one before it counts in the next.
  ShardedCounter<Epochs<>::kShards> admitted;
  static_assert(Epochs<>::kShards == Shards<>::kShared + 1);
  Counter<> saved, called, ordered, committed, failed, unchanged, unfinished;

  /// Somebody waits for the pipeline to empty, and all that is left of it is before or in the commit stage. Asked by
  /// the graph after handing tasks to that stage, and by the waiter after announcing itself: one of the two sees it.
  [[nodiscard]] bool commit_is_waited_for() const noexcept {
    full_fence();                                           // [W1]
    return waiters.load(std::memory_order_relaxed) != 0 &&  // relaxed: ordered by the fence
           ordered.read() == admitted.read();
  }
};

}  // namespace pawl
