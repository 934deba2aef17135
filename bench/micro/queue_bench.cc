// A pointer's way through a queue, from one or two threads to this one: the intake queue beside raw moodycamel,
// boost.lockfree and a mutex with a condition variable; one at a time and 64 at a time. At most 1,024 are under way.
//
//   queue_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "peers/queues.h"
#include "queue/task_queue.h"

namespace {

using namespace pawl;
using namespace pawl::bench;

constexpr std::size_t kItems = 1 << 18;   // an iteration, all producers together
constexpr std::size_t kUnderWay = 1024;   // all producers together
constexpr std::size_t kMostAtOnce = 256;  // taken, when putting 64 at a time
constexpr std::size_t kLooks = 64;        // in vain, before the processor is left to others

/// The intake queue, in the words of the peers.
template <class Item>
class IntakeQueue {
 public:
  explicit IntakeQueue(std::size_t capacity) : queue_(capacity), consumer_(queue_.consumer()) {}

  class Lane {
   public:
    explicit Lane(IntakeQueue& queue) : queue_(queue.queue_), token_(queue_.producer()) {}
    void put(Item* item) { queue_.put(token_, item); }
    void put_lot(Item* const* items, std::size_t count) { queue_.put(token_, items, count); }

   private:
    PointerQueue<Item>& queue_;
    PointerQueue<Item>::ProducerToken token_;
  };

  [[nodiscard]] std::size_t take(Item** item) { return take_lot(item, 1); }
  [[nodiscard]] std::size_t take_lot(Item** items, std::size_t most) { return queue_.take(consumer_, items, most); }

 private:
  PointerQueue<Item> queue_;
  PointerQueue<Item>::ConsumerToken consumer_;
};

/// How far the producers may run ahead. Looked at once in a while, so that it costs next to nothing.
class Window {
 public:
  /// Producer: its `sent` items are out; waits until few enough of `share` are under way.
  void wait(std::size_t sent, std::size_t producers, std::size_t share) const {
    for (std::size_t looks = 1; sent * producers > taken_.load(std::memory_order_acquire) + share * producers; ++looks)
      if (looks % kLooks == 0) std::this_thread::yield();
  }
  void note(std::size_t taken) { taken_.store(taken, std::memory_order_release); }
  void reset() { taken_.store(0, std::memory_order_relaxed); }  // relaxed: no producer runs

 private:
  std::atomic<std::size_t> taken_{0};  // written by the consumer
};

template <class Queue>
void put_share(Queue& queue, std::uint64_t* first, std::size_t count, std::size_t lot, std::size_t producers,
               const Window& window) {
  typename Queue::Lane lane(queue);
  std::vector<std::uint64_t*> pointers(lot);
  const std::size_t share = kUnderWay / producers;
  for (std::size_t i = 0; i < count;) {
    if (i % (share / 4) == 0) window.wait(i + share / 4, producers, share);
    if (lot == 1) {
      lane.put(first + i++);
    } else {
      for (auto& pointer : pointers) pointer = first + i++;
      lane.put_lot(pointers.data(), lot);
    }
  }
}

template <class Queue>
void bm_queue(benchmark::State& state) {
  const auto producers = static_cast<std::size_t>(state.range(0));
  const auto lot = static_cast<std::size_t>(state.range(1));
  const std::size_t share = kItems / producers;
  std::vector<std::uint64_t> items(kItems);
  for (std::size_t i = 0; i < kItems; ++i) items[i] = i;
  Queue queue(2 * kUnderWay);
  Window window;
  std::uint64_t sum = 0;
  for (auto _ : state) {
    window.reset();
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < producers; ++i)
      threads.emplace_back([&, i] { put_share(queue, items.data() + i * share, share, lot, producers, window); });
    std::uint64_t* out[kMostAtOnce];
    for (std::size_t taken = 0, noted = 0, empty_looks = 0; taken < kItems;) {
      const std::size_t count = lot == 1 ? queue.take(out) : queue.take_lot(out, kMostAtOnce);
      if (count == 0 && ++empty_looks % kLooks == 0) std::this_thread::yield();
      for (std::size_t i = 0; i < count; ++i) sum += *out[i];
      taken += count;
      if (taken - noted >= kUnderWay / 16 || count == 0) window.note(noted = taken);
    }
    for (auto& thread : threads) thread.join();
  }
  const auto iterations = static_cast<std::uint64_t>(state.iterations());
  if (sum != iterations * (kItems * (kItems - 1) / 2)) state.SkipWithError("wrong checksum");
  state.counters["per_item"] = benchmark::Counter(static_cast<double>(iterations * kItems),
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void cases(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"producers", "lot"})->UseRealTime()->Unit(benchmark::kMillisecond);
  for (const std::int64_t producers : {1, 2})
    for (const std::int64_t lot : {1, 64}) bench->Args({producers, lot});
}
BENCHMARK(bm_queue<IntakeQueue<std::uint64_t>>)->Name("bm_queue/pawl")->Apply(cases);
BENCHMARK(bm_queue<MoodycamelQueue<std::uint64_t>>)->Name("bm_queue/moodycamel")->Apply(cases);
#ifdef PAWL_BENCH_BOOST
BENCHMARK(bm_queue<BoostQueue<std::uint64_t>>)->Name("bm_queue/boost_lockfree")->Apply(cases);
#endif
BENCHMARK(bm_queue<MutexQueue<std::uint64_t>>)->Name("bm_queue/mutex")->Apply(cases);

}  // namespace
