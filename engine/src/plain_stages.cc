#include <pawl/plain_stages.h>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <pawl/inbox.h>
#include <pawl/thread.h>

#include "base/check.h"
#include "queue/doorbell.h"
#include "queue/task_queue.h"

namespace pawl {
namespace {

constexpr std::uint32_t kMostThreads = 4096;

/// How far a stage has been cancelled; only ever rises.
class CancelLevel {
 public:
  void raise(Cancel how) noexcept {
    const std::uint8_t wanted = how == Cancel::all ? 2 : 1;
    std::uint8_t level = level_.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    // seq_cst [P1]: who puts a task in after this store sees the level, who put it in before is found by the canceller;
    // that is an order between two stores and two loads of different words.
    while (level < wanted && !level_.compare_exchange_weak(level, wanted, std::memory_order_seq_cst)) {
    }
    full_fence();  // [P1]: the look for tickets that follows is not seq_cst itself
  }
  [[nodiscard]] bool any() const noexcept { return level_.load(std::memory_order_seq_cst) != 0; }  // seq_cst [P1]

 private:
  std::atomic<std::uint8_t> level_{0};  // written by cancel(), read by all; publishes nothing
};

void cancel_task(Task& task) { task.give_up({ErrorCode::cancelled, "the run is stopping", 0}); }

/// Starts up to `count` threads; fewer if the system has no more.
template <class Run>
std::vector<std::thread> start_threads(std::uint32_t count, Run run) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    while (threads.size() < count) threads.emplace_back(run);
  } catch (const std::system_error&) {
    // Out of threads: told to the tasks if there is not even one, see take().
  }
  return threads;
}

class SaveNothing final : public SaveStage {
 public:
  void attach(StageSink& sink) override { sink_ = &sink; }
  void take(std::span<Task* const> tasks) noexcept override {
    const bool cancelled = cancelled_.any();
    for (Task* task : tasks) {
      if (cancelled)
        cancel_task(*task);
      else
        task->saved = true;
    }
    sink_->done(tasks);
  }
  void cancel(Cancel how) noexcept override { cancelled_.raise(how); }
  void stop() noexcept override {}
  void note_answers(std::span<Task* const>) noexcept override {}
  void release(std::span<Task* const>) noexcept override {}

 private:
  StageSink* sink_ = nullptr;
  CancelLevel cancelled_;
};

/// Counts what may be taken from a queue by one of many threads, and lets them sleep while that is nothing.
class Tickets {
 public:
  /// Adds tickets for what has been put into the queue. Wakes no more threads than there is work for.
  void add(std::uint32_t count) noexcept {
    // seq_cst [P2]: before the look at the sleepers. A release too: the queue's items come before their tickets.
    word_.fetch_add(count, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) != 0) wake(count);  // seq_cst [P2]
  }
  /// Every claim() fails once the tickets are used up.
  void close() noexcept {
    word_.fetch_or(kClosed, std::memory_order_seq_cst);
    wake(INT32_MAX);
  }
  /// Takes a ticket if there is one.
  bool try_claim() noexcept {
    std::uint32_t word = word_.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    while ((word & ~kClosed) != 0) {
      // acquire: pairs with add(); what the ticket is for is in the queue
      if (word_.compare_exchange_weak(word, word - 1, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    }
    return false;
  }
  /// Takes a ticket, sleeping until there is one. False: closed.
  bool claim() noexcept {
    while (!try_claim()) {
      // seq_cst [P2]: announced before the word is looked at again, here or by the kernel; add() changes the word
      // before it looks at the sleepers, so one of the two sees the other.
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      const std::uint32_t word = word_.load(std::memory_order_seq_cst);
      if (word == 0) wait_on(word_, 0, std::chrono::steady_clock::time_point::max());
      sleepers_.fetch_sub(1, std::memory_order_relaxed);  // relaxed: a late look wakes somebody for nothing
      if (word == kClosed) return false;
    }
    return true;
  }
  [[nodiscard]] std::uint32_t count() const noexcept {
    return word_.load(std::memory_order_relaxed) & ~kClosed;  // relaxed: a gauge
  }

 private:
  static constexpr std::uint32_t kClosed = 1u << 31;

  void wake(std::uint32_t count) noexcept {
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word_), FUTEX_WAKE_PRIVATE,
              static_cast<int>(std::min<std::uint32_t>(count, INT32_MAX)), nullptr, nullptr, 0);
  }

  std::atomic<std::uint32_t> word_{0};      // written by all: tickets left, and kClosed; publishes the queue's items
  std::atomic<std::uint32_t> sleepers_{0};  // written by claim(), read by add(): asleep or about to be
};

class CallThreads final : public Stage {
 public:
  CallThreads(StoppableCallFn call, CallOptions options)
      : call_(std::move(call)), options_(options), waiting_(kQueueSize) {
    PAWL_CHECK(call_ != nullptr);
    PAWL_CHECK(options_.validate().has_value());
  }

