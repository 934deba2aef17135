// Puts N tasks through the call stage, through its port alone: no journal, no engine, no git. Prints one line of JSON.
//
//   call_load --url URL --count N --parallel-max C [--method POST] [--body-bytes 1024] [--cacert FILE]
//             [--call-threads N] [--http2 | --http2-prior-knowledge]
//
// As many tasks wait as the engine would let wait. Each that comes back is looked at (status, and whether a body came),
// keeps its response until its slot is filled with the next task, and goes in again with what came back beside it.
// Figures are of the time from the first take() to the last done(); processor time is of all threads of the process.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/http.h>

namespace {

using Clock = std::chrono::steady_clock;

struct Load {
  std::string url;
  std::string method = "POST";
  std::uint64_t count = 10'000;
  std::uint64_t body_bytes = 1024;
  pawl::http::Options http;
};

[[noreturn]] void complain(std::string_view what) {
  std::fprintf(stderr, "call_load: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(2);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) complain("not a number: " + std::string(text));
  return value;
}

Load parse(int argc, char** argv) {
  Load load;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--http2") {
      load.http.version = pawl::http::Version::http2;
      continue;
    }
    if (name == "--http2-prior-knowledge") {
      load.http.version = pawl::http::Version::http2_prior_knowledge;
      continue;
    }
    if (++i == argc) complain("no value for " + std::string(name));
    const std::string_view value = argv[i];
    if (name == "--url") {
      load.url = value;
    } else if (name == "--method") {
      load.method = value;
    } else if (name == "--count") {
      load.count = number(value);
    } else if (name == "--parallel-max") {
      load.http.parallel_max = static_cast<unsigned>(number(value));
    } else if (name == "--call-threads") {
      load.http.call_threads = static_cast<unsigned>(number(value));
    } else if (name == "--body-bytes") {
      load.body_bytes = number(value);
    } else if (name == "--cacert") {
      load.http.ca_file = value;
    } else {
      complain("what is " + std::string(name) + "?");
    }
  }
  if (load.url.empty() || load.count == 0) complain("--url and a --count are needed");
  return load;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

/// Fills slots, looks at what comes back, and tells when the last one has.
class Turnstile final : public pawl::StageSink {
 public:
  Turnstile(const Load& load, pawl::Stage& stage) : load_(load), stage_(stage) {
    // What the engine would let wait: enough that the stage never runs dry, and one group of saves beyond.
    const std::uint64_t slots = std::min<std::uint64_t>(load.count, 2ull * load.http.parallel_max + 256);
    tasks_ = std::vector<pawl::Task>(slots);
    again_.reserve(slots);
    latencies_us_.reserve(load.count);
    for (auto& task : tasks_) {
      task.request.stream = "load";
      task.request.method = load.method;
      task.request.url = load.url;
      if (load.method != "GET") {
        task.request.content_type = "application/json";
        task.request.body = "\"" + std::string(std::max<std::uint64_t>(load.body_bytes, 2) - 2, 'x') + "\"";
      }
    }
  }

  void start() {
    for (auto& task : tasks_) fill(task);
    const auto first = again_;
    again_.clear();
    stage_.take(first);
  }
  void wait() const noexcept {
    finished_.wait(false, std::memory_order_acquire);
  }  // acquire: sees all that done() left

  void done(std::span<pawl::Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);  // nobody else's, unless there are several call threads
    const auto now = std::chrono::system_clock::now();
    for (pawl::Task* task : tasks) {
      const pawl::Outcome& outcome = task->outcome;
      if (outcome.status_code == 200 && !outcome.body.empty()) {
        ++answered_;
      } else if (fault_.empty()) {
        fault_ =
            outcome.error_message.empty() ? "status " + std::to_string(outcome.status_code) : outcome.error_message;
      }
      attempts_ += outcome.attempts;
      bytes_ += outcome.body.size();
      latencies_us_.push_back(std::chrono::duration<float, std::micro>(now - outcome.started).count());
      if (issued_ < load_.count) fill(*task);
    }
    if (!again_.empty()) stage_.take(again_);
    again_.clear();
    if (latencies_us_.size() < load_.count) return;
    finished_.store(true, std::memory_order_release);  // release: pairs with wait()
    finished_.notify_all();
  }

  [[nodiscard]] std::uint64_t answered() const noexcept { return answered_; }
  [[nodiscard]] std::uint64_t attempts() const noexcept { return attempts_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::string& fault() const noexcept { return fault_; }
  [[nodiscard]] double latency_ms(double share) {
    std::sort(latencies_us_.begin(), latencies_us_.end());
    const auto at = static_cast<std::size_t>(share * static_cast<double>(latencies_us_.size()));
    return static_cast<double>(latencies_us_[std::min(at, latencies_us_.size() - 1)]) / 1000;
  }

 private:
  void fill(pawl::Task& task) {
    task.request.task_id.ordinal = ++issued_;
    task.request.id = std::to_string(issued_);
    again_.push_back(&task);
  }

  const Load& load_;
  pawl::Stage& stage_;
  std::mutex mutex_;
  std::vector<pawl::Task> tasks_;
  std::vector<pawl::Task*> again_;
  std::vector<float> latencies_us_;  // from the start of the first attempt to done()
  std::uint64_t issued_ = 0, answered_ = 0, attempts_ = 0, bytes_ = 0;
  std::string fault_;
  std::atomic<bool> finished_{false};  // written by the last done(), read by wait()
};

}  // namespace

int main(int argc, char** argv) {
  const Load load = parse(argc, argv);
  auto stage = pawl::http::make_call_stage(load.http);
  if (!stage) complain(stage.error().context);
  Turnstile turnstile(load, **stage);
  (*stage)->attach(turnstile);
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto began = Clock::now();
  turnstile.start();
  turnstile.wait();
  const double wall_s = std::chrono::duration<double>(Clock::now() - began).count();
  ::getrusage(RUSAGE_SELF, &after);
  (*stage)->stop();
  const auto stats = (*stage)->stats();
  const double user_s = seconds(after.ru_utime) - seconds(before.ru_utime);
  const double system_s = seconds(after.ru_stime) - seconds(before.ru_stime);
  std::printf(
      "{\"requests\": %llu, \"failed\": %llu, \"attempts\": %llu, \"bytes\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f, "
      "\"user_s\": %.6f, \"system_s\": %.6f, \"connections\": %llu, \"p50_ms\": %.3f, "
      "\"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f}\n",
      static_cast<unsigned long long>(load.count), static_cast<unsigned long long>(load.count - turnstile.answered()),
      static_cast<unsigned long long>(turnstile.attempts()), static_cast<unsigned long long>(turnstile.bytes()), wall_s,
      user_s + system_s, user_s, system_s, static_cast<unsigned long long>(stats.connections_opened),
      turnstile.latency_ms(0.5), turnstile.latency_ms(0.99), turnstile.latency_ms(0.999), turnstile.latency_ms(1));
  if (!turnstile.fault().empty()) std::fprintf(stderr, "call_load: %s\n", turnstile.fault().c_str());
  return turnstile.answered() == load.count ? 0 : 1;
}
