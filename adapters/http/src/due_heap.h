// Things that wait for a time, each at most once: a binary heap whose entries know their place, so that one is moved or
// taken out in O(log n) and a thing that dies leaves nothing behind.
//
// Not thread-safe; the caller passes the time in. An entry must be idle before it is destroyed.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace pawl::http {

struct DueEntry {
  static constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
  std::chrono::steady_clock::time_point due{};
  std::size_t place = kIdle;  // the heap's
};

/// `Entry` derives from DueEntry.
template <class Entry>
class DueHeap {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Sets when `entry` is due, whether it waits already or not.
  void set(Entry& entry, Time due) {
    cancel(entry);
    entry.due = due;
    entry.place = entries_.size();
    entries_.push_back(&entry);
    rise(entry.place);
  }
  void cancel(Entry& entry) noexcept {
    if (entry.place == DueEntry::kIdle) return;
    const std::size_t hole = entry.place;
    entry.place = DueEntry::kIdle;
    Entry* const last = entries_.back();
    entries_.pop_back();
    if (last == &entry) return;
    put(hole, last);
    sink(hole);
    rise(last->place);
  }
  /// Takes out the earliest that is due by `now`, or nullptr.
  Entry* pop(Time now) noexcept {
    if (entries_.empty() || entries_.front()->due > now) return nullptr;
    Entry* const first = entries_.front();
    cancel(*first);
    return first;
  }
  [[nodiscard]] std::optional<Time> next_due() const noexcept {
    if (entries_.empty()) return std::nullopt;
    return entries_.front()->due;
  }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  void put(std::size_t place, Entry* entry) noexcept {
    entries_[place] = entry;
    entry->place = place;
  }
  void rise(std::size_t place) noexcept {
    Entry* const entry = entries_[place];
    while (place > 0 && entry->due < entries_[(place - 1) / 2]->due) {
      put(place, entries_[(place - 1) / 2]);
      place = (place - 1) / 2;
    }
    put(place, entry);
  }
  void sink(std::size_t place) noexcept {
    Entry* const entry = entries_[place];
    for (std::size_t child = 2 * place + 1; child < entries_.size(); child = 2 * place + 1) {
      if (child + 1 < entries_.size() && entries_[child + 1]->due < entries_[child]->due) ++child;
      if (entry->due <= entries_[child]->due) break;
      put(place, entries_[child]);
      place = child;
    }
    put(place, entry);
  }

  std::vector<Entry*> entries_;
};

}  // namespace pawl::http
