// What becomes of a stage that breaks its contract or takes for ever.
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <pawl/watchdog.h>

#include "engine_rig.h"

namespace pawl::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

/// A call stage that keeps tasks until it is told to give them back. On cancel it gives back what it has, or not.
class KeepingCall final : public Stage {
 public:
  enum class OnCancel : std::uint8_t { give_back, keep };
  explicit KeepingCall(OnCancel on_cancel = OnCancel::give_back) : on_cancel_(on_cancel) {}

  void attach(StageSink& sink) override { sink_ = &sink; }
  void take(std::span<Task* const> tasks) noexcept override {
    {
      const std::lock_guard lock(mutex_);
      kept_.insert(kept_.end(), tasks.begin(), tasks.end());
    }
    if (cancelled_.load()) give_up_all();
  }
  void cancel(Cancel) noexcept override {
    if (on_cancel_ == OnCancel::keep) return;
    cancelled_.store(true);
    give_up_all();
  }
  void stop() noexcept override {}

  /// Ends the calls kept so far. Returns the tasks.
  std::vector<Task*> answer() {
    std::vector<Task*> now = take_kept();
    for (Task* task : now) {
      task->outcome.kind = Outcome::Kind::answered;
      task->outcome.status_code = 200;
    }
    sink_->done(now);
    return now;
  }
  /// Ends the oldest call alone.
  void answer_first() {
    Task* first = nullptr;
    {
      const std::lock_guard lock(mutex_);
      first = kept_.front();
      kept_.erase(kept_.begin());
    }
    first->outcome.kind = Outcome::Kind::answered;
    first->outcome.status_code = 200;
    sink_->done({&first, 1});
  }
  [[nodiscard]] std::size_t kept() {
    const std::lock_guard lock(mutex_);
    return kept_.size();
  }
  [[nodiscard]] StageSink& sink() { return *sink_; }

 private:
  std::vector<Task*> take_kept() {
    const std::lock_guard lock(mutex_);
    return std::exchange(kept_, {});
  }
  void give_up_all() noexcept {
    const std::vector<Task*> now = take_kept();
    for (Task* task : now) task->give_up({ErrorCode::cancelled, "cancelled", 0});
    sink_->done(now);
  }

  const OnCancel on_cancel_;
  std::atomic<bool> cancelled_{false};
  StageSink* sink_ = nullptr;
  std::mutex mutex_;
  std::vector<Task*> kept_;
};

struct KeepingRig {
  explicit KeepingRig(KeepingCall::OnCancel on_cancel = KeepingCall::OnCancel::give_back, RetireFn on_retire = {}) {
    auto made_call = std::make_unique<KeepingCall>(on_cancel);
    call = made_call.get();
    Limits limits{.tasks_in_flight = 64, .encode_threads = 2};
    limits.stop_patience = seconds(1);
    engine = std::move(Engine::make(limits,
                                    {std::make_unique<MemorySave>(), std::move(made_call),
                                     std::make_unique<PlainEncoder>(), std::make_unique<MemoryCommit>()},
                                    std::move(on_retire))
                           .value());
  }
  /// Submits and waits until the calls are under way.
  void submit_ids(std::size_t count) {
    Producer producer = engine->producer();
    for (const auto& id : ids(count)) submit(producer, "stream " + id, id);
    ASSERT_TRUE(eventually([&] { return call->kept() == count; }));
  }
  KeepingCall* call = nullptr;
  std::unique_ptr<Engine> engine;
};

TEST(EngineFault, CloseWithADeadlineSaysWhatItWaitsForAndMayBeRepeated) {
  KeepingRig rig;
  rig.submit_ids(3);
  EXPECT_FALSE(rig.engine->flush(steady_clock::now() + milliseconds(20)));
  EXPECT_FALSE(rig.engine->close(steady_clock::now() + milliseconds(20)));
  const auto left = rig.engine->overdue(milliseconds(0));
  ASSERT_EQ(left.size(), 3u);
  for (const Overdue& task : left) {
    EXPECT_EQ(task.place, Place::calling);
    EXPECT_EQ(task.stream, "stream " + task.id);
  }
  Producer late = rig.engine->producer();
  Request one = request("s", "late");
  EXPECT_EQ(late.submit(one), Admission::closed) << "a deadline that passes does not open the engine again";
  rig.call->answer();
  EXPECT_TRUE(rig.engine->close(steady_clock::now() + seconds(60)));
  EXPECT_EQ(rig.engine->status().committed, 3u);
  EXPECT_TRUE(rig.engine->overdue(milliseconds(0)).empty());
}

