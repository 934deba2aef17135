// Outcomes of every kind, many of them, in one life of a stage: nothing may be left of them. PAWL_OUTCOMES says how
// many; the default is what a test may take of everybody's time.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "deflate.h"
#include "harness.h"
#include "temp_dir.h"
#include "tls_server.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using test::packed;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // what it sets aside says nothing
#else
constexpr bool kSanitized = false;
#endif
constexpr std::size_t kWindow = 256;                // tasks at once, used again and again
constexpr std::size_t kGrowthMax = 32 << 20;        // after the first tenth, in which a short run warms up
constexpr std::size_t kBodyMax = 100'000;           // Options::response_bytes_max
constexpr std::ptrdiff_t kDescriptorsMax = 64 * 8;  // both ends of all connections, and more than twice that

std::size_t outcomes_wanted() {
  const char* text = std::getenv("PAWL_OUTCOMES");
  return text != nullptr ? std::stoull(text) : kSanitized ? 2'000 : 10'000;
}

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// How a kind of call ends, of two attempts, and how often in a thousand there is one.
struct Kind {
  std::string url;
  std::string outcome;  // "BODY" in it: the request's own
  unsigned attempts;    // at least
  unsigned weight;
};

class CollectingSink final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    done_.insert(done_.end(), tasks.begin(), tasks.end());
    changed_.notify_all();
  }
  /// At least one, or none within the deadline.
  [[nodiscard]] std::vector<Task*> take() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kDeadline, [&] { return !done_.empty(); });
    return std::exchange(done_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Task*> done_;
};

/// One server for all that is plain.
class Servers {
 public:
  Servers()
      : plain_([this](Connection& connection) {
          while (const auto request = connection.read_request()) {
            if (!answer(connection, *request)) return;
          }
        }),
        secure_([this](Connection& connection) {
          test::TlsSession session(connection, stranger_);
          static_cast<void>(session.accept());
        }),
        not_secure_([](Connection& connection) { connection.send("this is not TLS\r\n"); }),
        other_(ScriptedServer::answering([](const SeenRequest& request) { return response(200, request.target); })) {}

  [[nodiscard]] std::vector<Kind> kinds() const {
    const std::string refused = "http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port());
    return {
        {plain_.url("/ok"), "200 BODY", 1, 500},
        {plain_.url("/large"), "200 " + large_, 1, 20},
        {plain_.url("/gzip"), "200 " + large_, 1, 50},
        {plain_.url("/204"), "204 ", 1, 30},
        {plain_.url("/404"), "404 BODY", 1, 30},
        {plain_.url("/500"), "500 BODY", 2, 30},
        {plain_.url("/last"), "200 BODY", 1, 30},    // the connection closes after it, as it says
        {plain_.url("/silent"), "200 BODY", 1, 30},  // … without saying it
        {plain_.url("/more"), "200 BODY", 1, 20},    // with another answer behind it
        {plain_.url("/redirect"), "200 BODY", 1, 20},
        {plain_.url("/elsewhere"), "200 /end", 1, 20},
        {plain_.url("/loop"), "too_many_redirects", 1, 5},
        {plain_.url("/reset"), "connection_reset", 2, 30},
        {plain_.url("/cut"), "truncated", 2, 30},
        {plain_.url("/chunks"), "truncated", 2, 20},
        {plain_.url("/gzip-cut"), "truncated", 2, 20},
        {plain_.url("/gzip-bad"), "bad_response", 1, 20},
        {plain_.url("/bomb"), "response_too_large", 1, 10},
        {plain_.url("/too-large"), "response_too_large", 1, 10},
        {plain_.url("/headers"), "bad_response", 1, 10},
        {plain_.url("/long-line"), "bad_response", 1, 10},
        {plain_.url("/lengths"), "bad_response", 1, 10},
        {plain_.url("/garbage"), "bad_response", 1, 10},
        {"https" + not_secure_.url("/").substr(4), "tls_failed", 2, 5},
        {"https" + secure_.url("/").substr(4), "certificate_invalid", 1, 3},
        {refused, "connect_failed", 2, 20},
        {"http://pawl.invalid/", "dns_failed", 2, 2},
        {"nonsense", "bad_url", 0, 5},
    };
  }
  [[nodiscard]] std::string hanging() const { return plain_.url("/hang"); }

