// --adaptive over real sockets: a server that works on so many calls at once and lets the others wait, and changes its
// mind while the calls go on.
#include <atomic>
#include <cstdio>
#include <sstream>

#include <pawl/mockapi.h>

#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

/// Gives every task that comes back to the stage again, until it is stopped: there is always more to call.
class Circle final : public StageSink {
 public:
  explicit Circle(const Options& options, std::size_t tasks, const std::string& url) {
    auto made = make_call_stage(options);
    if (!made) std::abort();
    stage_ = std::move(*made);
    stage_->attach(*this);
    std::vector<Task*> all;
    for (std::size_t i = 0; i < tasks; ++i) {
      Task& task = tasks_.emplace_back();
      task.request.stream = "s";
      task.request.id = std::to_string(i);
      task.request.method = "POST";
      task.request.url = url;
      task.request.body = R"({"model":"m"})";
      all.push_back(&task);
    }
    stage_->take(all);
  }
  ~Circle() {
    stop_.store(true);
    stage_->cancel(Cancel::all);
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kDeadline, [&] { return home_ == tasks_.size(); }));
    lock.unlock();
    stage_->stop();
  }
  Circle(const Circle&) = delete;
  Circle& operator=(const Circle&) = delete;

  void done(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    for (Task* task : tasks) {
      if (task->fate == Fate::live) {
        EXPECT_EQ(task->outcome.status_code, 200);
      }
    }
    calls_ += tasks.size();
    if (stop_.load()) {
      home_ += tasks.size();
    } else {
      stage_->take(tasks);
    }
    changed_.notify_all();
  }

  /// Seconds until the limit has been between `least` and `most` for so many calls in a row. Negative: never.
  double seconds_within(unsigned least, unsigned most, std::uint64_t calls) {
    const auto begin = Clock::now();
    const auto deadline = begin + kDeadline;
    auto entered = begin;
    std::uint64_t entered_at = 0;
    for (std::uint64_t at = wait_for_more(0); Clock::now() < deadline; at = wait_for_more(at)) {
      const auto lanes = stage_->stats().lanes;
      const unsigned limit = lanes.empty() ? 0 : lanes.front().limit;
      if (limit < least || limit > most) {
        entered_at = 0;
        continue;
      }
      if (entered_at == 0) {
        entered_at = at;
        entered = Clock::now();
      }
      if (at >= entered_at + calls) return std::chrono::duration<double>(entered - begin).count();
    }
    return -1;
  }

 private:
  /// Waits for twenty calls more than `seen`.
  std::uint64_t wait_for_more(std::uint64_t seen) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kDeadline, [&] { return calls_ >= seen + 20; });
    return calls_;
  }

  std::deque<Task> tasks_;
  std::unique_ptr<CallStage> stage_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t calls_ = 0;
  std::size_t home_ = 0;
};

std::vector<unsigned> knees() {
  const char* text = std::getenv("PAWL_KNEES");
  std::istringstream in(text != nullptr ? text : "4 16 4");
  std::vector<unsigned> all;
  for (unsigned knee = 0; in >> knee;) all.push_back(knee);
  return all;
}

// PAWL_KNEES="8 32 128 8" tries others; the figures are printed.
TEST(CallStageAdaptive, FindsTheKneeAndFollowsIt) {
  mockapi::Options server;
  server.latency.mean_ms = 20;
  server.capacity = knees().front();
  server.stats_per_key = false;
  const auto api = mockapi::Server::start(server);
  ASSERT_TRUE(api.has_value());
  Options options = quick();
  options.parallel_max = 512;
  options.concurrency = Concurrency::adaptive;
  Circle circle(options, 1000, (*api)->base_url() + "/v1/chat/completions");
  Caller control;
  for (const unsigned knee : knees()) {
    expect_answer(control.call((*api)->base_url() + "/capacity", "PUT", std::to_string(knee)), 200,
                  "{\"capacity\":" + std::to_string(knee) + "}\n");
    const double found = circle.seconds_within(knee * 6 / 10, knee * 2 + 4, std::uint64_t{30} * knee);
    EXPECT_GE(found, 0) << "knee " << knee;
    std::printf("knee %u found after %.2f s\n", knee, found);
  }
}

}  // namespace
}  // namespace pawl::http
