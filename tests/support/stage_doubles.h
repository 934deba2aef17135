// In-memory stages behind the engine's ports, for tests of the engine: they keep every promise of stages.h (the
// contract suite runs on them) and let a test choose failures, order of completion and threads.
//
// Not for tests of an adapter: those use the real thing.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pawl/inbox.h>
#include <pawl/stages.h>

namespace pawl::test {

/// The seed of a random test: PAWL_SEED if set, else a fresh one. Printed, so that a failure can be run again.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("PAWL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << std::endl;
  return seed;
}

/// A stage with a thread of its own: what comes in through take() is worked off by step().
template <class Port>
class OwnThreadStage : public Port {
 public:
  void attach(StageSink& sink) override {
    sink_ = &sink;
    thread_ = std::thread([this] { run(); });
  }
  void take(std::span<Task* const> tasks) noexcept override {
    waiting_count_.fetch_add(tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
    inbox_.push(tasks);
  }
  void cancel(Cancel how) noexcept override {
    const auto wanted = how == Cancel::all ? 2u : 1u;
    auto level = cancel_level_.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    while (level < wanted && !cancel_level_.compare_exchange_weak(level, wanted, std::memory_order_acq_rel)) {
    }
    inbox_.ring();
  }
  void stop() noexcept override {
    stopping_.store(true, std::memory_order_release);
    inbox_.ring();
    thread_.join();
  }
  [[nodiscard]] StageGauge gauge() const noexcept override {
    return {.waiting = waiting_count_.load(std::memory_order_relaxed),
            .active = active_count_.load(std::memory_order_relaxed),
            .delayed = 0};
  }

 protected:
  using Clock = std::chrono::steady_clock;

  /// Works on waiting(); returns false if nothing can be done until more comes in.
  virtual bool step() = 0;
  [[nodiscard]] virtual bool idle() const { return waiting().empty(); }

  [[nodiscard]] const std::vector<Task*>& waiting() const noexcept { return waiting_; }
  /// Moves up to `most` of the oldest waiting tasks to `to`.
  void begin(std::vector<Task*>& to, std::size_t most) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(most, waiting_.size()));
    to.insert(to.end(), waiting_.begin(), waiting_.begin() + count);
    waiting_.erase(waiting_.begin(), waiting_.begin() + count);
    waiting_count_.fetch_sub(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
    active_count_.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
  }
  /// Gives back tasks that begin() moved out, and empties `tasks`.
  void give_back(std::vector<Task*>& tasks) {
    active_count_.fetch_sub(tasks.size(), std::memory_order_relaxed);
    if (!tasks.empty()) sink_->done(tasks);
    tasks.clear();
  }
  static void cancel_task(Task& task) { task.give_up({ErrorCode::cancelled, "the stage was cancelled", 0}); }
  void cancel_waiting() {
    std::vector<Task*> cancelled;
    begin(cancelled, waiting_.size());
    for (Task* task : cancelled) cancel_task(*task);
    give_back(cancelled);
  }
  [[nodiscard]] bool cancelled_waiting() const noexcept { return cancel_level_.load(std::memory_order_acquire) >= 1; }
  [[nodiscard]] bool cancelled_all() const noexcept { return cancel_level_.load(std::memory_order_acquire) >= 2; }
  [[nodiscard]] StageSink& sink() noexcept { return *sink_; }

 private:
  void run() {
    for (;;) {
      const bool last_look = stopping_.load(std::memory_order_acquire);
      for (Task* task = inbox_.take_all(); task != nullptr;) {
        waiting_.push_back(task);
        task = task->link;
      }
      if (step()) continue;
      if (last_look && idle()) return;
      inbox_.wait(Clock::time_point::max());
    }
  }

