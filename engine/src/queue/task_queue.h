// The queues of the engine: task pointers through moodycamel::ConcurrentQueue, with tokens and in bulk.
//
// Lock-free MPMC; FIFO per producer only. Nothing in the engine relies on its order, but what one Producer submits is
// promised to reach the stages in that order (Stage::take()). Pointers, because payloads by value cost several times
// more.
#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <cstddef>

namespace pawl {

template <class Item>
class PointerQueue {
 public:
  using Queue = moodycamel::ConcurrentQueue<Item*>;
  using ProducerToken = moodycamel::ProducerToken;
  using ConsumerToken = moodycamel::ConsumerToken;

  explicit PointerQueue(std::size_t capacity) : queue_(capacity) {}

  [[nodiscard]] ProducerToken producer() { return ProducerToken(queue_); }
  [[nodiscard]] ConsumerToken consumer() { return ConsumerToken(queue_); }

  void put(const ProducerToken& token, Item* item) noexcept {
    if (!queue_.enqueue(token, item)) out_of_memory();
  }
  void put(const ProducerToken& token, Item* const* items, std::size_t count) noexcept {
    if (!queue_.enqueue_bulk(token, items, count)) out_of_memory();
  }
  void put(Item* const* items, std::size_t count) noexcept {
    if (!queue_.enqueue_bulk(items, count)) out_of_memory();
  }
  [[nodiscard]] std::size_t take(ConsumerToken& token, Item** items, std::size_t most) noexcept {
    return queue_.try_dequeue_bulk(token, items, most);
  }
  [[nodiscard]] std::size_t take(Item** items, std::size_t most) noexcept {
    return queue_.try_dequeue_bulk(items, most);
  }
  /// A hint for whether to sleep; exact only after a fence that pairs with the bringer's (see Doorbell).
  [[nodiscard]] bool looks_empty() const noexcept { return queue_.size_approx() == 0; }

 private:
  // A task that was admitted must reach the graph, so there is nothing left to do; what was accepted is saved.
  [[noreturn]] static void out_of_memory() noexcept;
  Queue queue_;
};

[[noreturn]] void queue_out_of_memory() noexcept;

template <class Item>
void PointerQueue<Item>::out_of_memory() noexcept {
  queue_out_of_memory();
}

}  // namespace pawl
