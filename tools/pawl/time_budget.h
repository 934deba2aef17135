// --budget-time: counts the time of a run and says once when it is spent. Time in which a person has paused the run
// does not count; waits that a server or a rate imposes do.
//
// When not to use it: for a bound of one call, or for how long a run has been there (that goes on while it is paused).
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace pawl::tool {

class TimeBudget {
 public:
  using Clock = std::chrono::steady_clock;

  /// Counts from `began`. `spent` is called once, by a thread of this object, when `bound` has been counted; never with
  /// a bound of 0.
  TimeBudget(std::chrono::milliseconds bound, Clock::time_point began, std::function<void()> spent);
  /// `spent` is not called any more, and is not being called: hold nothing that it waits for.
  ~TimeBudget();
  TimeBudget(const TimeBudget&) = delete;
  TimeBudget& operator=(const TimeBudget&) = delete;

  /// Any thread, as all below. Idempotent.
  void pause();
  void go_on();
  [[nodiscard]] std::chrono::milliseconds counted() const;

 private:
  Clock::duration counted_until(Clock::time_point now) const;
  void watch();

  const Clock::duration bound_;
  const std::function<void()> spent_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Clock::time_point since_;    // the part that is being counted began then; guarded by mutex_, as all below
  Clock::duration before_{0};  // what was counted before it
  bool paused_ = false;
  bool ended_ = false;
  std::thread watch_;  // only with a bound
};

}  // namespace pawl::tool
