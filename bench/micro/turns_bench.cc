// What order per stream costs a task: finding its stream by name, entering and arriving, with a window of tasks in
// flight that arrive in order or shuffled, beside a hash map of streams and a map of early tasks under mutexes.
//
//   turns_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// 100,000 streams are more than are kept while idle: that case makes a stream and takes one back for nearly each task.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include <benchmark/benchmark.h>

#include "order/streams.h"

namespace {

using pawl::Streams;

constexpr std::uint32_t kWindow = 4096;    // tasks in flight
constexpr std::uint32_t kTasks = 1 << 18;  // of one pattern of names, which is then repeated

/// Which stream each task is of, and in which order the tasks of a window arrive.
struct Pattern {
  Pattern(std::size_t streams, bool shuffled) : names(streams), stream_of(kTasks), arrivals(kWindow) {
    std::mt19937_64 random(streams);
    for (std::size_t i = 0; i < streams; ++i) names[i] = "stream/" + std::to_string(i);
    for (auto& stream : stream_of) stream = static_cast<std::uint32_t>(random() % streams);
    for (std::uint32_t i = 0; i < kWindow; ++i) arrivals[i] = i;
    if (shuffled) std::shuffle(arrivals.begin(), arrivals.end(), random);
  }
  std::vector<std::string> names;
  std::vector<std::uint32_t> stream_of, arrivals;
};

void report(benchmark::State& state, std::uint64_t visited, std::uint64_t wrong) {
  const auto count = static_cast<std::uint64_t>(state.iterations()) * kWindow;
  if (visited != count) state.SkipWithError("tasks lost or doubled");
  if (wrong != 0) state.SkipWithError("order broken");
  state.counters["per_task"] =
      benchmark::Counter(static_cast<double>(count), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

struct Numbered : Streams<>::Link {
  std::uint64_t number = 0;
  std::uint32_t name = 0;
  Streams<>::Stream* stream = nullptr;
};

struct Slab {
  std::vector<Numbered>& tasks;  // from 1
  Numbered& link(std::uint32_t index) const { return tasks[index]; }
  void hold(std::uint32_t) const {}  // one thread: a successor is always found
  void release(std::uint32_t) const {}
};

void bm_streams(benchmark::State& state) {
  const Pattern pattern(static_cast<std::size_t>(state.range(0)), state.range(1) != 0);
  const auto streams = std::make_unique<Streams<>>(pawl::StreamLimits{.tasks_in_flight = kWindow});
  Streams<>::Handle handle;
  std::vector<Numbered> tasks(kWindow + 1);
  const Slab slab{tasks};
  std::vector<std::uint64_t> next(pattern.names.size(), 0), expected(pattern.names.size(), 0);
  std::uint64_t visited = 0, wrong = 0;
  std::uint32_t at = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 1; i <= kWindow; ++i) {
      Numbered& task = tasks[i];
      task.name = pattern.stream_of[at++ % kTasks];
      task.number = next[task.name]++;
      task.stream = &streams->enter(handle, Streams<>::key_of(pattern.names[task.name]), i, slab);
    }
    for (const std::uint32_t i : pattern.arrivals)
      streams->arrive(*tasks[i + 1].stream, i + 1, slab, [&](Streams<>::Link& link) {
        const auto& task = static_cast<Numbered&>(link);
        wrong += task.number != expected[task.name]++;
        ++visited;
      });
  }
  state.counters["streams_made"] = streams->made();
  report(state, visited, wrong);
}

void bm_streams_mutex_map(benchmark::State& state) {
  struct Task {
    std::uint64_t number = 0;
    std::uint32_t name = 0;
  };
  struct Stream {
    std::mutex mutex;
    std::uint64_t next = 0, expected = 0;
    std::map<std::uint64_t, const Task*> early;
  };
  const Pattern pattern(static_cast<std::size_t>(state.range(0)), state.range(1) != 0);
  std::mutex mutex;
  std::unordered_map<std::string, Stream> all;
  std::vector<Task> tasks(kWindow);
  std::vector<Stream*> stream_of(kWindow);
  std::vector<std::uint64_t> visits(pattern.names.size(), 0);
  std::uint64_t visited = 0, wrong = 0;
  std::uint32_t at = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kWindow; ++i) {
      tasks[i].name = pattern.stream_of[at++ % kTasks];
      const std::lock_guard lock(mutex);
      stream_of[i] = &all[pattern.names[tasks[i].name]];
      tasks[i].number = stream_of[i]->next++;
    }
    for (const std::uint32_t i : pattern.arrivals) {
      Stream& stream = *stream_of[i];
      const std::lock_guard lock(stream.mutex);
      stream.early.emplace(tasks[i].number, &tasks[i]);
      while (!stream.early.empty() && stream.early.begin()->first == stream.expected) {
        const Task& task = *stream.early.begin()->second;
        wrong += task.number != visits[task.name]++;
        ++stream.expected;
        stream.early.erase(stream.early.begin());
        ++visited;
      }
    }
  }
  report(state, visited, wrong);
}

void cases(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"streams", "shuffled"});
  for (const std::int64_t streams : {1, 64, 10'000, 100'000})
    for (const std::int64_t shuffled : {0, 1}) bench->Args({streams, shuffled});
}
BENCHMARK(bm_streams)->Apply(cases);
BENCHMARK(bm_streams_mutex_map)->Apply(cases);

}  // namespace
