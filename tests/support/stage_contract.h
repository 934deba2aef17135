// The contract of pawl::Stage as a test suite. Every stage passes it: the real adapters and the doubles.
//
// To put a stage under it: include this header in one test source, write a function that makes a fresh stage, and
//
//   INSTANTIATE_TEST_SUITE_P(Journal, StageContract, testing::Values(StageCase{
//       .name = "journal", .duty = StageDuty::save, .make = make_journal_stage}), stage_case_name);
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/latency.h>
#include <pawl/stages.h>

#include "within.h"

namespace pawl::test {

/// What a stage is for, that is what a task it has finished must show.
enum class StageDuty : std::uint8_t { save, call, commit };

/// What a stage does with a task that arrives after cancel().
enum class AfterCancel : std::uint8_t {
  gives_back,  // gives it up as cancelled
  finishes,    // does its duty, in time: for a stage whose work is quick and would be wasteful to leave undone
};

/// A fresh stage and what it needs around it (a folder, a server), which goes away after it.
struct StageSetup {
  std::shared_ptr<void> surroundings;
  std::unique_ptr<Stage> stage;
  /// Makes the i-th task one that this stage takes. It finds a plausible task that has passed the stages before.
  std::function<void(Task&, std::size_t i)> prepare = [](Task&, std::size_t) {};
};

struct StageCase {
  const char* name;
  StageDuty duty;
  std::function<StageSetup()> make;
  std::function<StageSetup()> make_stuck = {};   // optional: a stage that finishes no task before it is cancelled
  std::chrono::milliseconds cancel_limit{1000};  // on a machine with nothing else to do, see within.h
  AfterCancel after_cancel = AfterCancel::gives_back;
};

inline std::string stage_case_name(const testing::TestParamInfo<StageCase>& info) { return info.param.name; }
inline void PrintTo(const StageCase& stage_case, std::ostream* out) { *out << stage_case.name; }

/// Collects what a stage gives back.
class CollectingSink final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    for (Task* task : tasks) ++times_[task];
    total_ += tasks.size();
    changed_.notify_all();
  }
  /// True as soon as `count` tasks have come back, false if that takes longer than `limit`.
  [[nodiscard]] bool wait_for(std::size_t count, std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return total_ >= count; });
  }
  [[nodiscard]] std::size_t total() const {
    const std::lock_guard lock(mutex_);
    return total_;
  }
  [[nodiscard]] std::size_t times(Task& task) const {
    const std::lock_guard lock(mutex_);
    const auto found = times_.find(&task);
    return found == times_.end() ? 0 : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<Task*, std::size_t> times_;
  std::size_t total_ = 0;
};

