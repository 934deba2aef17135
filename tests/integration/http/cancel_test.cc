#include "harness.h"
#include "within.h"

namespace pawl::http {
namespace {

using std::chrono::seconds;

void expect_cancelled(const Task& task) {
  EXPECT_EQ(task.fate, Fate::unfinished);
  ASSERT_TRUE(task.error.has_value());
  EXPECT_EQ(task.error->code, ErrorCode::cancelled);
  EXPECT_EQ(task.outcome.kind, Outcome::Kind::none);
}

/// Answers "/later" with a long Retry-After and holds back everything else until release().
class Holding {
 public:
  Holding()
      : server_([this](Connection& connection) {
          while (const auto request = connection.read_request()) {
            if (request->target == "/later") {
              connection.send(response(429, "", "Retry-After: 100\r\n"));
              continue;
            }
            std::unique_lock lock(mutex_);
            ++held_;
            changed_.notify_all();
            changed_.wait_for(lock, kDeadline, [this] { return released_; });
            lock.unlock();
            connection.send(response(200, "held"));
          }
        }) {}
  ~Holding() { release(); }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

  [[nodiscard]] std::string url(const char* path = "/") const { return server_.url(path); }
  [[nodiscard]] bool wait_for_held(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return held_ >= count; });
  }
  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int held_ = 0;
  bool released_ = false;
  ScriptedServer server_;
};

TEST(CallStageCancel, WaitingGivesBackWhatHasNotBegunAndFinishesTheRest) {
  Holding server;
  Options options = quick();
  options.parallel_max = 4;
  Caller caller(options);
  Task& delayed = caller.task(server.url("/later"), "POST", R"({"model":"limited"})");
  for (int i = 0; i < 10; ++i) caller.task(server.url());
  caller.take_all();
  ASSERT_TRUE(server.wait_for_held(4));
  caller.stage().cancel(Cancel::waiting);
  ASSERT_TRUE(caller.sink().wait_for(7));
  expect_cancelled(delayed);
  EXPECT_EQ(caller.stage().gauge().active, 4u);
  Task& late = caller.task(server.url());
  caller.take(late);
  ASSERT_TRUE(caller.sink().wait_for(8));
  expect_cancelled(late);
  server.release();
  caller.wait();
  int held = 0;
  for (const auto& task : caller.tasks()) {
    if (task.fate == Fate::live) {
      expect_answer(task, 200, "held");
      ++held;
    } else {
      expect_cancelled(task);
    }
  }
  EXPECT_EQ(held, 4);
}

TEST(CallStageCancel, AllGivesEverythingBackWithinASecond) {
  Holding server;
  Options options = quick();
  options.parallel_max = 50;
  options.time_max = std::chrono::hours(1);  // nothing ends by itself
  Caller caller(options);
  caller.task(server.url("/later"), "POST", R"({"model":"limited"})");
  for (int i = 0; i < 200; ++i) caller.task(server.url());
  caller.take_all();
  ASSERT_TRUE(server.wait_for_held(50));
  const auto begin = std::chrono::steady_clock::now();
  caller.stage().cancel(Cancel::waiting);
  caller.stage().cancel(Cancel::all);
  caller.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, test::within(seconds(1)));
  for (const auto& task : caller.tasks()) expect_cancelled(task);
  const StageGauge gauge = caller.stage().gauge();
  EXPECT_EQ(gauge.waiting + gauge.active + gauge.delayed, 0u);
}

TEST(CallStageCancel, ADrainedAttemptThatFailsIsNotRetried) {
  Holding server;
  std::mutex mutex;
  std::condition_variable changed;
  bool seen = false, fail = false;
  ScriptedServer failing(ScriptedServer::answering([&](const SeenRequest&) {
    std::unique_lock lock(mutex);
    seen = true;
    changed.notify_all();
    changed.wait_for(lock, kDeadline, [&] { return fail; });
    return response(503, "");
  }));
  Caller caller;
  Task& task = caller.task(failing.url());
  caller.take(task);
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, kDeadline, [&] { return seen; }));
  caller.stage().cancel(Cancel::waiting);
  Task& marker = caller.task(failing.url());
  caller.take(marker);
  ASSERT_TRUE(caller.sink().wait_for(1));  // the cancel has been seen
  fail = true;
  changed.notify_all();
  lock.unlock();
  caller.wait();
  expect_cancelled(task);
}

}  // namespace
}  // namespace pawl::http
