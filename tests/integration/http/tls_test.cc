// TLS that is not as it should be: certificates that are not to be trusted, handshakes that fail or hang, connections
// that are cut off.
#include "harness.h"
#include "temp_dir.h"
#include "tls_server.h"

namespace pawl::http {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using test::Certificate;
using test::TlsSession;

/// An authority that the client trusts, and one that it does not.
class CallStageTls : public ::testing::Test {
 protected:
  CallStageTls() {
    trusted_.write(dir_ / "trusted.pem");
    options_.ca_file = (dir_ / "trusted.pem").string();
    options_.retry_max = 1;
  }
  static std::string https(const ScriptedServer& server, const std::string& host = "127.0.0.1") {
    return "https://" + host + ":" + std::to_string(server.port()) + "/";
  }
  /// Answers each connection once, properly.
  static ScriptedServer::Script serving(const Certificate& certificate) {
    return [&certificate](Connection& connection) {
      TlsSession session(connection, certificate);
      if (!session.accept()) return;
      while (!session.read_head().empty()) session.send(response(200, "secure"));
    };
  }
  /// Calls a server that proves itself so; what becomes of it.
  Task call(const Certificate& certificate, const std::string& host = "127.0.0.1") {
    ScriptedServer server(serving(certificate));
    Caller caller(options_);
    Task& task = caller.call(https(server, host));
    Task result;
    result.outcome = task.outcome;
    return result;
  }

