// What went wrong lately, each distinct thing once, with how often: for the status.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/observe.h>

namespace pawl::tool {

/// Any thread. Takes a mutex for moments, and only when something fails. Bounded: the one seen last the longest ago is
/// forgotten first.
class ErrorLog {
 public:
  /// `record`: path of the record that tells more of it; may be empty.
  void note(std::string_view text, std::string_view record = {}) {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find(entries_, text, &Entry::text);
    if (known != entries_.end()) {
      ++known->count;
      known->last = now;
      known->record = record;
      return;
    }
    if (entries_.size() >= observe::kErrorsShown) entries_.erase(std::ranges::min_element(entries_, {}, &Entry::last));
    entries_.push_back({std::string(text), 1, now, std::string(record)});
  }

  /// The latest first.
  [[nodiscard]] std::vector<observe::ErrorView> view() const {
    const auto now = std::chrono::steady_clock::now();
    std::vector<Entry> entries;
    {
      const std::lock_guard lock(mutex_);
      entries = entries_;
    }
    std::ranges::sort(entries, std::greater<>(), &Entry::last);
    std::vector<observe::ErrorView> shown;
    for (Entry& entry : entries)
      shown.push_back({std::move(entry.text), entry.count,
                       std::chrono::duration_cast<std::chrono::milliseconds>(std::max(now, entry.last) - entry.last),
                       std::move(entry.record)});
    return shown;
  }

 private:
  struct Entry {
    std::string text;
    std::uint64_t count = 0;
    std::chrono::steady_clock::time_point last{};
    std::string record;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  // guarded by mutex_
};

}  // namespace pawl::tool
