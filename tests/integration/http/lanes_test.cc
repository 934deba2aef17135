// What one call learns of a server's limits holds for all that go there, and for no others.
#include <algorithm>
#include <map>
#include <set>

#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

std::string asking(const std::string& model) { return R"({"model":")" + model + R"(","messages":[]})"; }

/// A server that keeps when which model was asked for.
class Recorder {
 public:
  using Answer = std::function<std::string(const std::string& model, int number)>;  // number: 1 for a model's first

  explicit Recorder(Answer answer)
      : server_(ScriptedServer::answering([this, answer = std::move(answer)](const SeenRequest& request) {
          std::string model;
          int number = 0;
          {
            const std::lock_guard lock(mutex_);
            const auto begin = request.body.find(":\"") + 2;
            model = request.body.substr(begin, request.body.find('"', begin) - begin);
            times_[model].push_back(Clock::now());
            number = static_cast<int>(times_[model].size());
          }
          return answer(model, number);
        })) {}

  [[nodiscard]] std::string url() const { return server_.url("/v1/chat/completions"); }
  [[nodiscard]] std::vector<Clock::time_point> times(const std::string& model) {
    const std::lock_guard lock(mutex_);
    return times_[model];
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<Clock::time_point>> times_;
  ScriptedServer server_;
};

/// Asks until the lane is as `wanted` says, and gives it.
template <class Wanted>
LaneStats lane_when(CallStage& stage, Wanted wanted) {
  const auto deadline = Clock::now() + kDeadline;
  while (Clock::now() < deadline) {
    for (const auto& lane : stage.stats().lanes) {
      if (wanted(lane)) return lane;
    }
    std::this_thread::yield();
  }
  ADD_FAILURE() << "no lane came to be like that";
  return {};
}

TEST(CallStageLane, OneModelsLimitHoldsUpItsOwnCallsAlone) {
  Recorder server([](const std::string& model, int) {
    return model == "limited" ? response(429, "", "Retry-After: 100\r\n") : response(200, "ok");
  });
  Options options = quick();
  options.parallel_max = 8;
  Caller caller(options);
  for (int i = 0; i < 20; ++i) caller.task(server.url(), "POST", asking("limited"));
  for (int i = 0; i < 100; ++i) caller.task(server.url(), "POST", asking("free"));
  caller.take_all();
  ASSERT_TRUE(caller.sink().wait_for(100));
  for (Task* task : caller.sink().order()) expect_answer(*task, 200, "ok");
  // The last of those that were on their way may be back a moment later.
  const LaneStats lane =
      lane_when(caller.stage(), [](const LaneStats& seen) { return seen.paused.count() > 0 && seen.waiting == 20; });
  EXPECT_EQ(lane.model, "limited");
  EXPECT_EQ(lane.limit, 2u);
  EXPECT_GT(lane.paused, seconds(1));
  EXPECT_LE(server.times("limited").size(), 8u);  // those that were on their way
}

TEST(CallStageLane, FiveHundredCallsAreRefusedTogetherAndNoneRunsOutOfAttempts) {
  // Everything is refused until a pause after the first refusal is over: with one attempt each besides the first, calls
  // would fail by the hundred if each learnt for itself.
  std::mutex mutex;
  Clock::time_point open_at{};
  std::atomic<int> early{0};
  Recorder server([&](const std::string&, int) {
    const std::lock_guard lock(mutex);
    const auto now = Clock::now();
    if (open_at == Clock::time_point{}) open_at = now + milliseconds(200);
    if (now < open_at) {
      ++early;
      return response(429, "", "retry-after-ms: 200\r\n");
    }
    return response(200, "ok");
  });
  Options options = quick();
  options.parallel_max = 32;
  options.retry_max = 1;
  Caller caller(options);
  for (int i = 0; i < 500; ++i) caller.task(server.url(), "POST", asking("m"));
  caller.take_all();
  caller.wait();
  for (const auto& task : caller.tasks()) expect_answer(task, 200, "ok");
  EXPECT_LE(early.load(), 40);
}

TEST(CallStageLane, NothingRemainingHoldsTheLaneUntilTheReset) {
  Recorder server([](const std::string&, int number) {
    return number == 1 ? response(200, "ok",
                                  "x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 0\r\n"
                                  "x-ratelimit-reset-requests: 300ms\r\n")
                       : response(200, "ok");
  });
  Options options = quick();
  options.parallel_max = 1;
  Caller caller(options);
  for (int i = 0; i < 3; ++i) caller.task(server.url(), "POST", asking("m"));
  caller.take_all();
  caller.wait();
  const auto times = server.times("m");
  ASSERT_EQ(times.size(), 3u);
  EXPECT_GE(times[1] - times[0], milliseconds(300));
}

TEST(CallStageLane, StructuredRateLimitHeaderLetsOutWhatRemains) {
  Recorder server([](const std::string&, int number) {
    return number == 1
               ? response(200, "ok", "RateLimit-Policy: \"default\";q=100;w=60\r\nRateLimit: \"default\";r=2;t=60\r\n")
               : response(200, "ok");
  });
  Options options = quick();
  options.parallel_max = 4;
  Caller caller(options);
  caller.call(server.url(), "POST", asking("m"));
  for (int i = 0; i < 10; ++i) caller.take(caller.task(server.url(), "POST", asking("m")));
  ASSERT_TRUE(caller.sink().wait_for(3));
  const LaneStats lane = lane_when(caller.stage(), [](const LaneStats& seen) { return seen.in_flight == 0; });
  EXPECT_EQ(lane.waiting, 8u);
  EXPECT_EQ(server.times("m").size(), 3u);
}

TEST(CallStageLane, RateSpacesCallsOfEachLane) {
  Recorder server([](const std::string&, int) { return response(200, "ok"); });
  Options options = quick();
  options.rate = {.count = 50, .per = seconds(1), .burst = 5};
  Caller caller(options);
  for (int i = 0; i < 15; ++i) caller.task(server.url(), "POST", asking("a"));
  for (int i = 0; i < 15; ++i) caller.task(server.url(), "POST", asking("b"));
  const auto begin = Clock::now();
  caller.take_all();
  caller.wait();
  for (const char* model : {"a", "b"}) {
    auto times = server.times(model);
    ASSERT_EQ(times.size(), 15u);
    std::sort(times.begin(), times.end());
    // The bucket holds 5 and gives 50 a second: the n-th call is not there before (n − 5) / 50 s.
    for (std::size_t n = 5; n < 15; ++n) EXPECT_GE(times[n] - begin, milliseconds((n - 4) * 20 - 1)) << n;
  }
}

// Two calls hold both places. What the rate would have allowed meanwhile must not leave at once when they end.
TEST(CallStageLane, RateHoldsAfterAllPlacesWereTakenForAWhile) {
  std::mutex mutex;
  std::vector<Clock::time_point> times;
  Clock::time_point released = Clock::time_point::max();
  ScriptedServer server([&](Connection& connection) {
    while (connection.read_request()) {
      std::size_t number = 0;
      {
        const std::lock_guard lock(mutex);
        times.push_back(Clock::now());
        number = times.size();
      }
      if (number == 2 || number == 3) {
        if (!connection.pause(milliseconds(500))) return;
        const std::lock_guard lock(mutex);
        released = std::min(released, Clock::now());
      }
      if (!connection.send(response(200, "ok"))) return;
    }
  });
  Options options = quick();
  options.rate = {.count = 50, .per = seconds(1), .burst = 1};
  options.parallel_max = 2;
  Caller caller(options);
  for (int i = 0; i < 23; ++i) caller.task(server.url());
  caller.take_all();
  caller.wait();
  const std::lock_guard lock(mutex);
  ASSERT_EQ(times.size(), 23u);
  // One may be there at once, and then one each 20 ms: the n-th is not there before.
  for (std::size_t n = 3; n < times.size(); ++n) EXPECT_GE(times[n] - released, milliseconds((n - 3) * 20 - 1)) << n;
}

TEST(CallStageLane, LaneHasInFlightWhatIsOnTheWire) {
  std::mutex mutex;
  std::condition_variable changed;
  bool release = false;
  Recorder server([&](const std::string&, int) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, kDeadline, [&] { return release; });
    return response(200, "ok");
  });
  Options options = quick();
  options.parallel_max = 2;
  Caller caller(options);
  for (int i = 0; i < 50; ++i) caller.task(server.url(), "POST", asking("m"));
  caller.take_all();
  const LaneStats lane = lane_when(caller.stage(), [](const LaneStats& one) { return one.in_flight >= 2; });
  EXPECT_EQ(lane.in_flight, 2u);
  EXPECT_EQ(lane.waiting, 48u);
  {
    const std::lock_guard lock(mutex);
    release = true;
    changed.notify_all();
  }
  caller.wait();
}

