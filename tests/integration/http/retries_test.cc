// Attempts after the first: when, how many, and what goes with them.
#include <ctime>
#include <set>

#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Answers the first `failures` requests with `refusal`, later ones with 200; keeps times and keys.
class Recovering {
 public:
  Recovering(int failures, std::function<std::string()> refusal)
      : server_(ScriptedServer::answering([this, failures, refusal = std::move(refusal)](const SeenRequest& request) {
          const std::lock_guard lock(mutex_);
          times_.push_back(std::chrono::steady_clock::now());
          keys_.insert(request.header("idempotency-key"));
          return static_cast<int>(times_.size()) <= failures ? refusal() : response(200, "at last");
        })) {}

  [[nodiscard]] std::string url() const { return server_.url(); }
  [[nodiscard]] std::size_t requests() {
    const std::lock_guard lock(mutex_);
    return times_.size();
  }
  [[nodiscard]] std::chrono::steady_clock::duration gap() {
    const std::lock_guard lock(mutex_);
    return times_.at(1) - times_.at(0);
  }
  [[nodiscard]] std::set<std::string> keys() {
    const std::lock_guard lock(mutex_);
    return keys_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::chrono::steady_clock::time_point> times_;
  std::set<std::string> keys_;
  ScriptedServer server_;
};

TEST(CallStageRetry, GoesOnUntilTheServerRecoversWithOneKey) {
  Recovering server(3, [] { return response(503, "down", "X-Request-Id: old\r\n"); });
  Caller caller;
  Task& task = caller.task(server.url(), "POST", "x");
  task.request.digest = {0xaa};
  caller.take(task);
  caller.wait();
  expect_answer(task, 200, "at last");
  EXPECT_EQ(task.outcome.attempts, 4u);
  EXPECT_EQ(task.outcome.request_id, "");
  ASSERT_EQ(server.keys().size(), 1u);
  EXPECT_TRUE(server.keys().begin()->starts_with("aa000000"));
  EXPECT_EQ(caller.stage().stats().retries, 3u);
}

TEST(CallStageRetry, RecordsTheLastAnswerWhenAttemptsAreSpent) {
  Recovering server(100, [] { return response(502, "still down"); });
  Options options = quick();
  options.retry_max = 2;
  Caller caller(options);
  const Task& task = caller.call(server.url());
  expect_answer(task, 502, "still down");
  EXPECT_FALSE(task.outcome.success());
  EXPECT_EQ(task.outcome.attempts, 3u);
  EXPECT_EQ(server.requests(), 3u);
}

TEST(CallStageRetry, ObeysRetryAfterInSeconds) {
  Recovering server(1, [] { return response(429, "", "Retry-After: 1\r\n"); });
  Caller caller;
  const Task& task = caller.call(server.url());
  expect_answer(task, 200, "at last");
  EXPECT_GE(server.gap(), seconds(1));
  EXPECT_GE(task.outcome.duration, seconds(1));
  EXPECT_NE(caller.stage().stats().last_event.find("rate limited, next try in 1.0 s"), std::string::npos)
      << caller.stage().stats().last_event;
}

TEST(CallStageRetry, ObeysRetryAfterAsADate) {
  std::chrono::system_clock::time_point asked;
  Recovering server(1, [&asked] {
    const std::time_t date = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) + 2;
    asked = std::chrono::system_clock::from_time_t(date);
    char text[64];
    std::tm parts{};
    gmtime_r(&date, &parts);
    std::strftime(text, sizeof text, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    return response(503, "", text);
  });
  Caller caller;
  const Task& task = caller.call(server.url());
  expect_answer(task, 200, "at last");
  EXPECT_GE(std::chrono::system_clock::now() + milliseconds(50), asked);
  EXPECT_GE(server.gap(), milliseconds(900));
}

TEST(CallStageRetry, PrefersRetryAfterInMilliseconds) {
  Recovering server(1, [] { return response(429, "", "Retry-After: 30\r\nretry-after-ms: 150\r\n"); });
  Caller caller;
  expect_answer(caller.call(server.url()), 200, "at last");
  EXPECT_GE(server.gap(), milliseconds(150));
  EXPECT_LT(server.gap(), seconds(20));
}

TEST(CallStageRetry, ObeysXShouldRetry) {
  Recovering never(1, [] { return response(503, "no", "x-should-retry: false\r\n"); });
  Recovering always(1, [] { return response(409, "yes", "x-should-retry: true\r\n"); });
  Caller caller;
  expect_answer(caller.call(never.url()), 503, "no");
  expect_answer(caller.call(always.url()), 200, "at last");
}

TEST(CallStageRetry, ConnectionFailuresAreRetriedAndLeaveNoTrace) {
  std::atomic<int> requests{0};
  ScriptedServer server([&](Connection& connection) {
    while (connection.read_request()) {
      const int now = ++requests;
      if (now == 1) return connection.reset();
      if (now == 2) {
        connection.send("HTTP/1.1 200 X\r\nContent-Type: a/b\r\nContent-Length: 10\r\n\r\nabc");
        return;
      }
      if (!connection.send(response(200, "whole"))) return;
    }
  });
  Caller caller;
  const Task& task = caller.call(server.url(), "POST", "x");
  expect_answer(task, 200, "whole");
  EXPECT_EQ(task.outcome.attempts, 3u);
  EXPECT_EQ(task.outcome.content_type, "");
}

TEST(CallStageRetry, WaitingForARetryTakesNoPlaceOnTheWire) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& request) {
    return request.target == "/later" ? response(429, "", "Retry-After: 100\r\n") : response(200, "ok");
  }));
  Options options = quick();
  options.parallel_max = 1;
  Caller caller(options);
  for (int i = 0; i < 5; ++i) caller.task(server.url("/later"), "POST", R"({"model":")" + std::to_string(i) + "\"}");
  for (int i = 0; i < 5; ++i) caller.task(server.url("/now"));
  caller.take_all();
  ASSERT_TRUE(caller.sink().wait_for(5));
  const StageGauge gauge = caller.stage().gauge();
  EXPECT_EQ(gauge.delayed, 5u);
  EXPECT_EQ(gauge.active, 0u);
  EXPECT_EQ(gauge.waiting, 0u);
}

TEST(CallStageRetry, StopsWhenTheTimeForAllAttemptsIsSpent) {
  Recovering server(100, [] { return response(429, "slow down", "Retry-After: 60\r\n"); });
  Options options = quick();
  options.retry_time_max = seconds(30);
  Caller caller(options);
  const Task& task = caller.call(server.url());
  expect_answer(task, 429, "slow down");
  EXPECT_EQ(task.outcome.attempts, 1u);
}

}  // namespace
}  // namespace pawl::http