 private:
  bool answer(Connection& connection, const SeenRequest& request) {
    const std::string& target = request.target;
    const std::string ok = response(200, request.body);
    if (target == "/ok") return connection.send(ok);
    if (target == "/large") return connection.send(response(200, large_));
    if (target == "/gzip") return connection.send(response(200, packed_large_, kGzip));
    if (target == "/204") return connection.send("HTTP/1.1 204 X\r\n\r\n");
    if (target == "/404") return connection.send(response(404, request.body));
    if (target == "/500") return connection.send(response(500, request.body));
    if (target == "/more") return connection.send(ok + response(200, "evil"));
    if (target == "/redirect") return connection.send(response(307, "", "Location: /ok\r\n"));
    if (target == "/elsewhere") return connection.send(response(307, "", "Location: " + other_.url("/end") + "\r\n"));
    if (target == "/loop") return connection.send(response(307, "", "Location: /loop\r\n"));
    if (target == "/gzip-cut") return connection.send(response(200, packed_large_.substr(0, 20), kGzip));
    if (target == "/gzip-bad") return connection.send(response(200, "this is text", kGzip));
    if (target == "/bomb") return connection.send(response(200, bomb_, kGzip));
    if (target == "/lengths") return connection.send(response(200, request.body, "Content-Length: 1\r\n"));
    if (target == "/hang") {
      connection.hang();
    } else if (target == "/reset") {
      connection.reset();
    } else {
      connection.send(last_words(target, request));
    }
    return false;
  }
  /// After these the connection closes.
  [[nodiscard]] std::string last_words(const std::string& target, const SeenRequest& request) const {
    if (target == "/last") return response(200, request.body, "Connection: close\r\n");
    if (target == "/silent") return response(200, request.body);
    if (target == "/cut") return "HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nabc";
    if (target == "/chunks") return "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    if (target == "/too-large") return "HTTP/1.1 200 X\r\nContent-Length: 100001\r\n\r\n";
    if (target == "/headers") return "HTTP/1.1 200 X\r\n" + headers_;
    if (target == "/long-line") return "HTTP/1.1 200 X\r\nX: " + headers_line_;
    return "garbage\r\n\r\n";
  }

