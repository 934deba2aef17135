#include <pawl/watchdog.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <tuple>
#include <vector>

#include <pawl/inbox.h>
#include <pawl/thread.h>

#include "base/coarse_clock.h"

namespace pawl {

struct Watchdog::Impl {
  Impl(const Engine& watched, std::chrono::milliseconds longest, ReportFn tell)
      : engine(watched),
        bound(std::max(longest, std::chrono::milliseconds(10))),
        report(std::move(tell)),
        thread([this] { run(); }) {}
  ~Impl() {
    over.store(1, std::memory_order_release);
    wake_all(over);
    thread.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void run() {
    name_this_thread("pawl-watchdog");
    while (over.load(std::memory_order_acquire) == 0) {
      wait_on(over, 0, time_in(bound / 4));
      if (over.load(std::memory_order_acquire) == 0) look();
    }
  }
  void look() {
    std::vector<Overdue> now = engine.overdue(bound, kMost);
    std::vector<Overdue> fresh;
    for (const Overdue& task : now)
      if (std::none_of(told.begin(), told.end(), [&](const Overdue& old) { return is_same_stay(task, old); }))
        fresh.push_back(task);
    told = std::move(now);
    if (!fresh.empty()) report(fresh);
  }
  static bool is_same_stay(const Overdue& a, const Overdue& b) {
    return a.age >= b.age && std::tie(a.place, a.id, a.stream) == std::tie(b.place, b.id, b.stream);
  }

  static constexpr std::size_t kMost = 1000;  // looked at in a round; the longest first

  const Engine& engine;
  const std::chrono::milliseconds bound;
  const ReportFn report;
  std::vector<Overdue> told;           // in the last round; the thread's
  std::atomic<std::uint32_t> over{0};  // 1: the watchdog goes away; written by the destructor
  std::thread thread;
};

Watchdog::Watchdog(const Engine& engine, std::chrono::milliseconds bound, ReportFn report)
    : impl_(std::make_unique<Impl>(engine, bound, std::move(report))) {}
Watchdog::~Watchdog() = default;

}  // namespace pawl
