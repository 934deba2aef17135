// Ways to the server: a Unix socket, several loops, coded bodies or not, and how many look-ups a crowd needs.
#include <netdb.h>
#include <unistd.h>

#include <filesystem>

#include <gmock/gmock.h>

#include "harness.h"
#include "temp_dir.h"

namespace pawl::http {
namespace {

TEST(CallStageWays, AUnixSocketTakesTheCallsOfEveryHost) {
  const test::TempDir dir;
  const std::string path = (dir / "api").string();
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& request) {
                          return response(200, request.header("host") + request.target + request.body);
                        }),
                        path);
  Options options = quick();
  options.unix_socket = path;
  ::setenv("http_proxy", "http://127.0.0.1:1/", 1);  // not in the way
  Caller caller(options);
  expect_answer(caller.call("http://pawl.invalid/a", "POST", "!"), 200, "pawl.invalid/a!");
  expect_answer(caller.call("http://other.invalid:81/b"), 200, "other.invalid:81/b");
  ::unsetenv("http_proxy");
  for (int i = 0; i < 100; ++i) caller.take(caller.task("http://pawl.invalid/" + std::to_string(i)));
  caller.wait();
  for (const Task& task : caller.tasks()) EXPECT_TRUE(task.outcome.success()) << task.outcome.error_message;
}

TEST(CallStageWays, AUnixSocketThatIsNotThereIsAFailureToConnect) {
  const test::TempDir dir;
  Options options = quick();
  options.unix_socket = (dir / "nobody").string();
  options.retry_max = 1;
  Caller caller(options);
  expect_failure(caller.call("http://pawl.invalid/"), "connect_failed", 2);
}

TEST(CallStageWays, AsksForCodedBodiesUnlessTold) {
  ScriptedServer server(ScriptedServer::answering(
      [](const SeenRequest& request) { return response(200, request.header("accept-encoding")); }));
  Caller asking;
  EXPECT_THAT(asking.call(server.url()).outcome.body, ::testing::HasSubstr("gzip"));
  Options options = quick();
  options.compressed = false;
  Caller plain(options);
  expect_answer(plain.call(server.url()), 200, "");
}

TEST(CallStageWays, SeveralLoopsShareTheLimitsAndTheCounts) {
  std::atomic<int> active{0}, most{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    const int now = ++active;
    int seen = most.load();
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
    --active;
    return response(200, request.body);
  }));
  Options options = quick();
  options.parallel_max = 7;
  options.call_threads = 3;
  Caller caller(options);
  for (unsigned i = 0; i < 600; ++i) {
    caller.task(server.url(), "POST", std::to_string(i)).request.task_id.ordinal = i;
  }
  caller.take_all();
  caller.wait();
  unsigned i = 0;
  for (const Task& task : caller.tasks()) expect_answer(task, 200, std::to_string(i++));
  EXPECT_LE(most.load(), 7);
  EXPECT_LE(server.connections(), 7);
  EXPECT_GE(server.connections(), 3) << "every loop has calls of its own";
  const Stats stats = caller.stage().stats();
  EXPECT_EQ(stats.attempts_started, 600u);
  EXPECT_EQ(stats.attempts_finished, 600u);
  EXPECT_GT(stats.attempts.p50_ms, 0);
  EXPECT_LE(stats.attempts.p50_ms, stats.attempts.max_ms);
  const StageGauge gauge = caller.stage().gauge();
  EXPECT_EQ(gauge.waiting + gauge.active + gauge.delayed, 0u);
}

/// This machine's own name, if it leads to 127.0.0.1 by way of a look-up (as "localhost" does not, in libcurl).
std::string name_to_look_up() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return {};
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name, nullptr, &hints, &found) != 0) return {};
  const auto* address = reinterpret_cast<const sockaddr_in*>(found->ai_addr);
  const bool here = (ntohl(address->sin_addr.s_addr) >> 24) == 127;
  ::freeaddrinfo(found);
  return here && std::string(name) != "localhost" ? name : "";
}

std::size_t threads_now() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

TEST(CallStageWays, AThousandColdCallsToOneHostStartFewLookUps) {
  const std::string name = name_to_look_up();
  if (name.empty()) GTEST_SKIP() << "this machine's name does not lead to 127.0.0.1";
  // A server that takes connections and never answers, with no thread for each.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listener, 4096), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  constexpr unsigned kCalls = 1024;
  Options options = quick();
  options.parallel_max = kCalls;
  Caller caller(options);
  const std::string url = "http://" + name + ":" + std::to_string(ntohs(address.sin_port)) + "/";
  for (unsigned i = 0; i < kCalls; ++i) caller.task(url);
  const std::size_t before = threads_now();
  std::size_t most = before;
  caller.take_all();
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (caller.stage().stats().connections_opened < kCalls && std::chrono::steady_clock::now() < deadline) {
    most = std::max(most, threads_now());
  }
  EXPECT_EQ(caller.stage().stats().attempts_started, kCalls);
  EXPECT_GE(caller.stage().stats().connections_opened, kCalls);
  EXPECT_LE(most, before + 4);
  ::close(listener);
}

TEST(CallStageWays, AThousandCallsToAHostThatHasNoNameStartFewLookUps) {
  Options options = quick();
  options.parallel_max = 1024;
  options.retry_max = 0;
  Caller caller(options);
  // No resolver asks anybody for a label that long (RFC 1035, 2.3.4: 63 octets).
  const std::string url = "http://" + std::string(64, 'a') + ".invalid/";
  for (unsigned i = 0; i < options.parallel_max; ++i) caller.task(url);
  const std::size_t before = threads_now();
  std::size_t most = before;
  caller.take_all();
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (caller.stage().stats().attempts_finished < options.parallel_max &&
         std::chrono::steady_clock::now() < deadline) {
    most = std::max(most, threads_now());
  }
  caller.wait();
  EXPECT_GT(most, before) << "names are not looked up in threads any more: this test sees nothing";
  EXPECT_LE(most, before + 8) << "four at a time, and as many that have answered and not ended yet";
  for (const Task& task : caller.tasks()) expect_failure(task, "dns_failed", 1);
}

}  // namespace
}  // namespace pawl::http
