// The engine's small parts: admission, flush of nothing, ringing nobody, a credit round trip, counting.
//
//   engine_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
#include <cstdint>

#include <benchmark/benchmark.h>

#include "base/counters.h"
#include "epoch/epochs.h"
#include "queue/credits.h"
#include "queue/doorbell.h"

namespace {

using namespace pawl;

void bm_epochs_admit_and_retire(benchmark::State& state) {
  Epochs<> epochs;
  std::uint64_t refused = 0;
  for (auto _ : state) {
    const auto entry = Epochs<>::admit(epochs.word(0), 1);
    refused += !entry.admitted;
    epochs.retire(entry.parity, 1);
  }
  epochs.flush();  // hangs unless the counts meet
  if (refused != 0) state.SkipWithError("refused");
}
BENCHMARK(bm_epochs_admit_and_retire);

void bm_epochs_flush_of_nothing(benchmark::State& state) {
  Epochs<> epochs;
  for (auto _ : state) epochs.flush();
}
BENCHMARK(bm_epochs_flush_of_nothing);

void bm_doorbell_nobody_sleeps(benchmark::State& state) {
  Doorbell bell;
  std::uint64_t taken = 0;
  for (auto _ : state) taken += bell.take_ring();
  if (taken != 0) state.SkipWithError("a ring was taken");
}
BENCHMARK(bm_doorbell_nobody_sleeps);

void bm_credits_round_trip(benchmark::State& state) {
  constexpr std::size_t kLot = 64;
  Credits credits({.tasks_in_flight = 8192});
  Slot* slots[kLot];
  std::uint64_t missing = 0;
  for (auto _ : state) {
    const std::size_t count = credits.take_slots(slots, kLot);
    missing += count != kLot || !credits.take_bytes(kLot);
    credits.give_bytes(kLot);
    credits.give_slots(slots, count);
  }
  if (missing != 0 || credits.bytes() != 0) state.SkipWithError("credits were lost");
}
BENCHMARK(bm_credits_round_trip);

void bm_counter_add(benchmark::State& state) {
  Counter<> counter;
  for (auto _ : state) counter.add(1);
  if (counter.read() != static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("wrong count");
}
BENCHMARK(bm_counter_add);

}  // namespace
