// HTTP/2: refused with the reason where libcurl loses requests over it; where it does not, streams that are reset and
// connections that are given up.
#include "http2_server.h"

#include <algorithm>

#include "harness.h"
#include "temp_dir.h"
#include "tls_server.h"

namespace pawl::http {
namespace {

using test::Http2Session;

Options http2() {
  Options options = quick();
  options.version = Version::http2_prior_knowledge;
  options.retry_max = 1;
  return options;
}

/// Empty: this libcurl will do.
std::string why_not() {
  const auto valid = http2().validate();
  return valid ? std::string() : valid.error().context;
}

TEST(Http2, IsRefusedWithTheReasonOrWorks) {
  for (const Version version : {Version::http2, Version::http2_prior_knowledge}) {
    Options options = quick();
    options.version = version;
    const auto made = make_call_stage(options);
    if (made) continue;
    EXPECT_EQ(made.error().code, ErrorCode::unsupported);
    EXPECT_NE(made.error().context.find("needs libcurl 8 or later"), std::string::npos) << made.error().context;
  }
}

/// What the server does with the first request of a task; the later ones it answers with "at last".
struct StreamFault {
  std::string name;
  std::function<void(Http2Session&, std::uint32_t stream)> act;
  std::string outcome;
  unsigned attempts;  // of two; '0': one or two, libcurl repeats some by itself
};

void PrintTo(const StreamFault& fault, std::ostream* out) { *out << fault.name; }

// Error codes of RFC 9113 section 7.
constexpr std::uint32_t kNoError = 0, kProtocolError = 1, kInternalError = 2, kRefusedStream = 7, kCancel = 8,
                        kEnhanceYourCalm = 11;

std::vector<StreamFault> faults() {
  const auto reset = [](std::uint32_t error) {
    return [error](Http2Session& session, std::uint32_t stream) { session.reset(stream, error); };
  };
  return {
      {"Answers", [](Http2Session& session, std::uint32_t stream) { session.answer(stream, "first"); }, "200 first", 1},
      {"ResetStreamWithInternalError", reset(kInternalError), "200 at last", 2},
      {"ResetStreamWithProtocolError", reset(kProtocolError), "200 at last", 2},
      {"ResetStreamWithCancel", reset(kCancel), "200 at last", 2},
      {"ResetStreamWithEnhanceYourCalm", reset(kEnhanceYourCalm), "200 at last", 2},
      {"ResetStreamRefused", reset(kRefusedStream), "200 at last", 0},
      {"ResetStreamAfterHeaders",
       [](Http2Session& session, std::uint32_t stream) {
         session.send_headers(stream);
         session.reset(stream, kInternalError);
       },
       "200 at last", 2},
      {"ResetStreamWithinTheBody",
       [](Http2Session& session, std::uint32_t stream) {
         session.send_headers(stream);
         session.send(Http2Session::kData, 0, stream, "half");
         session.reset(stream, kInternalError);
       },
       "200 at last", 2},
      {"GoAwayBeforeTheRequestWasLookedAt", [](Http2Session& session, std::uint32_t) { session.go_away(0, kNoError); },
       "200 at last", 0},
      {"GoAwayWithAnError", [](Http2Session& session, std::uint32_t) { session.go_away(0, kEnhanceYourCalm); },
       "200 at last", 0},
      {"GoAwayThenTheAnswer",
       [](Http2Session& session, std::uint32_t stream) {
         session.go_away(stream, kNoError);
         session.answer(stream, "first");
       },
       "200 first", 1},
      {"ClosedWithoutAnswer", [](Http2Session&, std::uint32_t) {}, "200 at last", 2},
      {"ClosedWithinTheBody",
       [](Http2Session& session, std::uint32_t stream) {
         session.send_headers(stream);
         session.send(Http2Session::kData, 0, stream, "half");
       },
       "200 at last", 2},
      {"BodyOfAnotherStream", [](Http2Session& session, std::uint32_t stream) { session.answer(stream + 2, "evil"); },
       "200 at last", 2},
  };
}

class Http2Fault : public ::testing::TestWithParam<StreamFault> {};

/// A server that answers `before` requests and meets the next one as the fault says.
ScriptedServer::Script failing_once(const StreamFault& fault, unsigned before) {
  auto requests = std::make_shared<std::atomic<unsigned>>(0);
  return [&fault, before, requests](Connection& connection) {
    Http2Session session(connection);
    if (!session.begin()) return;
    while (const std::uint32_t stream = session.next_request()) {
      const unsigned number = requests->fetch_add(1);
      if (number != before) {
        session.answer(stream, number < before ? "before" : "at last");
        continue;
      }
      fault.act(session, stream);
      if (fault.name.starts_with("Closed") || fault.name.starts_with("GoAway")) return;
    }
  };
}

TEST_P(Http2Fault, IsRetriedOrAnswered) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  const StreamFault& fault = GetParam();
  ScriptedServer server(failing_once(fault, 0));
  Caller caller(http2());
  const Task& task = caller.call(server.url(), "POST", "body");
  EXPECT_EQ(task.outcome.error_code, "") << task.outcome.error_message;
  EXPECT_EQ(std::to_string(task.outcome.status_code) + " " + task.outcome.body, fault.outcome);
  if (fault.attempts != 0) {
    EXPECT_EQ(task.outcome.attempts, fault.attempts);
  }
  for (int i = 0; i < 3; ++i) expect_answer(caller.call(server.url(), "POST", "body"), 200, "at last");
}

TEST_P(Http2Fault, OnAKeptConnectionIsRetriedOrAnswered) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  const StreamFault& fault = GetParam();
  ScriptedServer server(failing_once(fault, 2));
  Caller caller(http2());
  for (int i = 0; i < 2; ++i) expect_answer(caller.call(server.url(), "POST", "body"), 200, "before");
  const Task& task = caller.call(server.url(), "POST", "body");
  EXPECT_EQ(task.outcome.error_code, "") << task.outcome.error_message;
  EXPECT_EQ(std::to_string(task.outcome.status_code) + " " + task.outcome.body, fault.outcome);
  for (int i = 0; i < 3; ++i) expect_answer(caller.call(server.url(), "POST", "body"), 200, "at last");
}