  StageSink* sink_ = nullptr;
  Inbox<Task> inbox_;
  std::vector<Task*> waiting_;                   // stage thread only; oldest first
  std::atomic<std::uint64_t> waiting_count_{0};  // for gauge()
  std::atomic<std::uint64_t> active_count_{0};   // for gauge()
  std::atomic<unsigned> cancel_level_{0};        // 1: waiting, 2: all
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

/// Saves at once, in memory. From the `fail_from`-th task on every save fails.
class MemorySave final : public OwnThreadStage<SaveStage> {
 public:
  struct Options {
    std::uint64_t fail_from = UINT64_MAX;  // 0: the first fails already
    bool on_caller = false;                // done() inside take(), no hop to the stage's thread
  };
  MemorySave() = default;
  explicit MemorySave(Options options) : options_(options) {}

  void take(std::span<Task* const> tasks) noexcept override {
    if (!options_.on_caller) return OwnThreadStage::take(tasks);
    for (Task* task : tasks) save(*task);
    sink().done(tasks);
  }
  void note_answers(std::span<Task* const> tasks) noexcept override {
    for (Task* task : tasks) task->answer_mark = answers_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  void release(std::span<Task* const> tasks) noexcept override {
    for (Task* task : tasks)
      if (!task->committed || !task->saved || task->save_mark == 0) wrong_releases_.fetch_add(1);
    released_.fetch_add(tasks.size());
  }

  [[nodiscard]] std::uint64_t saved() const { return saved_.load(); }
  [[nodiscard]] std::uint64_t answers() const { return answers_.load(); }
  [[nodiscard]] std::uint64_t released() const { return released_.load(); }
  /// Releases of tasks that were not both saved here (or before) and committed.
  [[nodiscard]] std::uint64_t wrong_releases() const { return wrong_releases_.load(); }

 private:
  bool step() override {
    if (waiting().empty()) return false;
    std::vector<Task*> group;
    begin(group, waiting().size());
    for (Task* task : group) save(*task);
    give_back(group);
    return true;
  }
  void save(Task& task) {
    if (cancelled_waiting()) return cancel_task(task);
    const std::uint64_t nth = seen_++;
    if (nth >= options_.fail_from) return task.give_up({ErrorCode::io, "the disk is full", ENOSPC});
    task.saved = true;
    task.save_mark = 1 + nth / 256;
    saved_.fetch_add(1);
  }

  Options options_;
  std::uint64_t seen_ = 0;  // one take() or one thread at a time
  std::atomic<std::uint64_t> saved_{0}, answers_{0}, released_{0}, wrong_releases_{0};
};

/// What a call comes to.
enum class Answer : std::uint8_t { ok, http_error, no_response, unfinished, never };

/// Calls on a thread of its own that end in a random order.
class DelayedCall final : public OwnThreadStage<Stage> {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::size_t window = 64;                         // calls begun at once, at most
    std::size_t response_bytes = 2;                  // length of each response body
    bool foreign_thread = false;                     // done() from a thread made for it
    std::function<Answer(const Task&)> answer = {};  // default: always ok
    std::function<void(const Task&)> on_begin = {};  // sees each task that is called
  };
  DelayedCall() : DelayedCall(Options{}) {}
  explicit DelayedCall(Options options) : options_(std::move(options)), random_(options_.seed) {}

  [[nodiscard]] std::uint64_t called() const { return called_.load(); }
  /// Calls that will never end by themselves and are under way.
  [[nodiscard]] std::uint64_t stuck() const { return stuck_count_.load(); }

 private:
  bool step() override {
    if (cancelled_waiting()) cancel_waiting();
    const std::size_t room = options_.window - std::min(options_.window, running_.size() + stuck_.size());
    const std::size_t begun_before = running_.size();
    begin(running_, room);
    for (std::size_t i = begun_before; i < running_.size(); ++i) start(*running_[i]);
    move_stuck();
    if (cancelled_all()) {
      for (Task* task : stuck_) cancel_task(*task);
      stuck_count_.fetch_sub(stuck_.size());
      give_back(stuck_);
    }
    if (running_.empty()) return false;
    finish_some();
    return true;
  }
  [[nodiscard]] bool idle() const override { return waiting().empty() && running_.empty() && stuck_.empty(); }

