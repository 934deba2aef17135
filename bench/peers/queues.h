// Queues of pointers, to compare the intake queue with: raw moodycamel, boost.lockfree, and a mutex with a condition
// variable. All have put(pointer), put_lot(pointers) and take_lot(pointers), and a Lane per producing thread.
#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#ifdef PAWL_BENCH_BOOST
#include <boost/lockfree/queue.hpp>
#endif

namespace pawl::bench {

/// moodycamel::ConcurrentQueue itself, with tokens.
template <class Item>
class MoodycamelQueue {
 public:
  explicit MoodycamelQueue(std::size_t capacity) : queue_(capacity), consumer_(queue_) {}

  class Lane {
   public:
    explicit Lane(MoodycamelQueue& queue) : queue_(queue.queue_), token_(queue_) {}
    void put(Item* item) { queue_.enqueue(token_, item); }
    void put_lot(Item* const* items, std::size_t count) { queue_.enqueue_bulk(token_, items, count); }

   private:
    moodycamel::ConcurrentQueue<Item*>& queue_;
    moodycamel::ProducerToken token_;
  };

  [[nodiscard]] std::size_t take(Item** item) { return queue_.try_dequeue(consumer_, *item); }
  [[nodiscard]] std::size_t take_lot(Item** items, std::size_t most) {
    return queue_.try_dequeue_bulk(consumer_, items, most);
  }

 private:
  moodycamel::ConcurrentQueue<Item*> queue_;
  moodycamel::ConsumerToken consumer_;
};

#ifdef PAWL_BENCH_BOOST
/// boost::lockfree::queue of fixed capacity; it has no bulk calls.
template <class Item>
class BoostQueue {
 public:
  explicit BoostQueue(std::size_t capacity) : queue_(capacity) {}

  class Lane {
   public:
    explicit Lane(BoostQueue& queue) : queue_(queue.queue_) {}
    void put(Item* item) {
      while (!queue_.bounded_push(item)) std::this_thread::yield();
    }
    void put_lot(Item* const* items, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) put(items[i]);
    }

   private:
    boost::lockfree::queue<Item*>& queue_;
  };

  [[nodiscard]] std::size_t take(Item** item) { return queue_.pop(*item); }
  [[nodiscard]] std::size_t take_lot(Item** items, std::size_t most) {
    std::size_t count = 0;
    while (count < most && queue_.pop(items[count])) ++count;
    return count;
  }

 private:
  boost::lockfree::queue<Item*> queue_;
};
#endif

/// The textbook's: a deque under a mutex; the consumer sleeps on a condition variable.
template <class Item>
class MutexQueue {
 public:
  explicit MutexQueue(std::size_t) {}

  class Lane {
   public:
    explicit Lane(MutexQueue& queue) : queue_(queue) {}
    void put(Item* item) { put_lot(&item, 1); }
    void put_lot(Item* const* items, std::size_t count) {
      {
        const std::lock_guard lock(queue_.mutex_);
        queue_.items_.insert(queue_.items_.end(), items, items + count);
      }
      queue_.changed_.notify_one();
    }

   private:
    MutexQueue& queue_;
  };

  [[nodiscard]] std::size_t take(Item** item) { return take_lot(item, 1); }
  [[nodiscard]] std::size_t take_lot(Item** items, std::size_t most) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !items_.empty(); });
    std::size_t count = 0;
    while (count < most && !items_.empty()) {
      items[count++] = items_.front();
      items_.pop_front();
    }
    return count;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item*> items_;
};

}  // namespace pawl::bench
