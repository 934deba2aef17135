// The work that every pipeline in bench/ is given: tasks of streams drawn at random, numbered, and a ledger that checks
// that each came out once and in order. Filling and checking are part of what is measured, the same for all.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <pawl/task.h>

namespace pawl::bench {

/// Counts, adds up and checks the order of what retires. note(): one caller at a time.
class Ledger {
 public:
  Ledger(std::size_t producers, std::size_t streams) : streams_(streams), next_(producers * streams, 0) {}

  void note(const Request& request) noexcept {
    std::uint64_t& next = next_[request.digest[0] * streams_ + request.task_id.ordinal];
    wrong_ += request.position != next++;
    sum_ += request.position;
    ++count_;
  }
  /// Null if everything came once and in order. After a flush only.
  [[nodiscard]] const char* fault(std::uint64_t count, std::uint64_t sum) const noexcept {
    if (wrong_ != 0) return "order broken";
    if (count_ != count) return "tasks lost or doubled";
    return sum_ == sum ? nullptr : "wrong checksum";
  }

 private:
  std::size_t streams_;
  std::vector<std::uint64_t> next_;  // position expected next, by producer and stream
  std::uint64_t count_ = 0, sum_ = 0, wrong_ = 0;
};

/// One producer's tasks: a stream drawn at random for each, numbered per stream.
class Source {
 public:
  Source(std::size_t who, const std::vector<std::string>& names)
      : who_(who), borrowed_names_(names), next_(names.size(), 0), random_(who * 2 + 88172645463325252ull) {}

  void fill(Request& request) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    const std::size_t stream = (random_ >> 20) % borrowed_names_.size();
    request.stream = borrowed_names_[stream];
    request.id.assign("id");
    request.task_id.ordinal = stream;
    request.digest[0] = static_cast<std::uint8_t>(who_);
    request.position = next_[stream]++;
    sum_ += request.position;
    ++count_;
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }

 private:
  std::size_t who_;
  const std::vector<std::string>& borrowed_names_;
  std::vector<std::uint64_t> next_;
  std::uint64_t random_, count_ = 0, sum_ = 0;
};

/// Producers, their streams and the ledger of one benchmark.
class Workload {
 public:
  struct Size {
    std::size_t producers = 1;
    std::size_t streams = 64;
  };
  explicit Workload(const Size& size) : ledger_(size.producers, size.streams) {
    for (std::size_t i = 0; i < size.streams; ++i) names_.push_back("s" + std::to_string(i));
    for (std::size_t i = 0; i < size.producers; ++i) sources_.emplace_back(i, names_);
  }

  [[nodiscard]] Source& source(std::size_t index) noexcept { return sources_[index]; }
  [[nodiscard]] Ledger& ledger() noexcept { return ledger_; }

  /// Runs `submit_share(source, count)` on each producer's thread; `count` tasks in all.
  template <class SubmitShare>
  void on_all_producers(std::uint64_t count, SubmitShare&& submit_share) {
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < sources_.size(); ++i)
      threads.emplace_back([&, i] { submit_share(sources_[i], count / sources_.size()); });
    submit_share(sources_[0], count / sources_.size());
    for (auto& thread : threads) thread.join();
  }

  [[nodiscard]] std::uint64_t filled() const noexcept {
    std::uint64_t count = 0;
    for (const auto& source : sources_) count += source.count();
    return count;
  }
  /// Fails the benchmark unless everything filled has retired once and in order. After a flush only.
  void check(benchmark::State& state) const {
    std::uint64_t sum = 0;
    for (const auto& source : sources_) sum += source.sum();
    if (const char* fault = ledger_.fault(filled(), sum)) state.SkipWithError(fault);
  }
  /// check(), and what a task took.
  void finish(benchmark::State& state) const {
    check(state);
    state.counters["per_task"] =
        benchmark::Counter(static_cast<double>(filled()), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  }

 private:
  std::vector<std::string> names_;
  std::vector<Source> sources_;
  Ledger ledger_;
};

/// Fills and submits until it ends: the load beside which something else is measured.
template <class Pipeline>
class BackgroundLoad {
 public:
  /// Returns once the pipeline has had time to fill.
  BackgroundLoad(Pipeline& pipeline, Source& source) {
    thread_ = std::thread([&] {
      typename Pipeline::Lane lane(pipeline);
      Request request;
      for (std::uint64_t sent = 0; !stop_.load(std::memory_order_relaxed); ++sent) {  // relaxed: nothing depends on it
        if (sent == kUntilFull) {
          full_.store(true, std::memory_order_release);
          full_.notify_one();
        }
        source.fill(request);
        lane.submit(request);
      }
    });
    full_.wait(false, std::memory_order_acquire);
  }
  ~BackgroundLoad() {
    stop_.store(true, std::memory_order_relaxed);  // relaxed: see above
    thread_.join();
  }
  BackgroundLoad(const BackgroundLoad&) = delete;
  BackgroundLoad& operator=(const BackgroundLoad&) = delete;

 private:
  static constexpr std::uint64_t kUntilFull = 20'000;  // many times what is in flight
  std::atomic<bool> full_{false};                      // set once by the thread
  std::atomic<bool> stop_{false};                      // set once by the destructor
  std::thread thread_;
};

}  // namespace pawl::bench