// Each refusal names a time, and the next request is served: nobody's one retry may be used up by that.
TEST(CallStageLane, ServerThatRefusesEveryThirdRequestFailsNoCall) {
  std::atomic<int> requests{0};
  Recorder server([&](const std::string&, int) {
    return ++requests % 3 == 2 ? response(429, "", "retry-after-ms: 1\r\n") : response(200, "ok");
  });
  Options options = quick();
  options.parallel_max = 8;
  options.retry_max = 1;
  Caller caller(options);
  for (int i = 0; i < 200; ++i) caller.task(server.url(), "POST", asking("m"));
  caller.take_all();
  caller.wait();
  for (const auto& task : caller.tasks()) expect_answer(task, 200, "ok");
  EXPECT_GE(requests.load(), 299);
}

TEST(CallStageLane, TokensAreEstimatedAndCorrectedByTheAnswer) {
  // 100 tokens a second. Each call is expected to use 10 and says that it used 50: so the second may leave at once,
  // the third only when the debt is paid.
  Recorder server([](const std::string&, int) { return response(200, R"({"usage":{"total_tokens":50}})"); });
  Options options = quick();
  options.rate_tokens = {.count = 100, .per = seconds(1), .burst = 50};
  options.tokens_by = "/max_tokens";
  options.parallel_max = 1;
  Caller caller(options);
  for (int i = 0; i < 3; ++i) caller.task(server.url(), "POST", R"({"model":"m","max_tokens":10})");
  const auto begin = Clock::now();
  caller.take_all();
  caller.wait();
  const auto times = server.times("m");
  ASSERT_EQ(times.size(), 3u);
  EXPECT_GE(times[1] - begin, milliseconds(99));
  EXPECT_GE(times[2] - begin, milliseconds(599));
}

