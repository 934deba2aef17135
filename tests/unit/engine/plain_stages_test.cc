// Stages made from functions: what becomes of what a function leaves out, gives up, throws or blocks in.
#include <pawl/plain_stages.h>

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <future>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <pawl/engine.h>

#include "stage_doubles.h"

namespace pawl::test {
namespace {

constexpr std::chrono::seconds kPatience{60};

/// Counts what a stage gives back.
class CountingSink final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    count_.fetch_add(tasks.size(), std::memory_order_release);  // release: the tasks' fields; pairs with wait_for()
  }
  [[nodiscard]] bool wait_for(std::size_t count) const {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (count_.load(std::memory_order_acquire) < count) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  [[nodiscard]] std::size_t count() const { return count_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::size_t> count_{0};
};

/// A stage with a sink and some tasks.
struct Bench {
  Bench(std::unique_ptr<Stage> made, std::size_t count) : stage(std::move(made)), tasks(count) {
    for (std::size_t i = 0; i < count; ++i) {
      tasks[i].request.stream = "stream";
      tasks[i].request.id = std::to_string(i);
      pointers.push_back(&tasks[i]);
    }
    stage->attach(sink);
  }
  ~Bench() { stage->stop(); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  void take_all() { stage->take(pointers); }
  [[nodiscard]] bool all_back() const { return sink.wait_for(tasks.size()); }

  CountingSink sink;
  std::unique_ptr<Stage> stage;
  std::vector<Task> tasks;
  std::vector<Task*> pointers;
};

/// Blocks who passes until it is opened.
class Gate {
 public:
  void pass() {
    arrived_.fetch_add(1, std::memory_order_release);
    open_.get_future().wait();
  }
  [[nodiscard]] bool somebody_waits() const {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (arrived_.load(std::memory_order_acquire) == 0) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void open() { open_.set_value(); }

 private:
  std::promise<void> open_;  // for one who passes
  std::atomic<int> arrived_{0};
};

TEST(CallWith, RunsAsManyCallsAtOnceAsItHasThreads) {
  std::atomic<int> inside{0};
  const auto all_four = [&] {
    inside.fetch_add(1);
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (inside.load() < 4 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    return inside.load() >= 4;
  };
  Bench bench(
      call_with([&](const Request&, Outcome& outcome) { outcome.body = all_four() ? "met" : "alone"; }, {.threads = 4}),
      4);
  bench.take_all();
  ASSERT_TRUE(bench.all_back());
  for (const Task& task : bench.tasks) EXPECT_EQ(task.outcome.body, "met");
}

TEST(CallWith, FillsInWhatTheFunctionLeavesEmpty) {
  Bench bench(call_with([](const Request& request, Outcome& outcome) { outcome.body = "re: " + request.id; }), 1);
  bench.take_all();
  ASSERT_TRUE(bench.all_back());
  const Outcome& outcome = bench.tasks[0].outcome;
  EXPECT_EQ(outcome.kind, Outcome::Kind::answered);
  EXPECT_EQ(outcome.status_code, 200);
  EXPECT_TRUE(outcome.success());
  EXPECT_EQ(outcome.body, "re: 0");
  EXPECT_EQ(outcome.attempts, 1u);
  EXPECT_NE(outcome.started, std::chrono::system_clock::time_point{});
}

TEST(CallWith, KeepsWhatTheFunctionSays) {
  Bench bench(call_with([](const Request& request, Outcome& outcome) {
                outcome.attempts = 3;
                outcome.duration = std::chrono::milliseconds{1234};
                outcome.started = std::chrono::system_clock::time_point{std::chrono::seconds{5}};
                if (request.id == "0") {
                  outcome.kind = Outcome::Kind::answered;
                  outcome.status_code = 404;
                } else {
                  outcome.kind = Outcome::Kind::failed;
                  outcome.error_code = "engaged";
                }
              }),
              2);
  bench.take_all();
  ASSERT_TRUE(bench.all_back());
  EXPECT_EQ(bench.tasks[0].outcome.status_code, 404);
  EXPECT_EQ(bench.tasks[1].outcome.kind, Outcome::Kind::failed);
  EXPECT_EQ(bench.tasks[1].outcome.status_code, 0);
  EXPECT_EQ(bench.tasks[1].outcome.error_code, "engaged");
  for (const Task& task : bench.tasks) {
    EXPECT_EQ(task.outcome.attempts, 3u);
    EXPECT_EQ(task.outcome.duration.count(), 1234);
    EXPECT_EQ(task.outcome.started.time_since_epoch(), std::chrono::seconds{5});
  }
}

TEST(CallWith, TurnsAnExceptionIntoAFailedOutcome) {
  Bench bench(call_with([](const Request& request, Outcome& outcome) {
                outcome.kind = Outcome::Kind::answered;
                outcome.body = "half of an ans";
                if (request.id == "1") throw std::runtime_error("the line went dead");
              }),
              3);
  bench.take_all();
  ASSERT_TRUE(bench.all_back());
  EXPECT_TRUE(bench.tasks[0].outcome.success());
  EXPECT_TRUE(bench.tasks[2].outcome.success());
  const Task& dead = bench.tasks[1];
  EXPECT_EQ(dead.fate, Fate::live);
  EXPECT_EQ(dead.outcome.kind, Outcome::Kind::failed);
  EXPECT_EQ(dead.outcome.error_code, "exception");
  EXPECT_EQ(dead.outcome.error_message, "the line went dead");
  EXPECT_EQ(dead.outcome.body, "");
}

TEST(CallWith, GivesBackWhatHasNotBegunWhileEveryThreadBlocks) {
  Gate gate;
  Bench bench(call_with([&](const Request&, Outcome&) { gate.pass(); }), 10);
  bench.take_all();
  ASSERT_TRUE(gate.somebody_waits());
  bench.stage->cancel(Cancel::waiting);
  EXPECT_TRUE(bench.sink.wait_for(9));
  EXPECT_EQ(bench.sink.count(), 9u);
  EXPECT_EQ(bench.stage->gauge().waiting, 0u);
  EXPECT_EQ(bench.stage->gauge().active, 1u);
  gate.open();
  ASSERT_TRUE(bench.all_back());
  const auto live = std::ranges::count(bench.tasks, Fate::live, &Task::fate);
  EXPECT_EQ(live, 1);
  for (const Task& task : bench.tasks) {
    if (task.fate == Fate::unfinished) {
      EXPECT_EQ(task.error->code, ErrorCode::cancelled);
    }
  }
}

TEST(CallWith, TellsTheFunctionThatTheEngineAborts) {
  std::atomic<int> begun{0};
  Bench bench(call_with(
                  [&](const Request& request, Outcome& outcome, const std::stop_token& stop) {
                    begun.fetch_add(1);
                    std::promise<void> stopped;
                    const std::stop_callback told(stop, [&] { stopped.set_value(); });
                    stopped.get_future().wait();
                    if (request.id != "0") return;
                    outcome.kind = Outcome::Kind::answered;  // had its answer when it was told
                    outcome.body = "in time";
                  },
                  {.threads = 2}),
              2);
  bench.take_all();
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (begun.load() < 2 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  ASSERT_EQ(begun.load(), 2);
  bench.stage->cancel(Cancel::waiting);
  EXPECT_EQ(bench.sink.count(), 0u) << "a drain lets running calls finish";
  bench.stage->cancel(Cancel::all);
  ASSERT_TRUE(bench.all_back());
  EXPECT_EQ(bench.tasks[0].fate, Fate::live);
  EXPECT_EQ(bench.tasks[0].outcome.body, "in time");
  ASSERT_EQ(bench.tasks[1].fate, Fate::unfinished);
  EXPECT_EQ(bench.tasks[1].error->code, ErrorCode::cancelled);
}

TEST(CallWith, CancelAgainstTakeLosesNoTask) {
  const std::uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    Bench bench(call_with([](const Request&, Outcome&) {}, {.threads = 2}), 64);
    std::thread canceller([&, spins = random() % 2000] {
      for (std::uint64_t i = 0; i < spins; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
      bench.stage->cancel(Cancel::waiting);
    });
    for (std::size_t at = 0; at < bench.pointers.size();) {
      const std::size_t count = std::min<std::size_t>(1 + random() % 9, bench.pointers.size() - at);
      bench.stage->take(std::span(bench.pointers).subspan(at, count));
      at += count;
    }
    canceller.join();
    ASSERT_TRUE(bench.all_back()) << "round " << round << " of seed " << seed << ", " << bench.sink.count();
    ASSERT_EQ(bench.sink.count(), 64u);
  }
}

TEST(CallOptions, SaysWhichThreadCountsItTakes) {
  EXPECT_TRUE(CallOptions{}.validate());
  EXPECT_TRUE(CallOptions{.threads = 4096}.validate());
  for (const std::uint32_t wrong : {0u, 4097u}) {
    const auto valid = CallOptions{.threads = wrong}.validate();
    ASSERT_FALSE(valid);
    EXPECT_EQ(valid.error().code, ErrorCode::usage);
    EXPECT_NE(valid.error().context.find("threads is " + std::to_string(wrong)), std::string::npos);
  }
}

TEST(CallWithDeathTest, EndsTheProcessForOptionsThatDoNotHold) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT((void)call_with([](const Request&, Outcome&) {}, {.threads = 0}), testing::ExitedWithCode(70), "bug");
  EXPECT_EXIT((void)call_with(CallFn{}), testing::ExitedWithCode(70), "bug");
  EXPECT_EXIT((void)commit_with(CommitOneFn{}), testing::ExitedWithCode(70), "bug");
}

/// While it lives no thread can be started: the default stack is larger than the address space.
class NoThreads {
 public:
  NoThreads() {
    ::pthread_attr_init(&before_);
    ::pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    ::pthread_attr_init(&huge);
    ::pthread_attr_setstacksize(&huge, std::size_t{1} << 50);
    ::pthread_setattr_default_np(&huge);
    ::pthread_attr_destroy(&huge);
  }
  ~NoThreads() {
    ::pthread_setattr_default_np(&before_);
    ::pthread_attr_destroy(&before_);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t before_;
};

TEST(PlainStages, GiveTasksUpWhenNoThreadCanBeStarted) {
  const NoThreads no_threads;
  Bench calls(call_with([](const Request&, Outcome&) {}, {.threads = 8}), 3);
  Bench commits(commit_with([](Task&) {}), 3);
  for (Bench* bench : {&calls, &commits}) {
    bench->take_all();
    EXPECT_EQ(bench->sink.count(), 3u);
    for (const Task& task : bench->tasks) {
      ASSERT_EQ(task.fate, Fate::unfinished);
      EXPECT_EQ(task.error->code, bench == &calls ? ErrorCode::call : ErrorCode::io);
      EXPECT_FALSE(task.committed);
    }
  }
}

TEST(CommitWith, LeavesUnfinishedWhatTheFunctionGivesUp) {
  const auto give_up_odd = [](Task& task) {
    if (std::stoi(task.request.id) % 2 == 1) task.give_up({ErrorCode::obstructed, "odd ones do not fit", 0});
  };
  Bench ones(commit_with(CommitOneFn(give_up_odd)), 200);
  Bench batches(commit_with([&](std::span<Task* const> tasks) {
                  for (Task* task : tasks) give_up_odd(*task);
                }),
                200);
  for (Bench* bench : {&ones, &batches}) {
    bench->take_all();
    ASSERT_TRUE(bench->all_back());
    for (std::size_t i = 0; i < bench->tasks.size(); ++i) {
      const Task& task = bench->tasks[i];
      ASSERT_EQ(task.committed, i % 2 == 0) << i;
      ASSERT_EQ(task.fate == Fate::unfinished, i % 2 == 1) << i;
      if (i % 2 == 1) {
        ASSERT_EQ(task.error->code, ErrorCode::obstructed);
      }
    }
  }
}

TEST(CommitWith, AnExceptionLeavesTheRestOfABatchUnfinished) {
  Bench bench(commit_with([](std::span<Task* const> tasks) {
                for (Task* task : tasks) {
                  if (task->request.id == "5") throw std::system_error(ENOSPC, std::system_category(), "writing");
                  task->committed = true;
                }
              }),
              10);
  bench.take_all();
  ASSERT_TRUE(bench.all_back());
  for (std::size_t i = 0; i < 10; ++i) {
    const Task& task = bench.tasks[i];
    // The inbox may hand over one batch or several, so what lies behind the one that throws may be in a later batch.
    if (i < 5) {
      EXPECT_TRUE(task.committed) << i;
    }
    if (i == 5) {
      EXPECT_FALSE(task.committed);
      ASSERT_EQ(task.fate, Fate::unfinished);
      EXPECT_EQ(task.error->code, ErrorCode::io);
      EXPECT_EQ(task.error->sys_errno, ENOSPC);
      EXPECT_NE(task.error->context.find("writing"), std::string::npos) << task.error->context;
    }
    EXPECT_NE(task.committed, task.fate == Fate::unfinished) << i;
  }
}

TEST(CommitWith, AnExceptionForOneTaskConcernsItAlone) {
  Bench bench(commit_with([](Task& task) {
                if (task.request.id == "3") throw std::runtime_error("no");
              }),
              10);
  bench.take_all();
  ASSERT_TRUE(bench.all_back());
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(bench.tasks[i].committed, i != 3) << i;
  EXPECT_EQ(bench.tasks[3].error->context, "the commit function threw: no");
  EXPECT_EQ(bench.tasks[3].error->sys_errno, 0);
}

TEST(CommitWith, GivesBackWhatWaitsBehindAFunctionThatBlocks) {
  Gate gate;
  Bench bench(commit_with([&](std::span<Task* const> tasks) {
                if (tasks[0]->request.id == "0") gate.pass();
              }),
              10);
  bench.stage->take(std::span(bench.pointers).first(1));
  ASSERT_TRUE(gate.somebody_waits());
  bench.stage->take(std::span(bench.pointers).subspan(1));
  bench.stage->cancel(Cancel::all);
  EXPECT_TRUE(bench.sink.wait_for(9));
  gate.open();
  ASSERT_TRUE(bench.all_back());
  EXPECT_TRUE(bench.tasks[0].committed);
  for (std::size_t i = 1; i < 10; ++i) EXPECT_EQ(bench.tasks[i].error->code, ErrorCode::cancelled) << i;
}

TEST(CommitWith, LooksForACancelBetweenOneTaskAndTheNext) {
  Gate gate;
  Bench bench(commit_with([&](Task& task) {
                if (task.request.id == "0") gate.pass();
              }),
              10);
  bench.take_all();
  ASSERT_TRUE(gate.somebody_waits());
  bench.stage->cancel(Cancel::all);
  gate.open();
  ASSERT_TRUE(bench.all_back());
  EXPECT_TRUE(bench.tasks[0].committed);
  for (std::size_t i = 1; i < 10; ++i) EXPECT_FALSE(bench.tasks[i].committed) << i;
}

/// A whole pipeline of these stages: 20 streams of 100 tasks, every tenth call throws.
template <class Commit>
void run_pipeline(Commit commit) {
  constexpr std::uint64_t kTasks = 2000;
  std::map<std::string, std::vector<std::uint64_t>> retired;
  Stages stages{.save = save_nothing(),
                .call = call_with(
                    [](const Request& request, Outcome& outcome) {
                      if (request.position % 10 == 9) throw std::runtime_error("every tenth");
                      outcome.body = request.body;
                    },
                    {.threads = 4}),
                .commit = commit_with(std::move(commit))};
  auto engine = Engine::make({.tasks_in_flight = 256}, std::move(stages), [&](const Task& task) {
    if (task.committed) retired[task.request.stream].push_back(task.request.position);
  });
  ASSERT_TRUE(engine) << engine.error().context;
  {
    Producer producer = (*engine)->producer();
    for (std::uint64_t i = 0; i < kTasks; ++i) {
      Request request;
      request.stream = "stream-" + std::to_string(i % 20);
      request.id = std::to_string(i);
      request.position = i / 20;
      request.body = "body";
      ASSERT_EQ(producer.submit(request), Admission::accepted);
    }
    (*engine)->close();
  }
  const Status status = (*engine)->status();
  EXPECT_EQ(status.committed, kTasks);
  EXPECT_EQ(status.failed, kTasks / 10);
  EXPECT_EQ(status.unfinished, 0u);
  EXPECT_EQ(retired.size(), 20u);
}

TEST(PlainStages, CommitEachStreamInOrderByBatches) {
  std::map<std::string, std::uint64_t> next;  // commit thread only
  std::uint64_t wrong = 0;
  run_pipeline([&](std::span<Task* const> tasks) {
    for (const Task* task : tasks) wrong += next[task->request.stream]++ != task->request.position;
  });
  EXPECT_EQ(wrong, 0u);
  for (const auto& [stream, count] : next) EXPECT_EQ(count, 100u) << stream;
}

TEST(PlainStages, CommitEachStreamInOrderOneByOne) {
  std::map<std::string, std::uint64_t> next;
  std::uint64_t wrong = 0;
  run_pipeline([&](const Task& task) { wrong += next[task.request.stream]++ != task.request.position; });
  EXPECT_EQ(wrong, 0u);
  for (const auto& [stream, count] : next) EXPECT_EQ(count, 100u) << stream;
}

}  // namespace
}  // namespace pawl::test
