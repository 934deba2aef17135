// Watchdog: tells about tasks that have been in one stage for longer than they should.
//
// It only reports. A stage that is merely slow goes on; what to do about one that is stuck (abort, page somebody) is
// the program's decision.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>

#include <pawl/engine.h>
#include <pawl/export.h>

namespace pawl {

/// A thread that looks at an engine four times in each `bound`.
class PAWL_API Watchdog {
 public:
  /// Called on the watchdog's thread with the tasks that are newly overdue: each once for each stay in a stage. May
  /// call anything of the engine except its destructor.
  using ReportFn = std::function<void(std::span<const Overdue>)>;

  /// `bound` is at least 10 ms. Of more than 1,000 tasks that are overdue at a time only the longest are told. `report`
  /// must not throw. The engine must outlive the watchdog. Throws std::system_error if no thread can be had.
  Watchdog(const Engine& engine, std::chrono::milliseconds bound, ReportFn report);
  /// Ends the thread, without waiting for a whole round.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  struct PAWL_LOCAL Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl
