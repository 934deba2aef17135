// What arrives at the server, and what becomes of its responses.
#include <zlib.h>

#include <cstdlib>
#include <set>

#include <gmock/gmock.h>

#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string describe(const SeenRequest& request) { return request.method + " " + request.target + " " + request.body; }

TEST(CallStage, SendsTheRequestAsGivenAndTakesTheAnswer) {
  SeenRequest seen;
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    seen = request;
    return response(201, "made", "Content-Type: text/x; charset=utf-8\r\nrequest-id: second\r\nX-Request-Id: r1\r\n");
  }));
  Options options = quick();
  options.headers = {"X-Common: c", "X-Replaced: common"};
  options.bearer = "token";
  Caller caller(options);
  Task& task = caller.task(server.url("/a/b?c=d"), "POST", "the body");
  task.request.content_type = "application/json";
  task.request.headers = {"X-Replaced: own", "X-Empty:"};
  const auto before = std::chrono::system_clock::now();
  caller.take(task);
  caller.wait();
  expect_answer(task, 201, "made");
  EXPECT_EQ(task.outcome.content_type, "text/x; charset=utf-8");
  EXPECT_EQ(task.outcome.request_id, "r1");
  EXPECT_EQ(task.outcome.attempts, 1u);
  EXPECT_GE(task.outcome.started, before);
  EXPECT_LE(task.outcome.started, std::chrono::system_clock::now());
  EXPECT_EQ(describe(seen), "POST /a/b?c=d the body");
  EXPECT_EQ(seen.header("content-type"), "application/json");
  EXPECT_EQ(seen.header("x-common"), "c");
  EXPECT_EQ(seen.header("x-replaced"), "own");
  EXPECT_TRUE(seen.has("x-empty"));
  EXPECT_EQ(seen.header("authorization"), "Bearer token");
  EXPECT_THAT(seen.header("user-agent"), ::testing::StartsWith("pawl/"));
  EXPECT_FALSE(seen.has("expect"));
}

TEST(CallStage, SendsEveryMethodOnOneHandleWithoutMixingThemUp) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& request) {
    std::string text = response(200, describe(request) + " type=" + request.header("content-type") +
                                         " length=" + request.header("content-length"));
    if (request.method == "HEAD") text.erase(text.find("\r\n\r\n") + 4);
    return text;
  }));
  Caller caller;
  for (int round = 0; round < 2; ++round) {
    expect_answer(caller.call(server.url(), "GET"), 200, "GET /  type= length=");
    expect_answer(caller.call(server.url(), "POST", "x"), 200, "POST / x type= length=1");
    expect_answer(caller.call(server.url(), "HEAD"), 200, "");
    expect_answer(caller.call(server.url(), "PUT", "yy"), 200, "PUT / yy type= length=2");
    expect_answer(caller.call(server.url(), "DELETE"), 200, "DELETE /  type= length=");
    expect_answer(caller.call(server.url("/q"), "POST"), 200, "POST /q  type= length=0");
    expect_answer(caller.call(server.url(), "PATCH", "z"), 200, "PATCH / z type= length=1");
    expect_answer(caller.call(server.url(), "DELETE", "z"), 200, "DELETE / z type= length=1");
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(CallStage, TakesResponsesWithoutBody) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& request) -> std::string {
    if (request.target == "/204") return "HTTP/1.1 204 X\r\n\r\n";
    return "HTTP/1.1 304 X\r\nContent-Length: 999999999999\r\n\r\n";
  }));
  Caller caller;
  expect_answer(caller.call(server.url("/204")), 204, "");
  expect_answer(caller.call(server.url("/304")), 304, "");
  EXPECT_EQ(server.connections(), 1);
}

TEST(CallStage, UndoesChunksAndGzip) {
  const std::string plain(100'000, 'p');
  std::string packed(1000, '\0');
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string input = plain;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) -> std::string {
    if (request.target == "/gzip") {
      EXPECT_NE(request.header("accept-encoding").find("gzip"), std::string::npos);
      return response(200, packed, "Content-Encoding: gzip\r\n");
    }
    return "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Request-Id: "
           "trailer\r\n\r\n";
  }));
  Caller caller;
  expect_answer(caller.call(server.url("/gzip")), 200, plain);
  Task& chunked = caller.call(server.url("/chunked"));
  expect_answer(chunked, 200, "abcde");
  EXPECT_EQ(chunked.outcome.request_id, "");
}