  static constexpr const char* kGzip = "Content-Encoding: gzip\r\n";
  const std::string large_ = std::string(kBodyMax, 'l');
  const std::string packed_large_ = packed(large_);
  const std::string bomb_ = packed(std::string(10 * kBodyMax, 'b'));
  const std::string headers_line_ = std::string(150'000, 'h');
  const std::string headers_ = [] {
    std::string lines;
    while (lines.size() < 300'000) lines += "X-Header: " + std::string(1000, 'h') + "\r\n";
    return lines;
  }();
  const test::Certificate stranger_{{}};
  ScriptedServer plain_, secure_, not_secure_, other_;
};

void prepare(Task& task, std::size_t number, const Kind& kind, std::size_t kind_index) {
  task.outcome.reset();
  task.request.stream = std::to_string(kind_index);
  task.request.id = std::to_string(number);
  task.request.method = "POST";
  task.request.url = kind.url;
  task.request.body = std::to_string(number);
}

void check(const Task& task, const Kind& kind) {
  std::string became = task.outcome.error_code;
  if (task.outcome.kind == Outcome::Kind::answered) {
    became = std::to_string(task.outcome.status_code) + " " + task.outcome.body;
  }
  std::string expected = kind.outcome;
  if (const auto at = expected.find("BODY"); at != std::string::npos) expected.replace(at, 4, task.request.body);
  // A server that closes may reset the connection before its last words are read: that is retried.
  const bool reset = became == "connection_reset" && expected == "truncated";
  // Not EXPECT_EQ of bodies: they are long.
  EXPECT_TRUE(became == expected || reset)
      << task.request.url << " became " << became.substr(0, 100) << ", " << task.outcome.error_message;
  EXPECT_GE(task.outcome.attempts, kind.attempts) << task.request.url;
  EXPECT_LE(task.outcome.attempts, 2u) << task.request.url;
}

Options mixed_options() {
  Options options = quick();
  options.parallel_max = 64;
  options.retry_max = 1;
  options.retry_delay = options.retry_delay_max = milliseconds(1);
  options.breaker_failures = 0;  // every failure is an attempt of its own,
  options.retry_share = 1;       // and nobody waits
  options.redirects = Redirects::follow;
  options.response_bytes_max = kBodyMax;
  return options;
}

/// A life that ends with calls that hang: some run into their limit of time, the others are cancelled.
void hang_and_cancel(const Servers& servers) {
  Options options = mixed_options();
  options.time_max = milliseconds(5);
  Caller caller(options);
  for (int i = 0; i < 8; ++i) caller.task(servers.hanging());
  caller.take_all();
  EXPECT_TRUE(caller.sink().wait_for(1));
  for (const Task* task : caller.sink().order()) {
    if (task->fate == Fate::live) expect_failure(*task, "timeout", 2);
  }
}

struct Use {
  std::size_t resident = resident_bytes();
  std::ptrdiff_t descriptors = open_descriptors();
};

TEST(MixedOutcomes, LeaveNeitherDescriptorsNorMemory) {
  const std::size_t wanted = outcomes_wanted();
  std::uint64_t seed = 1;
  if (const char* text = std::getenv("PAWL_SEED")) seed = std::stoull(text);
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const Use before;
  Use first_tenth, last;
  std::ptrdiff_t most_descriptors = 0;
  {
    const Servers servers;
    const std::vector<Kind> kinds = servers.kinds();
    std::vector<unsigned> weights;
    for (const Kind& kind : kinds) weights.push_back(kind.weight);
    std::discrete_distribution<std::size_t> draw(weights.begin(), weights.end());
    CollectingSink sink;
    auto made = make_call_stage(mixed_options());
    ASSERT_TRUE(made) << made.error().context;
    CallStage& stage = **made;
    stage.attach(sink);
    std::deque<Task> tasks(std::min(kWindow, wanted));
    std::vector<Task*> ready;
    for (Task& task : tasks) ready.push_back(&task);
    std::size_t begun = 0, ended = 0;
    while (ended < wanted && !::testing::Test::HasFailure()) {
      for (Task* task : ready) {
        const std::size_t index = draw(random);
        prepare(*task, begun++, kinds[index], index);
      }
      if (!ready.empty()) stage.take(ready);
      ready = sink.take();
      ASSERT_FALSE(ready.empty());
      for (Task* task : ready) {
        check(*task, kinds[std::stoull(task->request.stream)]);
        if (++ended % std::max<std::size_t>(wanted / 50, 1) == 0) {
          hang_and_cancel(servers);
          most_descriptors = std::max(most_descriptors, open_descriptors());
        }
        if (ended == wanted / 10) first_tenth = Use{};
      }
      if (ready.size() > wanted - begun) ready.resize(wanted - begun);
    }
    const StageGauge gauge = stage.gauge();
    EXPECT_EQ(gauge.waiting + gauge.active + gauge.delayed, 0u);
    const Stats stats = stage.stats();
    EXPECT_EQ(stats.attempts_started, stats.attempts_finished);
    last = Use{};
    stage.cancel(Cancel::all);
    stage.stop();
    std::cout << "outcomes " << ended << ", attempts " << stats.attempts_finished << ", connections "
              << stats.connections_opened << "; resident MB: " << before.resident / 1'000'000 << " before, "
              << first_tenth.resident / 1'000'000 << " after a tenth, " << last.resident / 1'000'000
              << " at the end; descriptors: " << before.descriptors << " before, " << most_descriptors << " at most, ";
  }
  std::cout << open_descriptors() << " after\n";
  EXPECT_EQ(open_descriptors(), before.descriptors);
  EXPECT_LT(most_descriptors, before.descriptors + kDescriptorsMax);
  if (!kSanitized) {
    EXPECT_LT(last.resident, first_tenth.resident + kGrowthMax);
  }
}

}  // namespace
}  // namespace pawl::http
