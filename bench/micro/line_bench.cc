// What it takes a cache line to get from one processor to another and back again. Everything that two threads hand to
// each other costs multiples of this, and on a virtual machine it changes with where the host puts the processors: the
// first thing to look at when figures of two runs differ.
//
//   line_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
#include <atomic>
#include <cstdint>
#include <thread>

#include <benchmark/benchmark.h>

#include "base/cache_line.h"

namespace {

void bm_line_round_trip(benchmark::State& state) {
  struct alignas(pawl::kCacheLine) Line {
    std::atomic<std::uint64_t> value{0};  // odd: for the other thread; ~0: the end. Written in turns
  } line;
  constexpr std::uint64_t kEnd = ~std::uint64_t{0};
  std::thread other([&line] {
    for (std::uint64_t value = 1; line.value.load(std::memory_order_acquire) != kEnd;) {
      if (line.value.load(std::memory_order_acquire) != value) continue;
      line.value.store(value + 1, std::memory_order_release);
      value += 2;
    }
  });
  std::uint64_t value = 0;
  for (auto _ : state) {
    line.value.store(value + 1, std::memory_order_release);
    value += 2;
    while (line.value.load(std::memory_order_acquire) != value) {
    }
  }
  line.value.store(kEnd, std::memory_order_release);
  other.join();
}
BENCHMARK(bm_line_round_trip)->UseRealTime();

}  // namespace
