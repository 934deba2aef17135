// Batches: the messages of the graph, recycled.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/check.h"
#include "queue/free_stack.h"
#include "slot.h"

namespace pawl {

class BatchEntry;

struct Batch {
  static constexpr std::size_t kMost = 256;
  std::array<Task*, kMost> tasks;
  std::uint32_t size = 0;
  std::uint32_t index = 0;      // in the pool
  BatchEntry* entry = nullptr;  // by which it waits to be put into the graph, see Puts
  Batch* later = nullptr;       // the next one that waits

  [[nodiscard]] std::span<Task* const> view() const noexcept { return {tasks.data(), size}; }
  [[nodiscard]] bool full() const noexcept { return size == kMost; }
  void add(Task* task) noexcept { tasks[size++] = task; }

  /// Moves the tasks for which `leaves(task)` holds to `out` (room for kMost), keeping the order of both.
  template <class Leaves>
  std::size_t split(Task** out, Leaves&& leaves) noexcept {
    std::uint32_t kept = 0;
    std::size_t left = 0;
    for (std::uint32_t i = 0; i < size; ++i) {
      if (leaves(*tasks[i]))
        out[left++] = tasks[i];
      else
        tasks[kept++] = tasks[i];
    }
    size = kept;
    return left;
  }
};

/// Where batches are put into the graph from outside its edges.
class BatchEntry {
 public:
  virtual void put_now(Batch* batch) noexcept = 0;

 protected:
  ~BatchEntry() = default;
};

/// Grows when it is empty: batches in flight are bounded by tasks in flight, so nobody ever waits for one.
class BatchPool {
 public:
  /// Batches that hold at least one task each, of `tasks` tasks, and some that are being filled or emptied.
  explicit BatchPool(std::uint32_t tasks)
      : size_(tasks + kSpare), idle_(size_), batches_(std::make_unique<std::unique_ptr<Batch>[]>(size_ + 1)) {}

  /// An empty batch. Any thread.
  [[nodiscard]] Batch* take() noexcept {
    std::uint32_t index = 0;
    if (idle_.take(&index, 1) == 1) return batches_[index].get();
    index = made_.fetch_add(1, std::memory_order_relaxed) + 1;  // relaxed: only counts
    PAWL_CHECK(index <= size_);
    batches_[index] = std::make_unique<Batch>();  // read by who gets the index from give(): [F1]
    batches_[index]->index = index;
    return batches_[index].get();
  }
  void give(Batch* batch) noexcept {
    batch->size = 0;
    idle_.give(&batch->index, 1);
  }

 private:
  static constexpr std::uint32_t kSpare = 4096;
  const std::uint32_t size_;
  FreeStack<> idle_;
  std::unique_ptr<std::unique_ptr<Batch>[]> batches_;  // by index
  std::atomic<std::uint32_t> made_{0};
};

}  // namespace pawl