TEST(CallStage, TakesABodyThatEndsWithTheConnectionAndBytesOfEveryValue) {
  std::string body;
  for (int i = 0; i < 1024; ++i) body.push_back(static_cast<char>(i));
  ScriptedServer server([&](Connection& connection) {
    if (connection.read_request()) connection.send("HTTP/1.0 200 X\r\n\r\n" + body);
  });
  Caller caller;
  expect_answer(caller.call(server.url()), 200, body);
}

TEST(CallStage, ReusesConnectionsAndMatchesAnswersWithTasks) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& r) { return response(200, r.body); }));
  Options options = quick();
  options.parallel_max = 8;
  Caller caller(options);
  for (int i = 0; i < 2000; ++i) caller.task(server.url("/" + std::to_string(i % 3)), "POST", std::to_string(i));
  caller.take_all();
  caller.wait();
  int i = 0;
  for (const auto& task : caller.tasks()) expect_answer(task, 200, std::to_string(i++));
  EXPECT_LE(server.connections(), 8);
  const Stats stats = caller.stage().stats();
  EXPECT_EQ(stats.attempts_finished, 2000u);
  EXPECT_EQ(stats.connections_opened, static_cast<std::uint64_t>(server.connections()));
  EXPECT_GT(stats.attempts.p50_ms, 0);
  EXPECT_LE(stats.attempts.p50_ms, stats.attempts.max_ms);
}

TEST(CallStage, OneAfterTheOtherNeedsOneConnection) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest&) { return response(200, "x"); }));
  Caller caller;
  for (int i = 0; i < 50; ++i) caller.call(server.url());
  EXPECT_EQ(server.connections(), 1);
}

TEST(CallStage, SlowAnswerHoldsNobodyUp) {
  std::mutex mutex;
  std::condition_variable released;
  bool release = false;
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    if (request.target == "/slow") {
      std::unique_lock lock(mutex);
      released.wait_for(lock, kDeadline, [&] { return release; });
    }
    return response(200, request.target);
  }));
  Caller caller;
  Task& slow = caller.task(server.url("/slow"));
  caller.take(slow);
  std::vector<Task*> quick_ones;
  for (int i = 0; i < 100; ++i) {
    quick_ones.push_back(&caller.task(server.url("/quick")));
    caller.take(*quick_ones.back());
  }
  ASSERT_TRUE(caller.sink().wait_for(100));
  EXPECT_EQ(slow.outcome.kind, Outcome::Kind::none);
  {
    const std::lock_guard lock(mutex);
    release = true;
  }
  released.notify_all();
  caller.wait();
  expect_answer(slow, 200, "/slow");
  EXPECT_EQ(caller.sink().order().back(), &slow);
}

TEST(CallStage, OverlapsAThousandCalls) {
  constexpr int kCalls = 1000;
  std::mutex mutex;
  std::condition_variable all_in;
  int in = 0;
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    std::unique_lock lock(mutex);
    if (++in == kCalls) all_in.notify_all();
    return response(all_in.wait_for(lock, kDeadline, [&] { return in == kCalls; }) ? 200 : 500, request.body);
  }));
  Options options = quick();
  options.parallel_max = kCalls;
  options.time_max = seconds(60);
  options.retry_max = 0;
  Caller caller(options);
  for (int i = 0; i < kCalls; ++i) caller.task(server.url(), "POST", std::to_string(i));
  caller.take_all();
  caller.wait();
  int i = 0;
  for (const auto& task : caller.tasks()) expect_answer(task, 200, std::to_string(i++));
}

TEST(CallStage, HostLimitHoldsForOneHostOnly) {
  std::atomic<int> active{0}, most{0};
  ScriptedServer limited(ScriptedServer::answering([&](const SeenRequest&) {
    const int now = ++active;
    int seen = most.load();
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    --active;
    return response(200, "limited");
  }));
  ScriptedServer other(ScriptedServer::answering([&](const SeenRequest&) { return response(200, "other"); }));
  Options options = quick();
  options.parallel_max_host = 3;
  Caller caller(options);
  for (int i = 0; i < 300; ++i) caller.task(limited.url());
  for (int i = 0; i < 30; ++i) caller.task(other.url());
  caller.take_all();
  caller.wait();
  EXPECT_LE(most.load(), 3);
  EXPECT_LE(limited.connections(), 3);
  for (const auto& task : caller.tasks()) EXPECT_TRUE(task.outcome.success());
}

