// A call stage of one's own, without a network: it counts words. It shows what stages.h asks of a stage: take() queues
// and returns, the work is done on a thread of the stage, cancelled tasks come back, and stop() leaves nothing behind.
//
// Write one where calls are overlapped by an event loop or a library that calls back; where a function may simply
// block, pawl/plain_stages.h is less work.
#include <pawl/engine.h>
#include <pawl/inbox.h>
#include <pawl/plain_stages.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

class WordCount final : public pawl::Stage {
 public:
  void attach(pawl::StageSink& sink) override {
    sink_ = &sink;
    thread_ = std::thread([this] { run(); });
  }
  // On a graph worker: must not wait. The inbox is lock-free.
  void take(std::span<pawl::Task* const> tasks) noexcept override {
    waiting_.fetch_add(tasks.size(), std::memory_order_relaxed);
    inbox_.push(tasks);
  }
  // Counting is quick, so drain and abort are the same to this stage: what has not been counted comes back.
  void cancel(pawl::Cancel) noexcept override {
    cancelled_.store(true, std::memory_order_release);
    inbox_.ring();
  }
  // All tasks have come back: only the thread is left.
  void stop() noexcept override {
    stopping_.store(true, std::memory_order_release);
    inbox_.ring();
    thread_.join();
  }
  pawl::StageGauge gauge() const noexcept override {
    return {.waiting = waiting_.load(std::memory_order_relaxed), .active = 0, .delayed = 0};
  }

 private:
  void run() noexcept {
    std::vector<pawl::Task*> counted;
    while (!stopping_.load(std::memory_order_acquire)) {
      for (pawl::Task* task = inbox_.take_all(); task != nullptr;) {
        pawl::Task* next = task->link;  // before the task is given back
        count(*task);
        counted.push_back(task);
        task = next;
      }
      if (counted.empty()) {
        inbox_.wait(std::chrono::steady_clock::time_point::max());
        continue;
      }
      waiting_.fetch_sub(counted.size(), std::memory_order_relaxed);
      sink_->done(counted);
      counted.clear();
    }
  }
  void count(pawl::Task& task) {
    if (cancelled_.load(std::memory_order_acquire))
      return task.give_up({pawl::ErrorCode::cancelled, "stopped before it was counted", 0});
    std::istringstream text(task.request.body);
    std::uint64_t words = 0;
    for (std::string word; text >> word;) ++words;
    task.outcome.kind = pawl::Outcome::Kind::answered;
    task.outcome.status_code = 200;
    task.outcome.attempts = 1;
    task.outcome.body = std::to_string(words);
  }

  pawl::StageSink* sink_ = nullptr;
  pawl::Inbox<pawl::Task> inbox_;
  std::atomic<bool> cancelled_{false}, stopping_{false};
  std::atomic<std::uint64_t> waiting_{0};
  std::thread thread_;
};

}  // namespace

int main() {
  constexpr std::uint64_t kLines = 10'000;
  constexpr std::uint64_t kMostWords = 50;
  std::uint64_t words = 0;  // commit thread, then main
  auto engine = pawl::Engine::make(
      {.tasks_in_flight = 1024},
      {.save = pawl::save_nothing(),
       .call = std::make_unique<WordCount>(),
       .commit = pawl::commit_with([&](const pawl::Task& task) { words += std::stoull(task.outcome.body); })},
      {});
  if (!engine) {
    std::fprintf(stderr, "%s\n", engine.error().context.c_str());
    return 1;
  }
  std::uint64_t expected = 0;
  {
    auto producer = (*engine)->producer();
    pawl::Request request;  // its buffers are swapped with used ones at each submit, so set every field
    for (std::uint64_t line = 0; line < kLines; ++line) {
      request.stream = "page-" + std::to_string(line / 100);
      request.id = std::to_string(line);
      request.body.clear();
      for (std::uint64_t word = 0; word < line % kMostWords; ++word) request.body += "word ";
      expected += line % kMostWords;
      if (producer.submit(request) != pawl::Admission::accepted) return 1;
    }
  }
  (*engine)->close();
  std::printf("%llu words, %llu expected\n", static_cast<unsigned long long>(words),
              static_cast<unsigned long long>(expected));
  return words == expected ? 0 : 1;
}
