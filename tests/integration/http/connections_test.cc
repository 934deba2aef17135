// Kept connections that die, that bring what nobody asked for, answers that come before their request is whole, and
// servers that accept nobody for a while.
#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;

void expect_first_attempt(const Task& task, const std::string& body) {
  expect_answer(task, 200, body);
  EXPECT_EQ(task.outcome.attempts, 1u);
}

/// Something the server has done and the test waits for, or the other way round.
class Signal {
 public:
  void give() {
    const std::lock_guard lock(mutex_);
    ++given_;
    changed_.notify_all();
  }
  [[nodiscard]] bool wait_for(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return given_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int given_ = 0;
};

TEST(KeptConnection, ClosedWhileIdleIsReplacedWithoutAnAttempt) {
  Signal answered, closed;
  int calls = 0;
  ScriptedServer server([&](Connection& connection) {
    if (!connection.read_request()) return;
    connection.send(response(200, "x"));
    // Only once the client has its answer: the connection dies idle.
    if (!answered.wait_for(connection.number())) return;
    connection.number() % 2 == 0 ? connection.reset() : connection.close();
    closed.give();
  });
  Caller caller(once());
  for (; calls < 8; ++calls) {
    expect_first_attempt(caller.call(server.url(), "POST", "body"), "x");
    answered.give();
    ASSERT_TRUE(closed.wait_for(calls + 1));
  }
  EXPECT_EQ(server.connections(), 8);
}

/// Answers the first request of a connection; at the next one the connection ends without a byte.
ScriptedServer::Script answering_once(bool with_reset) {
  return [with_reset](Connection& connection) {
    const auto first = connection.read_request();
    if (!first || !connection.send(response(200, first->body)) || !connection.read_request()) return;
    if (with_reset) connection.reset();
  };
}

TEST(KeptConnection, DyingUnderARequestIsReplacedWithoutAnAttempt) {
  for (const bool with_reset : {false, true}) {
    ScriptedServer server(answering_once(with_reset));
    Caller caller(once());
    // More often than libcurl repeats by itself in the life of a handle.
    for (int i = 0; i < 20; ++i) {
      const std::string body = std::to_string(i);
      expect_first_attempt(caller.call(server.url(), "POST", body), body);
    }
    EXPECT_EQ(server.connections(), 20);
  }
}

TEST(KeptConnection, ARedirectThatMeetsADyingOneGoesOnAsItWas) {
  ScriptedServer other(answering_once(false));
  ScriptedServer server(ScriptedServer::answering(
      [&](const SeenRequest&) { return response(307, "", "Location: " + other.url("/end") + "\r\n"); }));
  Options options = once();
  options.redirects = Redirects::follow;
  options.bearer = "token";
  Caller caller(options);
  for (int i = 0; i < 8; ++i) expect_first_attempt(caller.call(server.url(), "POST", "b"), "b");
}

TEST(KeptConnection, DyingWithinAnAnswerIsAnAttempt) {
  ScriptedServer server([](Connection& connection) {
    if (!connection.read_request() || !connection.send(response(200, "x")) || !connection.read_request()) return;
    connection.send("HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc");
  });
  Options options = once();
  options.retry_max = 1;
  Caller caller(options);
  expect_first_attempt(caller.call(server.url()), "x");
  const Task& second = caller.call(server.url());
  expect_answer(second, 200, "x");
  EXPECT_EQ(second.outcome.attempts, 2u);
}

TEST(KeptConnection, WhatItBringsWhileIdleAnswersNobody) {
  for (const std::string& bytes : {response(200, "evil"), std::string("rubbish"), std::string(100'000, '\0')}) {
    Signal answered, sent;
    ScriptedServer server([&](Connection& connection) {
      while (const auto request = connection.read_request()) {
        connection.send(response(200, request->body));
        if (!answered.wait_for(connection.number())) return;
        connection.send(bytes);
        sent.give();
      }
    });
    Caller caller(once());
    for (int i = 0; i < 4; ++i) {
      expect_first_attempt(caller.call(server.url(), "POST", std::to_string(i)), std::to_string(i));
      answered.give();
      ASSERT_TRUE(sent.wait_for(i + 1));
    }
    EXPECT_EQ(server.connections(), 4);
  }
}

// The rest of a body that should not be there comes when the connection has been given to the next call already.
TEST(KeptConnection, WhatComesLateIsNoFailureOfTheNextCall) {
  ScriptedServer server([](Connection& connection) {
    while (const auto request = connection.read_request()) {
      if (request->target == "/204") {
        connection.send("HTTP/1.1 204 X\r\n\r\n");
        if (!connection.read_request()) return;
        connection.send("late rest of a body");
      }
      connection.send(response(200, request->target));
    }
  });
  Caller caller(once());
  expect_answer(caller.call(server.url("/204")), 204, "");
  expect_first_attempt(caller.call(server.url("/next")), "/next");
  EXPECT_EQ(server.connections(), 2);
}

/// What becomes of a large request that the server answers after its head. `then`: what the server does after that.
std::string early(const std::string& answer, const std::function<void(Connection&)>& then, milliseconds time_max) {
  ScriptedServer server([&](Connection& connection) {
    while (const auto head = connection.read_head()) {
      if (head->target == "/well") {
        if (!connection.send(response(200, "well"))) return;
        continue;
      }
      connection.send(answer);
      return then(connection);
    }
  });
  Options options = once();
  options.time_max = time_max;
  Caller caller(options);
  const Task& task = caller.call(server.url("/early"), "POST", std::string(16 << 20, 'b'));
  if (time_max > kDeadline / 2) expect_answer(caller.call(server.url("/well")), 200, "well");
  if (task.outcome.kind == Outcome::Kind::failed) return task.outcome.error_code;
  return std::to_string(task.outcome.status_code) + " " + task.outcome.body;
}

TEST(EarlyAnswer, IsTakenWhateverBecomesOfTheRequest) {
  constexpr milliseconds kLong{100'000};
  const auto draining = [](Connection& connection) {
    connection.finish_sending();
    connection.hang();
  };
  const auto not_reading = [](Connection& connection) {
    while (connection.pause(std::chrono::seconds(1))) {
    }
  };
  EXPECT_EQ(early(response(413, "too much"), draining, kLong), "413 too much");
  EXPECT_EQ(early(response(413, "too much"), not_reading, kLong), "413 too much");
  EXPECT_EQ(early(response(200, "enough"), draining, kLong), "200 enough");
  // libcurl goes on to send a request that was answered well: the answer outlives the limit of time, too. (The limit
  // grows until a busy machine has brought the answer within it.)
  std::string became = "timeout";
  for (milliseconds limit(300); became == "timeout" && limit < kDeadline; limit *= 10) {
    became = early(response(200, "enough"), not_reading, limit);
  }
  EXPECT_EQ(became, "200 enough");
}

TEST(EarlyAnswer, FollowedByAResetIsTakenOrRetried) {
  const std::string became =
      early(response(200, "enough"), [](Connection& connection) { connection.reset(); }, milliseconds(100'000));
  EXPECT_TRUE(became == "200 enough" || became == "connection_reset") << became;
}

/// Listens with room for one connection and accepts nobody until open().
class ClosedDoor {
 public:
  ClosedDoor() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_, generic, length), 0);
    EXPECT_EQ(::listen(listener_, 0), 0);
    EXPECT_EQ(::getsockname(listener_, generic, &length), 0);
    port_ = ntohs(address.sin_port);
    visitor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(visitor_, generic, length), 0);
  }
  ~ClosedDoor() {
    ::shutdown(listener_, SHUT_RDWR);
    if (acceptor_.joinable()) acceptor_.join();
    ::close(visitor_);
    ::close(listener_);
  }
  ClosedDoor(const ClosedDoor&) = delete;
  ClosedDoor& operator=(const ClosedDoor&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
  /// From now on everybody is answered, one after the other.
  void open() {
    acceptor_ = std::thread([this] {
      while (true) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        const int never = ::eventfd(0, EFD_CLOEXEC);
        {
          Connection connection(fd, never, 1);
          // The visitor says nothing, and waits in the queue before all others.
          if (!first_ && connection.read_request()) connection.send(response(200, "in", "Connection: close\r\n"));
          first_ = false;
        }
        ::close(never);
      }
    });
  }

 private:
  int listener_ = -1;
  int visitor_ = -1;
  int port_ = 0;
  bool first_ = true;
  std::thread acceptor_;
};

/// The stage is watched from outside: nothing tells when it has come so far.
template <class Condition>
void wait_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
}

TEST(ServerThatAcceptsNobody, IsWaitedForWithinTheLimitOfTimeForConnecting) {
  ClosedDoor server;
  Options options = once();
  options.connect_timeout = kDeadline;
  Caller caller(options);
  Task& task = caller.task(server.url());
  caller.take(task);
  wait_until([&] { return caller.stage().stats().connections_opened > 0; });
  server.open();
  caller.wait();
  expect_first_attempt(task, "in");
}

TEST(ServerThatAcceptsNobody, IsTriedAgainWhenTheTimeForConnectingIsOver) {
  ClosedDoor server;
  Options options = quick();
  options.retry_max = 1000;
  options.connect_timeout = milliseconds(50);
  Caller caller(options);
  for (int i = 0; i < 10; ++i) caller.task(server.url());
  caller.take_all();
  wait_until([&] { return caller.stage().stats().retries >= 20; });
  EXPECT_NE(caller.stage().stats().last_event.find("timeout"), std::string::npos);
  server.open();
  caller.wait();
  for (const auto& task : caller.tasks()) {
    expect_answer(task, 200, "in");
    EXPECT_GT(task.outcome.attempts, 1u);
  }
}

}  // namespace
}  // namespace pawl::http