  void attach(StageSink& sink) override {
    sink_ = &sink;
    threads_ = start_threads(options_.threads, [this] { run(); });
  }
  void take(std::span<Task* const> tasks) noexcept override {
    if (threads_.empty()) {
      for (Task* task : tasks) task->give_up({ErrorCode::call, "no thread could be started for calls", 0});
      return sink_->done(tasks);
    }
    waiting_.put(tasks.data(), tasks.size());
    tickets_.add(static_cast<std::uint32_t>(tasks.size()));
    full_fence();                               // [P1]
    if (cancelled_.any()) give_back_waiting();  // [P1]: cancel() may have looked before the tickets were there
  }
  void cancel(Cancel how) noexcept override {
    cancelled_.raise(how);
    if (how == Cancel::all) stop_.request_stop();
    give_back_waiting();  // here, because every thread may be in a call that blocks
  }
  void stop() noexcept override {
    tickets_.close();
    for (std::thread& thread : threads_) thread.join();
  }
  [[nodiscard]] StageGauge gauge() const noexcept override {
    return {.waiting = tickets_.count(), .active = active_.load(std::memory_order_relaxed), .delayed = 0};
  }

 private:
  static constexpr std::size_t kQueueSize = 1024;  // to begin with

  void run() noexcept {
    name_this_thread("pawl-call");
    while (tickets_.claim()) {
      Task* task = next();
      active_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a gauge
      if (cancelled_.any())
        cancel_task(*task);
      else
        call(*task);
      active_.fetch_sub(1, std::memory_order_relaxed);
      sink_->done({&task, 1});
    }
  }
  void give_back_waiting() noexcept {
    std::array<Task*, 64> back;
    std::size_t count = 0;
    while (tickets_.try_claim()) {
      Task* task = next();
      cancel_task(*task);
      back[count++] = task;
      if (count == back.size()) sink_->done({back.data(), std::exchange(count, 0)});
    }
    if (count != 0) sink_->done({back.data(), count});
  }
  /// REQUIRES: a ticket. The queue may miss an item while another is being taken beside it, so look again.
  [[nodiscard]] Task* next() noexcept {
    Task* task = nullptr;
    while (waiting_.take(&task, 1) == 0) std::this_thread::yield();
    return task;
  }
  void call(Task& task) noexcept {
    Outcome& outcome = task.outcome;
    const auto started = std::chrono::system_clock::now();
    const auto from = std::chrono::steady_clock::now();
    const std::stop_token stopped = stop_.get_token();
    try {
      call_(task.request, outcome, stopped);
      if (outcome.kind == Outcome::Kind::none) {
        if (stopped.stop_requested()) return cancel_task(task);
        outcome.kind = Outcome::Kind::answered;
      }
      if (outcome.kind == Outcome::Kind::answered && outcome.status_code == 0) outcome.status_code = 200;
    } catch (const std::exception& thrown) {
      outcome.reset();
      outcome.kind = Outcome::Kind::failed;
      outcome.error_code = "exception";
      outcome.error_message = thrown.what();
    }
    if (outcome.attempts == 0) outcome.attempts = 1;
    if (outcome.started == std::chrono::system_clock::time_point{}) outcome.started = started;
    if (outcome.duration == std::chrono::milliseconds{0})
      outcome.duration = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - from);
  }

  const StoppableCallFn call_;
  const CallOptions options_;
  StageSink* sink_ = nullptr;
  PointerQueue<Task> waiting_;
  Tickets tickets_;  // one for each task in waiting_
  CancelLevel cancelled_;
  std::stop_source stop_;
  std::atomic<std::uint64_t> active_{0};  // a gauge
  std::vector<std::thread> threads_;
};

/// What a commit function threw, as the reason why its tasks are unfinished.
Error thrown_error(const std::exception& thrown) {
  Error error{ErrorCode::io, std::string("the commit function threw: ") + thrown.what(), 0};
  const auto* of_system = dynamic_cast<const std::system_error*>(&thrown);
  if (of_system != nullptr && (of_system->code().category() == std::system_category() ||
                               of_system->code().category() == std::generic_category()))
    error.sys_errno = of_system->code().value();
  return error;
}

class CommitThread final : public Stage {
 public:
  /// `most` tasks go through `commit` and come back together.
  CommitThread(CommitFn commit, std::size_t most) : commit_(std::move(commit)), most_(most) {
    PAWL_CHECK(commit_ != nullptr);
  }
  explicit CommitThread(CommitOneFn commit)
      : CommitThread([this](std::span<Task* const> tasks) { commit_each(tasks); }, kMostOfOnes) {
    commit_one_ = std::move(commit);
    PAWL_CHECK(commit_one_ != nullptr);
  }