TEST(EngineFault, AFlushWhoseDeadlinePassesDoesNotDisturbTheNext) {
  KeepingRig rig;
  rig.submit_ids(2);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(rig.engine->flush(steady_clock::now()));
  std::thread flusher([&] { rig.engine->flush(); });
  rig.call->answer();
  flusher.join();
  EXPECT_EQ(rig.engine->status().retired, 2u);
  rig.submit_ids(4);
  rig.call->answer();
  EXPECT_TRUE(rig.engine->flush(steady_clock::now() + seconds(60)));
  EXPECT_EQ(rig.engine->status().retired, 6u);
}

TEST(EngineFault, AbortTellsWhatItFoundInEachStage) {
  std::atomic<int> cancelled{0};
  KeepingRig rig(KeepingCall::OnCancel::give_back, [&](const Task& task) {
    if (task.error && task.error->code == ErrorCode::cancelled) cancelled.fetch_add(1);
  });
  rig.submit_ids(5);
  const Status found = rig.engine->abort();
  EXPECT_EQ(found.in_call_stage(), 5u);
  EXPECT_EQ(found.saving() + found.ordering() + found.committing() + found.retired, 0u);
  EXPECT_TRUE(rig.engine->close(steady_clock::now() + seconds(60)));
  EXPECT_EQ(cancelled.load(), 5);
  EXPECT_EQ(rig.engine->status().unfinished, 5u);
  EXPECT_EQ(rig.engine->status().committed, 0u);
}

TEST(EngineFault, AStageMayCompleteOnAForeignThreadAfterAnAbort) {
  KeepingRig rig(KeepingCall::OnCancel::keep);
  rig.submit_ids(8);
  rig.engine->abort();
  EXPECT_FALSE(rig.engine->close(steady_clock::now() + milliseconds(20)));
  std::thread([&] { rig.call->answer(); }).join();
  EXPECT_TRUE(rig.engine->close(steady_clock::now() + seconds(60)));
  EXPECT_EQ(rig.engine->status().retired, 8u);
}

TEST(EngineFault, WatchdogReportsEachOverdueTaskOnceForEachStay) {
  KeepingRig rig;
  std::mutex mutex;
  std::map<std::string, int> reports;
  rig.submit_ids(3);
  {
    const Watchdog watchdog(*rig.engine, milliseconds(40), [&](std::span<const Overdue> overdue) {
      const std::lock_guard lock(mutex);
      for (const Overdue& task : overdue) {
        EXPECT_EQ(task.place, Place::calling);
        EXPECT_GE(task.age, milliseconds(40));
        ++reports[task.id];
      }
    });
    const auto times = [&](const std::string& id) {
      const std::lock_guard lock(mutex);
      return reports[id];
    };
    ASSERT_TRUE(eventually([&] { return times("0") + times("1") + times("2") == 3; }));
    rig.call->answer();
    rig.engine->flush();
    rig.submit_ids(1);  // a second stay of a task of the same name
    ASSERT_TRUE(eventually([&] { return times("0") == 2; }));
  }
  EXPECT_EQ(reports, (std::map<std::string, int>{{"0", 2}, {"1", 1}, {"2", 1}}));
  rig.call->answer();
}

