// Failures beside those of the table in faults_test.cc: names, bounds, secrets.
#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Reads a request, sends `bytes` and closes.
ScriptedServer::Script sending(std::string bytes) {
  return [bytes = std::move(bytes)](Connection& connection) {
    if (connection.read_request()) connection.send(bytes);
  };
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

}  // namespace
}  // namespace pawl::http