TEST(CallStageBreaker, HostThatWasNeverThereGivesItsTasksUpAfterAsManyProbesAsTheyHaveAttempts) {
  Options options = quick();
  options.breaker_failures = 3;
  options.retry_max = 2;
  options.parallel_max = 16;
  Caller caller(options);
  const std::string refused = "http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port());
  for (int i = 0; i < 500; ++i) caller.task(refused);
  caller.take_all();
  caller.wait();
  std::uint32_t attempts = 0;
  for (const auto& task : caller.tasks()) {
    EXPECT_EQ(task.outcome.kind, Outcome::Kind::failed);
    EXPECT_EQ(task.outcome.error_code, task.outcome.attempts == 0 ? "host_down" : "connect_failed");
    EXPECT_LE(task.outcome.attempts, 3u);
    attempts += task.outcome.attempts;
  }
  EXPECT_LT(attempts, 100u);  // 1,500 without
}

/// A server that is down until it is told otherwise.
class Patient {
 public:
  explicit Patient(int status) : status_(status) {}
  [[nodiscard]] std::string url() const { return server_.url(); }
  [[nodiscard]] int requests() const { return requests_.load(); }
  void recover() { well_.store(true); }

 private:
  int status_;
  std::atomic<bool> well_{false};
  std::atomic<int> requests_{0};
  ScriptedServer server_{ScriptedServer::answering([this](const SeenRequest&) {
    ++requests_;
    return well_.load() ? response(200, "ok") : response(status_, "down");
  })};
};