class StageContract : public testing::TestWithParam<StageCase> {
 protected:
  static constexpr std::chrono::milliseconds kPatience{120'000};

  void start(const std::function<StageSetup()>& make) {
    setup_ = make();
    ASSERT_NE(setup_.stage, nullptr);
    sink_ = std::make_unique<CollectingSink>();
    taken_ = 0;
    setup_.stage->attach(*sink_);
    attached_ = true;
  }
  void start() { start(GetParam().make); }

  /// Makes `count` tasks; call once per test. Their number is part of the task, so streams interleave.
  std::vector<Task*> make_tasks(std::size_t count) {
    tasks_ = std::vector<Task>(count);
    std::vector<Task*> pointers;
    for (std::size_t i = 0; i < count; ++i) {
      fill(tasks_[i], i);
      tasks_[i].admitted = std::chrono::steady_clock::now();
      setup_.prepare(tasks_[i], i);
      pointers.push_back(&tasks_[i]);
    }
    return pointers;
  }

  /// Each task came back once, and shows that it is finished or says why not.
  void expect_all_back_once() {
    EXPECT_EQ(sink_->total(), tasks_.size());
    for (Task& task : tasks_) {
      ASSERT_EQ(sink_->times(task), 1u) << task.request.id;
      ASSERT_EQ(task.error.has_value(), task.fate == Fate::unfinished) << task.request.id;
      if (task.fate == Fate::unfinished) {
        ASSERT_FALSE(task.error->context.empty()) << task.request.id;
        if (GetParam().duty == StageDuty::commit) {
          ASSERT_FALSE(task.committed) << task.request.id;
        }
      } else {
        ASSERT_TRUE(shows_its_duty(task)) << task.request.id;
      }
    }
  }
  [[nodiscard]] std::size_t live() const {
    return static_cast<std::size_t>(
        std::count_if(tasks_.begin(), tasks_.end(), [](const Task& task) { return task.fate == Fate::live; }));
  }
  void stop() {
    if (!attached_) return;
    attached_ = false;
    setup_.stage->stop();
    const std::size_t at_stop = sink_->total();
    setup_.stage.reset();
    EXPECT_EQ(sink_->total(), at_stop) << "a task came back after stop()";
  }
  void TearDown() override {
    if (!attached_) return;
    setup_.stage->cancel(Cancel::all);
    if (sink_->wait_for(taken_, kPatience)) stop();
  }
  void take(std::span<Task* const> tasks) {
    taken_ += tasks.size();
    setup_.stage->take(tasks);
  }
  [[nodiscard]] static bool shows_its_duty(const Task& task) {
    switch (GetParam().duty) {
      case StageDuty::save: return task.saved;
      case StageDuty::call: return task.outcome.kind != Outcome::Kind::none;
      case StageDuty::commit: return task.committed;
    }
    return false;
  }

  std::vector<Task> tasks_;
  std::unique_ptr<CollectingSink> sink_;
  StageSetup setup_;
  std::size_t taken_ = 0;
  bool attached_ = false;

 private:
  static void fill(Task& task, std::size_t i) {
    Request& request = task.request;
    request.task_id = {1'700'000'000'000'000, i + 1};
    request.stream = "stream-" + std::to_string(i % 7);
    request.id = "task-" + std::to_string(i);
    request.position = i / 7;
    request.method = "POST";
    request.url = "http://127.0.0.1:9/v1/echo";
    request.content_type = "application/json";
    request.body = R"({"n":)" + std::to_string(i) + "}";
    for (std::size_t byte = 0; byte < request.digest.size(); ++byte)
      request.digest[byte] = static_cast<std::uint8_t>(i >> (byte % 8));
    const StageDuty duty = GetParam().duty;
    if (duty == StageDuty::save) return;
    task.saved = true;
    task.save_mark = 1;
    if (duty == StageDuty::call) return;
    task.outcome.kind = Outcome::Kind::answered;
    task.outcome.status_code = 200;
    task.outcome.content_type = "application/json";
    task.outcome.body = R"({"answer":)" + std::to_string(i) + "}";
    task.outcome.attempts = 1;
    task.answer_mark = 1;
  }
};

TEST_P(StageContract, GivesBackOneTask) {
  start();
  take(make_tasks(1));
  ASSERT_TRUE(sink_->wait_for(1, kPatience));
  stop();
  expect_all_back_once();
  EXPECT_EQ(live(), 1u);
}

TEST_P(StageContract, GivesBackABatchOfAThousandOnce) {
  start();
  take(make_tasks(1000));
  ASSERT_TRUE(sink_->wait_for(1000, kPatience));
  stop();
  expect_all_back_once();
  EXPECT_EQ(live(), 1000u);
}

TEST_P(StageContract, GivesBackTasksOfManyTakesOnce) {
  start();
  const auto all = make_tasks(700);
  for (std::size_t i = 0; i < all.size(); i += 7) take(std::span(all).subspan(i, 7));
  ASSERT_TRUE(sink_->wait_for(all.size(), kPatience));
  if (const LatencyHistogram* took = setup_.stage->latency()) {
    EXPECT_EQ(took->look().count, 700u);
    EXPECT_GT(took->look().max_ms, 0);
    EXPECT_LT(took->look().max_ms, static_cast<double>(kPatience.count()));
  }
  stop();
  expect_all_back_once();
  EXPECT_EQ(live(), 700u);
}

TEST_P(StageContract, TakesMoreAfterItHasBeenIdle) {
  start();
  const auto all = make_tasks(3);
  for (std::size_t i = 0; i < all.size(); ++i) {
    take(std::span(all).subspan(i, 1));
    ASSERT_TRUE(sink_->wait_for(i + 1, kPatience));
  }
  stop();
  expect_all_back_once();
}

TEST_P(StageContract, GaugeIsZeroWhenAllIsBack) {
  start();
  take(make_tasks(100));
  ASSERT_TRUE(sink_->wait_for(100, kPatience));
  // A stage may count a task out just after it has given it back.
  const auto until = std::chrono::steady_clock::now() + kPatience;
  const auto held = [&] {
    const StageGauge gauge = setup_.stage->gauge();
    return gauge.waiting + gauge.active + gauge.delayed;
  };
  while (held() != 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(held(), 0u);
  stop();
}

TEST_P(StageContract, CancelWaitingBringsEverythingBackInTime) {
  start();
  const auto all = make_tasks(1000);
  take(all);
  setup_.stage->cancel(Cancel::waiting);
  EXPECT_TRUE(sink_->wait_for(all.size(), within(GetParam().cancel_limit)));
  ASSERT_TRUE(sink_->wait_for(all.size(), kPatience));
  stop();
  expect_all_back_once();
}

TEST_P(StageContract, CancelAllBringsEverythingBackInTime) {
  start();
  const auto all = make_tasks(1000);
  take(all);
  setup_.stage->cancel(Cancel::all);
  EXPECT_TRUE(sink_->wait_for(all.size(), within(GetParam().cancel_limit)));
  ASSERT_TRUE(sink_->wait_for(all.size(), kPatience));
  stop();
  expect_all_back_once();
}

TEST_P(StageContract, CancelAllMayFollowCancelWaiting) {
  start();
  const auto all = make_tasks(500);
  take(all);
  setup_.stage->cancel(Cancel::waiting);
  setup_.stage->cancel(Cancel::all);
  setup_.stage->cancel(Cancel::waiting);
  EXPECT_TRUE(sink_->wait_for(all.size(), within(GetParam().cancel_limit)));
  ASSERT_TRUE(sink_->wait_for(all.size(), kPatience));
  stop();
  expect_all_back_once();
}

TEST_P(StageContract, TakeAfterCancelComesBackInTime) {
  for (const Cancel how : {Cancel::waiting, Cancel::all}) {
    start();
    setup_.stage->cancel(how);
    take(make_tasks(50));
    ASSERT_TRUE(sink_->wait_for(50, within(GetParam().cancel_limit)));
    stop();
    expect_all_back_once();
    if (GetParam().after_cancel == AfterCancel::finishes) {
      EXPECT_EQ(live(), 50u);
      continue;
    }
    EXPECT_EQ(live(), 0u);
    for (const Task& task : tasks_) EXPECT_EQ(task.error->code, ErrorCode::cancelled);
  }
}

TEST_P(StageContract, CancelAllFreesTasksThatWouldNeverEnd) {
  if (!GetParam().make_stuck) GTEST_SKIP() << "nothing in this stage can hang";
  start(GetParam().make_stuck);
  const auto all = make_tasks(300);
  take(all);
  const auto until = std::chrono::steady_clock::now() + kPatience;
  const auto begun = [&] { return setup_.stage->gauge().active + setup_.stage->gauge().delayed != 0; };
  while (!begun() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  ASSERT_TRUE(begun());
  ASSERT_EQ(sink_->total(), 0u);
  setup_.stage->cancel(Cancel::all);
  EXPECT_TRUE(sink_->wait_for(all.size(), within(GetParam().cancel_limit)));
  ASSERT_TRUE(sink_->wait_for(all.size(), kPatience));
  stop();
  expect_all_back_once();
  EXPECT_EQ(live(), 0u);
}

TEST_P(StageContract, StopsWithoutEverTaking) {
  start();
  stop();
  EXPECT_EQ(sink_->total(), 0u);
}

}  // namespace pawl::test