TEST(CallStage, RefusesWhatCannotBeSent) {
  Caller caller;
  expect_failure(caller.call("not a url"), "bad_url", 0);
  expect_failure(caller.call("ftp://127.0.0.1/"), "bad_url", 0);
  expect_failure(caller.call("file:///etc/passwd"), "bad_url", 0);
  expect_failure(caller.call("http://"), "bad_url", 0);
  expect_failure(caller.call("http://127.0.0.1:99999/"), "bad_url", 0);
  expect_failure(caller.call("http://127.0.0.1/", "G T"), "bad_request", 0);
  // Neither is it relative to the last one's.
  EXPECT_TRUE(caller.call("http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port())).outcome.attempts > 0);
  expect_failure(caller.call("nonsense"), "bad_url", 0);
  expect_failure(caller.call("/v1/chat"), "bad_url", 0);
  Task& smuggler = caller.task("http://127.0.0.1/");
  smuggler.request.headers = {"X: a\r\nY: b"};
  caller.take(smuggler);
  caller.wait();
  expect_failure(smuggler, "bad_request", 0);
}

TEST(CallStage, GoesThroughTheEnvironmentsProxy) {
  SeenRequest seen;
  ScriptedServer proxy(ScriptedServer::answering([&](const SeenRequest& request) {
    seen = request;
    return response(200, "by proxy");
  }));
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  {
    Caller caller;
    expect_answer(caller.call("http://pawl.invalid/x"), 200, "by proxy");
  }
  ::unsetenv("http_proxy");
  EXPECT_EQ(seen.target, "http://pawl.invalid/x");
}

TEST(CallStage, GoesThroughTheGivenProxy) {
  ScriptedServer proxy(ScriptedServer::answering([&](const SeenRequest& r) { return response(200, r.target); }));
  Options options = quick();
  options.proxy = proxy.url();
  Caller caller(options);
  expect_answer(caller.call("http://pawl.invalid/y"), 200, "http://pawl.invalid/y");
}

TEST(HttpOptions, SayWhatIsWrong) {
  const auto code_of = [](auto change) {
    Options options;
    change(options);
    const auto valid = options.validate();
    return valid ? std::string("valid") : std::string(name_of(valid.error().code)) + ": " + valid.error().context;
  };
  using ::testing::StartsWith;
  EXPECT_EQ(code_of([](Options&) {}), "valid");
  EXPECT_THAT(code_of([](Options& o) { o.parallel_max = 0; }), StartsWith("usage: parallel_max"));
  EXPECT_THAT(code_of([](Options& o) { o.retry_max = 1001; }), StartsWith("usage: retry_max"));
  EXPECT_THAT(code_of([](Options& o) { o.retry_delay = seconds(61); }), StartsWith("usage: retry_delay"));
  EXPECT_THAT(code_of([](Options& o) { o.retry_delay_max = milliseconds(-1); }), StartsWith("usage: retry_delay_max"));
  EXPECT_THAT(code_of([](Options& o) { o.retry_time_max = milliseconds(-1); }), StartsWith("usage: retry_time_max"));
  EXPECT_THAT(code_of([](Options& o) { o.time_max = milliseconds(0); }), StartsWith("usage: time_max"));
  EXPECT_THAT(code_of([](Options& o) { o.connect_timeout = milliseconds(0); }), StartsWith("usage: connect_timeout"));
  EXPECT_THAT(code_of([](Options& o) { o.response_bytes_max = 0; }), StartsWith("usage: response_bytes_max"));
  EXPECT_THAT(code_of([](Options& o) { o.headers = {"nonsense"}; }), StartsWith("usage: a header"));
  EXPECT_THAT(code_of([](Options& o) { o.call_threads = 0; }), StartsWith("usage: call_threads"));
  EXPECT_THAT(code_of([](Options& o) { o.call_threads = 65; }), StartsWith("usage: call_threads"));
  EXPECT_THAT(code_of([](Options& o) { o.parallel_max = 1, o.call_threads = 2; }), StartsWith("usage: call_threads"));
  EXPECT_THAT(code_of([](Options& o) { o.parallel_max_host = 1, o.call_threads = 2; }),
              StartsWith("usage: call_threads"));
  EXPECT_THAT(code_of([](Options& o) { o.unix_socket = std::string(108, 'x'); }), StartsWith("usage: unix_socket"));
  EXPECT_THAT(code_of([](Options& o) { o.unix_socket = "s", o.proxy = "p"; }), StartsWith("usage: unix_socket"));
  const std::string secret = code_of([](Options& o) { o.bearer = "secret\n"; });
  EXPECT_THAT(secret, StartsWith("usage: the bearer"));
  EXPECT_EQ(secret.find("secret"), std::string::npos);
  Options missing;
  missing.ca_file = "/nowhere/ca.pem";
  const auto made = make_call_stage(missing);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace pawl::http
