// How long one try_submit() takes: median and tail, with the pipeline saturated (there is a task for every credit that
// comes back) and idle (everything sleeps and must be woken). `full_…` are the calls that were refused.
#include <cstdint>
#include <thread>

#include <benchmark/benchmark.h>

#include "peers/graph_pipeline.h"
#include "peers/textbook_pipeline.h"
#include "pipeline/idle.h"
#include "pipeline/latency.h"
#include "pipeline/pawl_pipeline.h"
#include "pipeline/workload.h"

namespace {

using namespace pawl;
using namespace pawl::bench;

template <class Pipeline>
void bm_submit_saturated(benchmark::State& state) {
  constexpr std::uint64_t kTasks = 200'000;
  Workload work({.producers = 1, .streams = 64});
  Pipeline pipeline(1024, [&](const Request& request) { work.ledger().note(request); });
  Histogram accepted, refused;
  for (auto _ : state) {
    typename Pipeline::Lane lane(pipeline);
    Request request;
    for (std::uint64_t i = 0; i < kTasks; ++i) {
      work.source(0).fill(request);
      for (;;) {
        const std::uint64_t begin = ticks();
        const bool in = lane.try_submit(request);
        const std::uint64_t took = ticks() - begin;
        (in ? accepted : refused).add(took);
        if (in) break;
        std::this_thread::yield();
      }
    }
    pipeline.flush();
  }
  work.finish(state);
  accepted.report(state);
  refused.report(state, "full_");
  state.counters["full_share"] =
      static_cast<double>(refused.count()) / static_cast<double>(refused.count() + accepted.count());
  report_clock(state);
}

template <class Pipeline>
void bm_submit_idle(benchmark::State& state) {
  Workload work({.producers = 1, .streams = 64});
  Pipeline pipeline(1024, [&](const Request& request) { work.ledger().note(request); });
  typename Pipeline::Lane lane(pipeline);
  Histogram accepted;
  Request request;
  for (auto _ : state) {
    pipeline.flush();
    wait_until_others_sleep();
    work.source(0).fill(request);
    const std::uint64_t begin = ticks();
    const bool in = lane.try_submit(request);
    const std::uint64_t took = ticks() - begin;
    if (!in) state.SkipWithError("refused though there was credit");
    accepted.add(took);
    state.SetIterationTime(static_cast<double>(took) * seconds_per_tick());
  }
  pipeline.flush();
  work.check(state);
  accepted.report(state);
  report_clock(state);
}

void saturated(benchmark::internal::Benchmark* bench) { bench->UseRealTime()->Unit(benchmark::kMillisecond); }
void idle(benchmark::internal::Benchmark* bench) {
  bench->Iterations(300)->UseManualTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(bm_submit_saturated<GraphPipeline>)->Name("bm_submit/message_graph/saturated")->Apply(saturated);
BENCHMARK(bm_submit_saturated<TextbookPipeline>)->Name("bm_submit/textbook/saturated")->Apply(saturated);
BENCHMARK(bm_submit_saturated<PawlPipeline>)->Name("bm_submit/pawl/saturated")->Apply(saturated);
BENCHMARK(bm_submit_idle<GraphPipeline>)->Name("bm_submit/message_graph/idle")->Apply(idle);
BENCHMARK(bm_submit_idle<TextbookPipeline>)->Name("bm_submit/textbook/idle")->Apply(idle);
BENCHMARK(bm_submit_idle<PawlPipeline>)->Name("bm_submit/pawl/idle")->Apply(idle);

}  // namespace