TEST(EngineFault, OverdueKeepsOutOfTheWayOfABusyPipeline) {
  RigOptions options;
  options.call.seed = test_seed();
  options.limits.tasks_in_flight = 64;  // slots are used again all the time
  Rig rig(std::move(options));
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> seen{0}, wrong{0};
  std::thread looker([&] {
    while (!over.load())
      for (const Overdue& task : rig.engine->overdue(milliseconds(0))) {
        seen.fetch_add(1);
        if (task.stream != "stream of " + task.id) wrong.fetch_add(1);
      }
  });
  {
    Producer producer = rig.engine->producer();
    for (std::size_t i = 0; i < 20'000 || seen.load() == 0; ++i)
      submit(producer, "stream of " + std::to_string(i), std::to_string(i));
  }
  rig.engine->close();
  over.store(true);
  looker.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_EQ(rig.engine->status().committed, rig.engine->status().admitted);
}

/// Aborts the engine from within take(), as one may whose disk has failed.
class AbortingCommit final : public Stage {
 public:
  explicit AbortingCommit(std::atomic<Engine*>& engine) : engine_(engine) {}
  void attach(StageSink& sink) override { sink_ = &sink; }
  void take(std::span<Task* const> tasks) noexcept override {
    while (engine_.load() == nullptr) std::this_thread::yield();
    engine_.load()->abort();
    for (Task* task : tasks) task->give_up({ErrorCode::io, "the disk has failed", 0});
    sink_->done(tasks);
  }
  void cancel(Cancel) noexcept override {}
  void stop() noexcept override {}

 private:
  std::atomic<Engine*>& engine_;
  StageSink* sink_ = nullptr;
};

TEST(EngineFault, AStageMayAbortTheEngineFromWithinTake) {
  for (const bool with_encoder : {false, true}) {
    std::atomic<Engine*> known{nullptr};
    auto call = std::make_unique<KeepingCall>();
    KeepingCall& keeping = *call;
    auto engine = std::move(Engine::make({.tasks_in_flight = 64},
                                         {std::make_unique<MemorySave>(), std::move(call),
                                          with_encoder ? std::make_unique<PlainEncoder>() : nullptr,
                                          std::make_unique<AbortingCommit>(known)},
                                         {})
                                .value());
    known.store(engine.get());
    {
      Producer producer = engine->producer();
      submit(producer, "s", "1");
      ASSERT_TRUE(eventually([&] { return keeping.kept() == 1; }));
      // The first one's answer leads to the abort, which gives back the second one on the same thread.
      std::thread answering([&] {
        submit(producer, "t", "2");
        while (keeping.kept() < 2) std::this_thread::yield();
        keeping.answer_first();
      });
      answering.join();
    }
    EXPECT_TRUE(engine->close(steady_clock::now() + seconds(60))) << (with_encoder ? "encoder" : "no encoder");
    EXPECT_EQ(engine->status().unfinished, 2u);
  }
}

TEST(EngineFault, PatienceMayBeEndless) {
  Limits limits{.tasks_in_flight = 8};
  limits.stop_patience = milliseconds::max();
  RigOptions options;
  options.limits = limits;
  {
    Rig rig(std::move(options));
    Producer producer = rig.engine->producer();
    for (const auto& id : ids(100)) submit(producer, "s", id);
    const Watchdog watchdog(*rig.engine, milliseconds::max(), [](std::span<const Overdue>) {});
  }
}

using EngineFaultDeathTest = testing::Test;

TEST(EngineFaultDeathTest, ATaskGivenBackTwiceEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        KeepingRig rig;
        rig.submit_ids(1);
        const auto tasks = rig.call->answer();
        rig.call->sink().done(tasks);
      },
      testing::ExitedWithCode(70), "a stage gave back a task that is not calling");
}

TEST(EngineFaultDeathTest, ATaskThatNeverComesBackEndsTheProcessWithItsName) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        KeepingRig rig(KeepingCall::OnCancel::keep);
        rig.submit_ids(1);
      },
      testing::ExitedWithCode(70), "calling for [0-9]+ ms: stream stream 0, id 0");
}

class ThrowingCommit final : public Stage {
 public:
  void attach(StageSink&) override {}
  void take(std::span<Task* const> tasks) noexcept override { commit(tasks); }
  void cancel(Cancel) noexcept override {}
  void stop() noexcept override {}

 private:
  static void commit(std::span<Task* const> tasks) {
    if (!tasks.empty()) throw std::runtime_error("thrown by a stage");
  }
};

TEST(EngineFaultDeathTest, AStageThatThrowsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        auto engine = std::move(Engine::make({.tasks_in_flight = 8},
                                             {std::make_unique<MemorySave>(), std::make_unique<DelayedCall>(), nullptr,
                                              std::make_unique<ThrowingCommit>()},
                                             {})
                                    .value());
        Producer producer = engine->producer();
        submit(producer, "s", "1");
        engine->flush();
      },
      testing::KilledBySignal(SIGABRT), "thrown by a stage");
}

TEST(EngineFaultDeathTest, ARetireFnThatThrowsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        RigOptions options;
        options.on_retire = [](const Task&) { throw std::runtime_error("thrown by the embedder"); };
        Rig rig(std::move(options));
        Producer producer = rig.engine->producer();
        submit(producer, "s", "1");
        rig.engine->flush();
      },
      testing::KilledBySignal(SIGABRT), "thrown by the embedder");
}

}  // namespace
}  // namespace pawl::test