  void start(Task& task) {
    if (options_.on_begin) options_.on_begin(task);
    called_.fetch_add(1);
  }
  [[nodiscard]] Answer answer_to(const Task& task) const {
    return options_.answer ? options_.answer(task) : Answer::ok;
  }
  void move_stuck() {
    if (!options_.answer) return;
    const auto first_stuck = std::partition(running_.begin(), running_.end(),
                                            [&](const Task* task) { return answer_to(*task) != Answer::never; });
    stuck_count_.fetch_add(static_cast<std::uint64_t>(running_.end() - first_stuck));
    stuck_.insert(stuck_.end(), first_stuck, running_.end());
    running_.erase(first_stuck, running_.end());
  }
  void finish_some() {
    std::vector<Task*> ended;
    for (std::size_t left = 1 + random_() % running_.size(); left > 0; --left) {
      std::swap(running_[random_() % running_.size()], running_.back());
      ended.push_back(running_.back());
      running_.pop_back();
    }
    for (Task* task : ended) end(*task);
    if (options_.foreign_thread)
      std::thread([&] { give_back(ended); }).join();
    else
      give_back(ended);
  }
  void end(Task& task) {
    const Answer answer = answer_to(task);
    if (answer == Answer::unfinished) return task.give_up({ErrorCode::call, "the call could not be made", 0});
    Outcome& outcome = task.outcome;
    outcome.attempts = 1;
    if (answer == Answer::no_response) {
      outcome.kind = Outcome::Kind::failed;
      outcome.error_code = "connect_failed";
      return;
    }
    outcome.kind = Outcome::Kind::answered;
    outcome.status_code = answer == Answer::ok ? 200 : 500;
    outcome.body.assign(options_.response_bytes, 'r');
  }

  Options options_;
  std::mt19937_64 random_;
  std::vector<Task*> running_, stuck_;  // stage thread only
  std::atomic<std::uint64_t> called_{0}, stuck_count_{0};
};

/// What PlainEncoder hangs on a task.
struct PlainText final : Attachment {
  std::string text;
};

class PlainEncoder final : public Encoder {
 public:
  void encode(Task& task) noexcept override {
    if (!task.encoded) task.encoded = std::make_unique<PlainText>();
    static_cast<PlainText&>(*task.encoded).text.assign(task.request.id);
  }
};

/// Commits to a list in memory.
class MemoryCommit final : public OwnThreadStage<Stage> {
 public:
  struct Key {
    std::string stream, id;
    bool operator==(const Key&) const = default;
  };
  struct Options {
    bool on_caller = false;                           // done() inside take(), no hop to the stage's thread
    std::function<bool(const Task&)> refuse = {};     // gives these up
    std::function<bool(const Task&)> unchanged = {};  // holds these already
  };
  MemoryCommit() = default;
  explicit MemoryCommit(Options options) : options_(std::move(options)) {}

  void take(std::span<Task* const> tasks) noexcept override {
    if (!options_.on_caller) return OwnThreadStage::take(tasks);
    for (Task* task : tasks) commit(*task);
    sink().done(tasks);
  }

  /// What has been committed so far, in order. Any thread.
  [[nodiscard]] std::vector<Key> committed() const {
    std::lock_guard lock(mutex_);
    return committed_;
  }

 private:
  bool step() override {
    if (waiting().empty()) return false;
    std::vector<Task*> group;
    begin(group, waiting().size());
    for (Task* task : group) commit(*task);
    give_back(group);
    return true;
  }
  void commit(Task& task) {
    if (cancelled_waiting()) return cancel_task(task);
    const auto* text = static_cast<const PlainText*>(task.encoded.get());
    if (text == nullptr || text->text != task.request.id)
      return task.give_up({ErrorCode::repository, "the task was not encoded", 0});
    if (options_.refuse && options_.refuse(task))
      return task.give_up({ErrorCode::repository, "the commit was refused", 0});
    task.committed = true;
    task.unchanged = options_.unchanged && options_.unchanged(task);
    std::lock_guard lock(mutex_);
    committed_.push_back({task.request.stream, task.request.id});
  }

  Options options_;
  mutable std::mutex mutex_;
  std::vector<Key> committed_;
};

}  // namespace pawl::test
