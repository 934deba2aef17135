// What a call stage tells of itself: counts that its loop writes and anyone reads, and the last thing a person should
// know. Counters are single-writer; a mutex is taken for events, and for lanes when somebody has asked for them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <pawl/http.h>
#include <pawl/latency.h>

namespace pawl::http {

using Counter = std::atomic<std::uint64_t>;

// For counters that the loop alone writes, so no read-modify-write is needed. relaxed: they are statistics.
inline void add_to(Counter& counter, std::uint64_t n) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline std::uint64_t value_of(const Counter& counter) noexcept { return counter.load(std::memory_order_relaxed); }

/// Lanes that are paused or whose host is down.
inline std::uint64_t held_among(const std::vector<LaneStats>& lanes) noexcept {
  return static_cast<std::uint64_t>(std::count_if(lanes.begin(), lanes.end(), [](const LaneStats& lane) {
    return lane.paused.count() > 0 || lane.breaker != BreakerState::closed;
  }));
}

class StageCounts {
 public:
  Counter started{0}, finished{0}, retries{0}, bytes{0};  // written by the loop
  LatencyHistogram latency;

  /// `listener` may be empty; called by the loop.
  explicit StageCounts(std::function<void(const Event&)> listener) : listener_(std::move(listener)) {}

  /// The loop's. What a person should know now.
  void note_event(std::string text) {
    const std::lock_guard lock(mutex_);
    ++events_;
    last_event_.swap(text);
  }
  /// The loop's. What a log keeps.
  void tell(Event::What what, const std::string& text) const {
    if (listener_) listener_({what, text});
  }
  // relaxed, all three: whoever asks while lanes are being looked at gets this answer or the next
  [[nodiscard]] bool lanes_wanted() const noexcept { return lanes_wanted_.load(std::memory_order_relaxed); }
  void publish(std::vector<LaneStats> lanes) {
    lanes_wanted_.store(false, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    lanes_.swap(lanes);
  }
  /// Any thread. True: nobody has asked since they were published, so the loop must be woken.
  [[nodiscard]] bool ask_for_lanes() const noexcept { return !lanes_wanted_.exchange(true, std::memory_order_relaxed); }

  /// Any thread; all but connections.
  [[nodiscard]] Stats stats() const {
    Stats stats;
    stats.attempts_finished = value_of(finished);
    stats.attempts_started = std::max(value_of(started), stats.attempts_finished);
    stats.retries = value_of(retries);
    stats.bytes_received = value_of(bytes);
    stats.attempts = latency.look();
    const std::lock_guard lock(mutex_);
    stats.lanes = lanes_;
    stats.lanes_held = held_among(lanes_);
    stats.events = events_;
    stats.last_event = last_event_;
    return stats;
  }

 private:
  mutable std::atomic<bool> lanes_wanted_{false};  // set by whoever asks, cleared by the loop
  const std::function<void(const Event&)> listener_;
  mutable std::mutex mutex_;  // guards the three below
  std::vector<LaneStats> lanes_;
  std::uint64_t events_ = 0;
  std::string last_event_;
};

}  // namespace pawl::http
