// The pipeline as a textbook has it, to compare with: queues under a mutex and a condition variable, a thread per
// stage, a heap-allocated task, a map per stream for the order.
//
// It does what the engine does with no-op stages (bounded, ordered per stream, counted, flushable) and no more.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include <pawl/task.h>

namespace pawl::bench {

class TextbookPipeline {
 public:
  static constexpr bool kFlushesWhileOthersSubmit = true;
  using Retire = std::function<void(const Request&)>;

  TextbookPipeline(std::size_t in_flight, Retire retire) : limit_(in_flight), retire_(std::move(retire)) {
    save_ = std::thread([this] { pass(to_save_, to_call_); });
    call_ = std::thread([this] { pass(to_call_, to_commit_); });
    commit_ = std::thread([this] { commit(); });
  }
  ~TextbookPipeline() {
    flush();
    to_save_.close();
    save_.join();
    to_call_.close();
    call_.join();
    to_commit_.close();
    commit_.join();
  }
  TextbookPipeline(const TextbookPipeline&) = delete;
  TextbookPipeline& operator=(const TextbookPipeline&) = delete;

  /// One submitting thread's way in.
  class Lane {
   public:
    explicit Lane(TextbookPipeline& pipeline) : pipeline_(pipeline) {}
    [[nodiscard]] bool try_submit(Request& request) {
      std::unique_lock lock(pipeline_.admission_);
      if (pipeline_.is_full()) return false;
      pipeline_.admit(request, lock);
      return true;
    }
    void submit(Request& request) {
      std::unique_lock lock(pipeline_.admission_);
      pipeline_.credit_.wait(lock, [this] { return !pipeline_.is_full(); });
      pipeline_.admit(request, lock);
    }

   private:
    TextbookPipeline& pipeline_;
  };

  void flush() {
    std::unique_lock lock(admission_);
    const std::uint64_t upto = admitted_;
    empty_.wait(lock, [&] { return retired_ >= upto; });
  }

  struct Counts {
    std::uint64_t admitted = 0, saved = 0, called = 0, retired = 0;
  };
  /// A snapshot that adds up: what left a stage is derived from what waits before the next.
  [[nodiscard]] Counts status() {
    const std::scoped_lock lock(admission_, to_call_.mutex(), to_commit_.mutex());
    return {admitted_, to_call_.pushed(), to_commit_.pushed(), retired_};
  }
  [[nodiscard]] std::uint64_t in_flight() {
    const std::lock_guard lock(admission_);
    return admitted_ - retired_;
  }

  void may_hold(std::size_t) {}
  /// The first stage takes nothing on until let_go().
  void hold() { to_save_.hold(); }
  void let_go() { to_save_.let_go(); }

 private:
  struct Item {
    Request request;
    std::uint64_t number = 0;  // in its stream
  };
  using ItemPtr = std::unique_ptr<Item>;

  class Queue {
   public:
    void push(ItemPtr item) {
      {
        const std::lock_guard lock(mutex_);
        items_.push_back(std::move(item));
        ++pushed_;
      }
      changed_.notify_one();
    }
    /// Null: closed and empty.
    ItemPtr pop() {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return (!items_.empty() && !held_) || closed_; });
      if (items_.empty()) return nullptr;
      ItemPtr item = std::move(items_.front());
      items_.pop_front();
      return item;
    }
    void close() {
      {
        const std::lock_guard lock(mutex_);
        closed_ = true;
      }
      changed_.notify_all();
    }
    void hold() {
      const std::lock_guard lock(mutex_);
      held_ = true;
    }
    void let_go() {
      {
        const std::lock_guard lock(mutex_);
        held_ = false;
      }
      changed_.notify_all();
    }
    [[nodiscard]] std::mutex& mutex() noexcept { return mutex_; }
    /// With mutex() held.
    [[nodiscard]] std::uint64_t pushed() const noexcept { return pushed_; }

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<ItemPtr> items_;
    std::uint64_t pushed_ = 0;
    bool closed_ = false, held_ = false;
  };

  static void pass(Queue& from, Queue& to) {
    while (ItemPtr item = from.pop()) to.push(std::move(item));
  }

  /// With admission_ held.
  [[nodiscard]] bool is_full() const noexcept { return admitted_ - retired_ >= limit_; }
  void admit(Request& request, std::unique_lock<std::mutex>& lock) {
    ++admitted_;
    const std::uint64_t number = next_number_[request.stream]++;
    lock.unlock();
    auto item = std::make_unique<Item>();
    item->request = std::move(request);
    item->number = number;
    to_save_.push(std::move(item));
  }

  struct Order {
    std::uint64_t next = 0;
    std::map<std::uint64_t, ItemPtr> early;
  };
  void commit() {
    std::unordered_map<std::string, Order> streams;
    while (ItemPtr item = to_commit_.pop()) {
      Order& order = streams[item->request.stream];
      if (item->number != order.next) {
        const std::uint64_t number = item->number;
        order.early.emplace(number, std::move(item));
        continue;
      }
      retire(*item);
      ++order.next;
      while (!order.early.empty() && order.early.begin()->first == order.next) {
        retire(*order.early.begin()->second);
        order.early.erase(order.early.begin());
        ++order.next;
      }
    }
  }
  void retire(const Item& item) {
    retire_(item.request);
    {
      const std::lock_guard lock(admission_);
      ++retired_;
    }
    credit_.notify_one();
    empty_.notify_all();
  }

  const std::size_t limit_;
  const Retire retire_;
  std::mutex admission_;
  std::condition_variable credit_, empty_;
  std::uint64_t admitted_ = 0, retired_ = 0;
  std::unordered_map<std::string, std::uint64_t> next_number_;
  Queue to_save_, to_call_, to_commit_;
  std::thread save_, call_, commit_;
};

}  // namespace pawl::bench