INSTANTIATE_TEST_SUITE_P(Http2, Http2Fault, ::testing::ValuesIn(faults()),
                         [](const auto& row) { return row.param.name; });

TEST(Http2, ThatIsNoneIsAFailure) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  ScriptedServer server([](Connection& connection) {
    connection.send("HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n");
    connection.finish_sending();
    connection.hang();
  });
  Caller caller(http2());
  const Task& task = caller.call(server.url());
  EXPECT_EQ(task.outcome.kind, Outcome::Kind::failed);
  EXPECT_NE(task.outcome.error_code, "call_failed") << task.outcome.error_message;
}

/// Answers each request with the number of its stream.
void count_streams(Http2Session session) {
  if (!session.begin()) return;
  while (const std::uint32_t stream = session.next_request()) session.answer(stream, std::to_string(stream));
}

/// One call, which shows that the server speaks HTTP/2, then many at once: each has a stream of its own.
void expect_shared_connection(Caller& caller, const ScriptedServer& server, const std::string& url) {
  expect_answer(caller.call(url), 200, "1");
  for (int i = 0; i < 200; ++i) caller.task(url);
  for (auto& task : caller.tasks()) {
    if (!task.outcome.success()) caller.take(task);
  }
  caller.wait();
  std::set<std::string> streams;
  for (const auto& task : caller.tasks()) {
    EXPECT_TRUE(task.outcome.success()) << task.outcome.error_code << ": " << task.outcome.error_message;
    streams.insert(task.outcome.body);
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(streams.size(), 201u);
}

TEST(Http2, ManyCallsShareAConnection) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  ScriptedServer server([](Connection& connection) { count_streams(Http2Session(connection)); });
  Options options = http2();
  options.parallel_max = 16;
  options.retry_max = 0;
  Caller caller(options);
  expect_shared_connection(caller, server, server.url());
}

TEST(Http2, ManyCallsShareAConnectionOverTls) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  const test::TempDir dir;
  const test::Certificate authority({.authority = true}), certificate({}, &authority);
  authority.write(dir / "trusted.pem");
  ScriptedServer server([&](Connection& connection) {
    test::TlsSession tls(connection, certificate, "h2");
    if (tls.accept()) count_streams(Http2Session(tls));
  });
  Options options = http2();
  options.version = Version::http2;
  options.ca_file = (dir / "trusted.pem").string();
  options.parallel_max = 16;
  options.retry_max = 0;
  Caller caller(options);
  expect_shared_connection(caller, server, "https://127.0.0.1:" + std::to_string(server.port()) + "/");
}

TEST(Http2, AServerThatGoesAwayAgainAndAgainLosesAndDoublesNothing) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  constexpr unsigned kCalls = 300, kPerConnection = 10;
  std::atomic<unsigned> answered{0};
  ScriptedServer server([&](Connection& connection) {
    Http2Session session(connection);
    if (!session.begin()) return;
    unsigned number = 0;
    while (const std::uint32_t stream = session.next_request()) {
      if (number == kPerConnection) continue;  // sent before the client knew: not looked at
      if (++number == kPerConnection) session.go_away(stream, kNoError);
      session.answer(stream, std::to_string(answered.fetch_add(1)));
    }
  });
  Options options = http2();
  options.parallel_max = 16;
  Caller caller(options);
  for (unsigned i = 0; i < kCalls; ++i) caller.task(server.url(), "POST", "body");
  caller.take_all();
  caller.wait();
  std::set<std::string> bodies;
  for (const auto& task : caller.tasks()) {
    EXPECT_TRUE(task.outcome.success()) << task.outcome.error_code << ": " << task.outcome.error_message;
    bodies.insert(task.outcome.body);
  }
  EXPECT_EQ(bodies.size(), kCalls);
  EXPECT_EQ(answered.load(), kCalls);
  EXPECT_GE(server.connections(), static_cast<int>(kCalls / kPerConnection));
}

TEST(Http2, ASlowFirstAnswerHoldsNoOtherCallUp) {
  if (const std::string reason = why_not(); !reason.empty()) GTEST_SKIP() << reason;
  constexpr int kOthers = 7;
  std::mutex mutex;
  std::function<void()> answer_first;  // set once the first request is there
  int others = 0;
  ScriptedServer server([&](Connection& connection) {
    Http2Session session(connection);
    if (!session.begin()) return;
    while (const std::uint32_t stream = session.next_request()) {
      const std::lock_guard lock(mutex);
      if (!answer_first) {
        answer_first = [&session, stream] { session.answer(stream, "first"); };
        continue;
      }
      session.answer(stream, "other");
      if (++others == kOthers) answer_first();
    }
  });
  Options options = http2();
  options.retry_max = 0;
  Caller caller(options);
  for (int i = 0; i < 1 + kOthers; ++i) caller.task(server.url());
  caller.take_all();
  caller.wait();
  EXPECT_EQ(std::ranges::count(caller.tasks(), "first", [](const Task& task) { return task.outcome.body; }), 1);
  EXPECT_EQ(std::ranges::count(caller.tasks(), "other", [](const Task& task) { return task.outcome.body; }), kOthers);
}

}  // namespace
}  // namespace pawl::http