  void attach(StageSink& sink) override {
    sink_ = &sink;
    threads_ = start_threads(1, [this] { run(); });
  }
  void take(std::span<Task* const> tasks) noexcept override {
    if (threads_.empty()) {
      for (Task* task : tasks) task->give_up({ErrorCode::io, "no thread could be started for commits", 0});
      return sink_->done(tasks);
    }
    taken_.fetch_add(tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
    inbox_.push(tasks);
    if (cancelled_.any()) give_back_waiting();  // [P1]: cancel() may have looked before the tasks were in
  }
  void cancel(Cancel how) noexcept override {
    cancelled_.raise(how);
    give_back_waiting();  // here, because the thread may be in a commit that blocks
  }
  void stop() noexcept override {
    stopping_.store(true, std::memory_order_release);  // release: before the bell; all tasks have come back
    inbox_.ring();
    for (std::thread& thread : threads_) thread.join();
  }
  [[nodiscard]] StageGauge gauge() const noexcept override {
    // Parts of `taken`, read before it, so that no difference is negative.
    const std::uint64_t ended = ended_.load(std::memory_order_relaxed);  // relaxed: a gauge
    const std::uint64_t active = active_.load(std::memory_order_relaxed);
    const std::uint64_t taken = taken_.load(std::memory_order_relaxed);
    return {.waiting = taken - std::min(taken, ended + active), .active = active, .delayed = 0};
  }

 private:
  static constexpr std::size_t kMostOfOnes = 64;  // so that slow commits give credits back as they go

  void run() noexcept {
    name_this_thread("pawl-commit");
    std::vector<Task*> group;
    for (;;) {
      const bool last_look = stopping_.load(std::memory_order_acquire);
      collect(inbox_.take_all(), group);
      if (group.empty()) {
        if (last_look) return;
        inbox_.wait(std::chrono::steady_clock::time_point::max());
        continue;
      }
      for (std::span<Task* const> left = group; !left.empty();) {
        const auto part = left.first(std::min(left.size(), most_));
        left = left.subspan(part.size());
        active_.store(part.size(), std::memory_order_relaxed);  // relaxed: a gauge
        commit(part);
        active_.store(0, std::memory_order_relaxed);
        give_back(part);
      }
      group.clear();
    }
  }
  void give_back_waiting() noexcept {
    std::vector<Task*> group;
    collect(inbox_.take_all(), group);
    for (Task* task : group) cancel_task(*task);
    give_back(group);
  }
  static void collect(Task* first, std::vector<Task*>& to) {
    for (Task* task = first; task != nullptr; task = task->link) to.push_back(task);
  }
  void give_back(std::span<Task* const> tasks) noexcept {
    if (tasks.empty()) return;
    ended_.fetch_add(tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
    sink_->done(tasks);
  }
  void commit(std::span<Task* const> tasks) noexcept {
    if (cancelled_.any()) {
      for (Task* task : tasks) cancel_task(*task);
      return;
    }
    try {
      commit_(tasks);
      for (Task* task : tasks) task->committed = true;
    } catch (const std::exception& thrown) {
      const Error why = thrown_error(thrown);
      for (Task* task : tasks)
        if (!task->committed) task->give_up(why);
    }
    for (Task* task : tasks)
      if (task->fate == Fate::unfinished) task->committed = false;
  }
  void commit_each(std::span<Task* const> tasks) {
    for (Task* task : tasks) {
      if (cancelled_.any()) {
        cancel_task(*task);
        continue;
      }
      try {
        commit_one_(*task);
      } catch (const std::exception& thrown) {
        task->give_up(thrown_error(thrown));
      }
    }
  }

  const CommitFn commit_;
  CommitOneFn commit_one_;  // empty: commit_ is the user's own
  const std::size_t most_;
  StageSink* sink_ = nullptr;
  Inbox<Task> inbox_;
  CancelLevel cancelled_;
  std::atomic<bool> stopping_{false};                           // written by stop(), read by the thread
  std::atomic<std::uint64_t> taken_{0}, ended_{0}, active_{0};  // gauges
  std::vector<std::thread> threads_;
};

}  // namespace

Result<void> CallOptions::validate() const {
  if (threads >= 1 && threads <= kMostThreads) return {};
  return failure(ErrorCode::usage, "threads is " + std::to_string(threads) + ", it must be 1 to 4096");
}

std::unique_ptr<SaveStage> save_nothing() { return std::make_unique<SaveNothing>(); }

std::unique_ptr<Stage> call_with(CallFn call, CallOptions options) {
  PAWL_CHECK(call != nullptr);
  return std::make_unique<CallThreads>([call = std::move(call)](const Request& request, Outcome& outcome,
                                                                const std::stop_token&) { call(request, outcome); },
                                       options);
}

std::unique_ptr<Stage> call_with(StoppableCallFn call, CallOptions options) {
  return std::make_unique<CallThreads>(std::move(call), options);
}

std::unique_ptr<Stage> commit_with(CommitFn commit) {
  return std::make_unique<CommitThread>(std::move(commit), SIZE_MAX);
}

std::unique_ptr<Stage> commit_with(CommitOneFn commit) { return std::make_unique<CommitThread>(std::move(commit)); }

}  // namespace pawl
