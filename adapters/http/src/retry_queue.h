// Calls that wait for a time to come, earliest first; equal times in the order they were put in.
// The caller passes the time in, so a test needs no clock. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace pawl::http {

template <class Item>
class RetryQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void push(Time due, Item item) {
    heap_.push_back({due, pushed_++, item});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  /// Takes out the earliest that is due by `now`.
  std::optional<Item> pop(Time now) {
    if (heap_.empty() || heap_.front().due > now) return std::nullopt;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Item item = heap_.back().item;
    heap_.pop_back();
    return item;
  }

  [[nodiscard]] std::optional<Time> next_due() const {
    if (heap_.empty()) return std::nullopt;
    return heap_.front().due;
  }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }

 private:
  struct Entry {
    Time due;
    std::uint64_t number;
    Item item;
  };
  static bool later(const Entry& a, const Entry& b) noexcept {
    return a.due != b.due ? a.due > b.due : a.number > b.number;
  }

  std::uint64_t pushed_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace pawl::http