TEST(CallStageBreaker, TasksWaitForAHostThatIsDownAndAllSucceedWhenItIsBack) {
  Patient server(500);
  Options options = quick();
  options.parallel_max = 16;
  options.retry_max = 3;
  options.breaker_failures = 8;
  options.retry_delay = milliseconds(20);
  options.retry_delay_max = milliseconds(50);
  Caller caller(options);
  for (int i = 0; i < 200; ++i) caller.task(server.url(), "POST", asking("m"));
  caller.take_all();
  const LaneStats down = lane_when(caller.stage(), [](const LaneStats& lane) {
    return lane.breaker != BreakerState::closed && lane.waiting > 150 && lane.in_flight <= 1;
  });
  // One probe after the other, 15 ms apart at least, then 30, and nothing else. One may be on its way already.
  const int before = server.requests();
  const auto since = Clock::now();
  while (server.requests() < before + 3 && Clock::now() < since + kDeadline) std::this_thread::yield();
  EXPECT_GE(Clock::now() - since, milliseconds(30)) << down.waiting;
  EXPECT_NE(caller.stage().stats().last_event.find("status 500"), std::string::npos);
  server.recover();
  caller.wait();
  for (const auto& task : caller.tasks()) {
    EXPECT_EQ(task.outcome.kind, Outcome::Kind::answered);
    if (task.outcome.status_code != 200) {
      EXPECT_EQ(task.outcome.attempts, 4u);
    }
  }
  lane_when(caller.stage(), [](const LaneStats& lane) { return lane.breaker == BreakerState::closed; });
}

TEST(CallStageBreaker, TimeForRetriesEndsTheWaitForAHostThatIsDown) {
  Options options = quick();
  options.breaker_failures = 3;
  options.parallel_max = 16;
  options.retry_max = 1000;
  options.retry_time_max = milliseconds(100);
  options.retry_delay = milliseconds(20);
  options.retry_delay_max = milliseconds(20);
  Caller caller(options);
  const std::string refused = "http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port());
  for (int i = 0; i < 300; ++i) caller.task(refused);
  caller.take_all();
  caller.wait();
  std::map<std::string, int> codes;
  for (const auto& task : caller.tasks()) {
    EXPECT_EQ(task.outcome.kind, Outcome::Kind::failed);
    EXPECT_EQ(task.outcome.error_code == "host_down", task.outcome.attempts == 0);
    ++codes[task.outcome.error_code];
  }
  EXPECT_GT(codes["host_down"], 200);
  EXPECT_GT(codes["connect_failed"], 0);
  EXPECT_EQ(codes.size(), 2u);
}

TEST(CallStageBudget, RetriesAreAShareOfTheCallsWhileMostFail) {
  // Every second request fails hard, and every third: more than half, but never enough in a row to look down.
  std::atomic<int> number{0};
  ScriptedServer server(ScriptedServer::answering(
      [&](const SeenRequest&) { return ++number % 3 == 0 ? response(200, "ok") : response(502, ""); }));
  Options options = quick();
  options.retry_max = 1000;
  options.breaker_failures = 0;
  Caller caller(options);
  for (int i = 0; i < 600; ++i) caller.task(server.url());
  caller.take_all();
  ASSERT_TRUE(caller.sink().wait_for(200));
  // 600 calls and a tenth of all attempts again, give or take those under way when the window moved.
  EXPECT_LE(number.load(), 600 + 70 + 20);
}

TEST(CallStageTimeOut, FirstByteAndIdleHaveTheirOwnLimits) {
  ScriptedServer silent([](Connection& connection) {
    if (connection.read_request()) connection.hang();
  });
  ScriptedServer stalled([](Connection& connection) {
    if (!connection.read_request()) return;
    connection.send("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc");
    connection.hang();
  });
  ScriptedServer slow([](Connection& connection) {
    while (connection.read_request()) {
      if (!connection.send("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n")) return;
      for (int i = 0; i < 10; ++i) {
        if (!connection.pause(milliseconds(20)) || !connection.send("x")) return;
      }
    }
  });
  Options options = quick();
  options.retry_max = 0;
  options.first_byte_time_max = milliseconds(100);
  options.idle_time_max = milliseconds(150);
  {
    Caller caller(options);
    const Task& never = caller.call(silent.url());
    expect_failure(never, "timeout", 1);
    EXPECT_NE(never.outcome.error_message.find("no byte of the response within 100 ms"), std::string::npos);
    EXPECT_GE(never.outcome.duration, milliseconds(100));
    const Task& half = caller.call(stalled.url());
    expect_failure(half, "timeout", 1);
    EXPECT_NE(half.outcome.error_message.find("no further byte of the response for 150 ms"), std::string::npos);
  }
  options.first_byte_time_max = seconds(100);
  options.idle_time_max = seconds(100);
  Caller caller(options);
  expect_answer(caller.call(slow.url()), 200, "xxxxxxxxxx");
}

}  // namespace
}  // namespace pawl::http
