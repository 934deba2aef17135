// What a broken server or network becomes.
#include <algorithm>
#include <filesystem>
#include <random>

#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Options once() {
  Options options = quick();
  options.retry_max = 0;
  return options;
}

/// Reads a request, sends `bytes` and closes.
ScriptedServer::Script sending(std::string bytes) {
  return [bytes = std::move(bytes)](Connection& connection) {
    if (connection.read_request()) connection.send(bytes);
  };
}

std::string error_of(const std::string& bytes) {
  ScriptedServer server(sending(bytes));
  Caller caller(once());
  return caller.call(server.url()).outcome.error_code;
}

TEST(CallStageFailure, RefusedConnection) {
  Caller caller;
  expect_failure(caller.call("http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port())), "connect_failed", 6);
  const Stats stats = caller.stage().stats();
  EXPECT_EQ(stats.retries, 5u);
  EXPECT_NE(stats.last_event.find("connect_failed, next try in"), std::string::npos) << stats.last_event;
}

TEST(CallStageFailure, UnknownName) {
  Caller caller(once());
  expect_failure(caller.call("http://pawl.invalid/"), "dns_failed", 1);
}

TEST(CallStageFailure, ClosedOrResetBeforeAnyByte) {
  ScriptedServer closing([](Connection& connection) { connection.read_request(); });
  ScriptedServer resetting([](Connection& connection) {
    connection.read_request();
    connection.reset();
  });
  Caller caller(once());
  expect_failure(caller.call(closing.url()), "connection_reset", 1);
  expect_failure(caller.call(resetting.url()), "connection_reset", 1);
}

TEST(CallStageFailure, CutOffWithinHeadersBodyOrChunks) {
  EXPECT_EQ(error_of("HTTP/1.1 200 X\r\nContent-Len"), "truncated");
  EXPECT_EQ(error_of("HTTP/1.1 200 X\r\nX-A: b\r\n"), "truncated");
  EXPECT_EQ(error_of("HTTP/1.1 100 Continue\r\n\r\n"), "connection_reset");
  EXPECT_EQ(error_of("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\n"), "truncated");
  EXPECT_EQ(error_of("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc"), "truncated");
  EXPECT_EQ(error_of("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "truncated");
}

TEST(CallStageFailure, ResetWithinTheBody) {
  ScriptedServer server([](Connection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc");
    connection.reset();
  });
  Caller caller(once());
  const Task& task = caller.call(server.url());
  // A reset may overtake the bytes before it.
  EXPECT_TRUE(task.outcome.error_code == "connection_reset" || task.outcome.error_code == "truncated")
      << task.outcome.error_code;
}

TEST(CallStageFailure, NotHttpAtAll) {
  EXPECT_EQ(error_of("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "bad_response");
  EXPECT_EQ(error_of("HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"), "bad_response");
}

TEST(CallStageFailure, EndlessHeaders) {
  ScriptedServer server([](Connection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 X\r\n");
    while (connection.send("X-More: " + std::string(8000, 'x') + "\r\n")) {
    }
  });
  ScriptedServer one_line([](Connection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 X\r\nX-Long: ");
    while (connection.send(std::string(8000, 'x'))) {
    }
  });
  Caller caller(once());
  expect_failure(caller.call(server.url()), "bad_response", 1);
  expect_failure(caller.call(one_line.url()), "bad_response", 1);
}

TEST(CallStageFailure, LargeHeadersAreFine) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& request) {
    return response(200, std::to_string(request.header("x-big").size()), "X-Big: " + std::string(60'000, 'y') + "\r\n");
  }));
  Caller caller(once());
  Task& task = caller.task(server.url());
  task.request.headers = {"X-Big: " + std::string(60'000, 'x')};
  caller.take(task);
  caller.wait();
  expect_answer(task, 200, "60000");
}

TEST(CallStageFailure, ResponseOverTheBound) {
  ScriptedServer server([](Connection& connection) {
    const auto request = connection.read_request();
    if (!request) return;
    if (request->target == "/announced") {
      connection.send("HTTP/1.1 200 X\r\nContent-Length: 1001\r\n\r\n");
      connection.hang();
    } else if (request->target == "/exact") {
      connection.send(response(200, std::string(1000, 'e')));
    } else {
      connection.send("HTTP/1.1 200 X\r\n\r\n");
      while (connection.send(std::string(300, 'b'))) {
      }
    }
  });
  Options options = quick();
  options.response_bytes_max = 1000;
  Caller caller(options);
  expect_failure(caller.call(server.url("/announced")), "response_too_large", 1);
  expect_failure(caller.call(server.url("/endless")), "response_too_large", 1);
  expect_answer(caller.call(server.url("/exact")), 200, std::string(1000, 'e'));
}

TEST(CallStageFailure, SlowDripMeetsTheTimeLimit) {
  ScriptedServer server([](Connection& connection) {
    connection.read_request();
    connection.send("HTTP/1.1 200 X\r\n\r\n");
    while (connection.pause(milliseconds(10)) && connection.send("d")) {
    }
  });
  Options options = once();
  options.time_max = milliseconds(200);
  Caller caller(options);
  const Task& task = caller.call(server.url());
  expect_failure(task, "timeout", 1);
  EXPECT_GE(task.outcome.duration, milliseconds(200));
  EXPECT_LT(task.outcome.duration, seconds(10));
}

TEST(CallStageFailure, NoSecretInErrors) {
  ScriptedServer server(sending("HTTP/1.1 200 X\r\nContent-Length: s3cret\r\n\r\n"));
  Options options = once();
  options.bearer = "s3cret";
  Caller caller(options);
  const Task& task = caller.call(server.url());
  EXPECT_EQ(task.outcome.kind, Outcome::Kind::failed);
  EXPECT_EQ(task.outcome.error_message.find("s3cret"), std::string::npos) << task.outcome.error_message;
  EXPECT_EQ(caller.stage().stats().last_event.find("s3cret"), std::string::npos);
}

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

TEST(CallStageFailure, TenThousandMixedOutcomesLeakNoDescriptors) {
  std::uint64_t seed = 1;
  if (const char* text = std::getenv("PAWL_SEED")) seed = std::stoull(text);
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  const auto before = open_descriptors();
  {
    ScriptedServer server([](Connection& connection) {
      while (const auto request = connection.read_request()) {
        const std::string& target = request->target;
        if (target == "/reset") return connection.reset();
        if (target == "/cut") {
          connection.send("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc");
          return;
        }
        if (!connection.send(response(target == "/500" ? 500 : 200, request->body))) return;
      }
    });
    const std::string refused = "http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port());
    Options options = quick();
    options.parallel_max = 32;
    options.retry_max = 1;
    options.breaker_failures = 0;  // so that every failure is an attempt of its own,
    options.retry_share = 1;       // and nobody waits
    Caller caller(options);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 10'000; ++i) {
      const auto kind = random() % 100;
      const std::string url = kind < 2   ? server.url("/reset")
                              : kind < 4 ? server.url("/cut")
                              : kind < 6 ? server.url("/500")
                              : kind < 8 ? refused
                                         : server.url("/ok");
      caller.task(url, "POST", std::to_string(i));
    }
    caller.take_all();
    caller.wait();
    int i = 0;
    for (const auto& task : caller.tasks()) {
      const std::string body = std::to_string(i++);
      if (task.request.url.ends_with("/ok")) {
        expect_answer(task, 200, body);
      } else if (task.request.url.ends_with("/500")) {
        expect_answer(task, 500, body);
      } else {
        EXPECT_EQ(task.outcome.kind, Outcome::Kind::failed);
        EXPECT_EQ(task.outcome.attempts, 2u);
      }
    }
    const StageGauge gauge = caller.stage().gauge();
    EXPECT_EQ(gauge.waiting + gauge.active + gauge.delayed, 0u);
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace pawl::http