  const test::TempDir dir_;
  const Certificate trusted_{{.authority = true}};
  const Certificate stranger_{{.authority = true}};
  const Certificate good_{{}, &trusted_};
  Options options_ = quick();
};

TEST_F(CallStageTls, TrustsTheGivenFileForTheRightName) {
  expect_answer(call(good_), 200, "secure");
  expect_answer(call(Certificate({.name = "DNS:localhost"}, &trusted_), "localhost"), 200, "secure");
}

TEST_F(CallStageTls, RefusesWhatNobodyVouchesFor) {
  expect_failure(call(Certificate({.name = "IP:127.0.0.1"})), "certificate_invalid", 1);
  expect_failure(call(Certificate({}, &stranger_)), "certificate_invalid", 1);
  options_.ca_file.clear();  // the system's own
  expect_failure(call(good_), "certificate_invalid", 1);
}

TEST_F(CallStageTls, ReadsTheFileOfTrustedCertificatesOnce) {
  ScriptedServer server(serving(good_));
  options_.connect_timeout = std::chrono::seconds(60);
  Caller caller(options_);
  expect_answer(caller.call(https(server)), 200, "secure");
  std::ofstream(options_.ca_file) << "no certificate";
  // More than one shard's worth, so that libcurl would read it again.
  for (unsigned i = 0; i < 40; ++i) caller.take(caller.task(https(server)));
  caller.wait();
  for (const Task& task : caller.tasks()) EXPECT_TRUE(task.outcome.success()) << task.outcome.error_message;
}

TEST_F(CallStageTls, AFileThatHoldsNoCertificateIsAFaultOfTheSetUp) {
  ScriptedServer server(serving(good_));
  options_.ca_file = (dir_ / "empty.pem").string();
  std::ofstream(options_.ca_file) << "no certificate";
  Caller caller(options_);
  expect_failure(caller.call(https(server)), "tls_setup_failed", 1);
}

TEST_F(CallStageTls, RefusesAnotherName) {
  expect_failure(call(good_, "localhost"), "certificate_invalid", 1);
  expect_failure(call(Certificate({.name = "IP:127.0.0.2"}, &trusted_)), "certificate_invalid", 1);
  expect_failure(call(Certificate({.name = "DNS:*.localhost"}, &trusted_), "localhost"), "certificate_invalid", 1);
}

TEST_F(CallStageTls, RefusesTheWrongTime) {
  expect_failure(call(Certificate({.from = hours(-48), .until = hours(-24)}, &trusted_)), "certificate_invalid", 1);
  expect_failure(call(Certificate({.from = hours(24), .until = hours(48)}, &trusted_)), "certificate_invalid", 1);
}

TEST_F(CallStageTls, RefusesALeafThatSignsOthers) {
  const Certificate leaf({}, &trusted_);
  expect_failure(call(Certificate({}, &leaf)), "certificate_invalid", 1);
}

TEST_F(CallStageTls, AServerThatDoesNotSpeakItIsAFailedHandshake) {
  for (const std::string& said : {std::string("HTTP/1.1 200 X\r\n\r\n"), std::string(1000, '\x16'), std::string()}) {
    ScriptedServer server([&](Connection& connection) {
      connection.send(said);
      connection.finish_sending();
      connection.hang();
    });
    Caller caller(options_);
    expect_failure(caller.call(https(server)), "tls_failed", 2);
    EXPECT_EQ(server.connections(), 2);
  }
}

TEST_F(CallStageTls, AResetWithinTheHandshakeIsRetried) {
  ScriptedServer server([](Connection& connection) {
    connection.pause(milliseconds(1));
    connection.reset();
  });
  Caller caller(options_);
  const Task& task = caller.call(https(server));
  EXPECT_TRUE(task.outcome.error_code == "tls_failed" || task.outcome.error_code == "connection_reset" ||
              task.outcome.error_code == "connect_failed")
      << task.outcome.error_code;
  EXPECT_EQ(task.outcome.attempts, 2u);
}

TEST_F(CallStageTls, AHandshakeThatHangsEndsWithTheTimeForConnecting) {
  ScriptedServer server([](Connection& connection) { connection.hang(); });
  options_.connect_timeout = milliseconds(50);
  Caller caller(options_);
  expect_failure(caller.call(https(server)), "timeout", 2);
}

/// What becomes of a response that ends with or without TLS saying so.
std::string cut_off(const Options& options, const Certificate& certificate, const std::string& bytes, bool finish) {
  ScriptedServer server([&](Connection& connection) {
    TlsSession session(connection, certificate);
    if (!session.accept() || session.read_head().empty()) return;
    session.send(bytes);
    if (finish) session.finish();
  });
  Caller caller(options);
  const Task& task = caller.call("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  EXPECT_EQ(task.outcome.attempts, task.outcome.kind == Outcome::Kind::answered ? 1u : 2u);
  if (task.outcome.kind == Outcome::Kind::failed) return task.outcome.error_code;
  return std::to_string(task.outcome.status_code) + " " + task.outcome.body;
}

TEST_F(CallStageTls, ABodyThatIsCutOffIsNotWhole) {
  const std::string no_length = "HTTP/1.1 200 X\r\n\r\nabc";
  EXPECT_EQ(cut_off(options_, good_, no_length, true), "200 abc");
  // A body without a length ends with its connection; libcurl 7.88 does not say how that ended.
  const std::string became = cut_off(options_, good_, no_length, false);
  EXPECT_TRUE(became == "truncated" || became == "200 abc") << became;
  const std::string too_short = "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabc";
  EXPECT_EQ(cut_off(options_, good_, too_short, true), "truncated");
  EXPECT_EQ(cut_off(options_, good_, too_short, false), "truncated");
  EXPECT_EQ(cut_off(options_, good_, response(200, "abc"), false), "200 abc");
}

TEST_F(CallStageTls, AKeptConnectionThatClosesIsReplacedWithoutAnAttempt) {
  ScriptedServer server([&](Connection& connection) {
    TlsSession session(connection, good_);
    if (!session.accept() || session.read_head().empty()) return;
    session.send(response(200, "once"));
    if (connection.number() % 2 == 0) session.finish();
    if (connection.number() % 3 == 0) static_cast<void>(session.read_head());
  });
  options_.retry_max = 0;
  Caller caller(options_);
  for (int i = 0; i < 12; ++i) expect_answer(caller.call(https(server)), 200, "once");
  EXPECT_EQ(server.connections(), 12);
}

/// Bodies of five calls, one after the other, whose server sends an answer to nobody behind each of its own. Each
/// piece is a TLS record of its own or several; the last one and that answer share one.
std::vector<std::string> bodies_with_more_behind_them(const Options& given, const Certificate& certificate,
                                                      std::vector<std::string> pieces) {
  pieces.back() += response(200, "evil");
  ScriptedServer server([&](Connection& connection) {
    TlsSession session(connection, certificate);
    if (!session.accept()) return;
    while (!session.read_head().empty()) {
      for (const auto& piece : pieces) session.send(piece);
    }
  });
  Options options = given;
  options.parallel_max = 1;
  Caller caller(options);
  for (int i = 0; i < 5; ++i) caller.task("https://127.0.0.1:" + std::to_string(server.port()) + "/");
  caller.take_all();
  caller.wait();
  std::vector<std::string> bodies;
  for (const auto& task : caller.tasks()) bodies.push_back(task.outcome.body);
  return bodies;
}

TEST_F(CallStageTls, BytesBehindAnAnswerAnswerNobody) {
  const std::vector<std::string> own(5, "own");
  EXPECT_EQ(bodies_with_more_behind_them(options_, good_, {response(200, "own")}), own);
  EXPECT_EQ(bodies_with_more_behind_them(options_, good_, {"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n", "own"}), own);
}

TEST_F(CallStageTls, BytesBehindALongAnswerAnswerNobody) {
  const std::string body(100'000, 'o');
  const std::vector<std::string> bodies(5, body);
  EXPECT_TRUE(bodies_with_more_behind_them(options_, good_, {response(200, body)}) == bodies);
  const std::string chunks = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + body + "\r\n0\r\n\r\n";
  EXPECT_TRUE(bodies_with_more_behind_them(options_, good_, {chunks}) == bodies);
}

}  // namespace
}  // namespace pawl::http
