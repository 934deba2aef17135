#include "time_budget.h"

#include <utility>

#include <pawl/thread.h>

namespace pawl::tool {

TimeBudget::TimeBudget(std::chrono::milliseconds bound, Clock::time_point began, std::function<void()> spent)
    : bound_(bound), spent_(std::move(spent)), since_(began) {
  if (bound.count() > 0)
    watch_ = std::thread([this] {
      name_this_thread("pawl-budget");
      watch();
    });
}

TimeBudget::~TimeBudget() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (watch_.joinable()) watch_.join();
}

void TimeBudget::pause() {
  const std::lock_guard lock(mutex_);
  if (paused_) return;
  before_ = counted_until(Clock::now());
  paused_ = true;
  changed_.notify_all();
}

void TimeBudget::go_on() {
  const std::lock_guard lock(mutex_);
  if (!paused_) return;
  since_ = Clock::now();
  paused_ = false;
  changed_.notify_all();
}

std::chrono::milliseconds TimeBudget::counted() const {
  const std::lock_guard lock(mutex_);
  return std::chrono::duration_cast<std::chrono::milliseconds>(counted_until(Clock::now()));
}

/// mutex_ is held.
TimeBudget::Clock::duration TimeBudget::counted_until(Clock::time_point now) const {
  return paused_ ? before_ : before_ + (now - since_);
}

void TimeBudget::watch() {
  std::unique_lock lock(mutex_);
  while (!ended_ && (paused_ || counted_until(Clock::now()) < bound_)) {
    if (paused_)
      changed_.wait(lock);
    else
      changed_.wait_until(lock, since_ + (bound_ - before_));
  }
  if (ended_) return;
  lock.unlock();
  spent_();
}

}  // namespace pawl::tool
