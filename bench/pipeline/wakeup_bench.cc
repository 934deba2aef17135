// From a submit into an idle pipeline, where everything sleeps, until the retire callback runs.
#include <atomic>
#include <cstdint>

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
void bm_wakeup(benchmark::State& state) {
  Workload work({.producers = 1, .streams = 64});
  std::atomic<std::uint64_t> retired_at{0};  // written by the callback
  Pipeline pipeline(1024, [&](const Request& request) {
    const std::uint64_t now = ticks();
    work.ledger().note(request);
    retired_at.store(now, std::memory_order_release);  // release: pairs with wait() below
    retired_at.notify_one();
  });
  typename Pipeline::Lane lane(pipeline);
  Histogram latency;
  Request request;
  for (auto _ : state) {
    wait_until_others_sleep();
    retired_at.store(0, std::memory_order_relaxed);  // relaxed: submit() publishes it
    work.source(0).fill(request);
    const std::uint64_t begin = ticks();
    lane.submit(request);
    // Not flush(): some pipelines would do the work on this thread then, and wake nobody.
    retired_at.wait(0, std::memory_order_acquire);
    const std::uint64_t took = retired_at.load(std::memory_order_relaxed) - begin;  // relaxed: after the wait
    latency.add(took);
    state.SetIterationTime(static_cast<double>(took) * seconds_per_tick());
  }
  pipeline.flush();
  work.check(state);
  latency.report(state);
}

void cases(benchmark::internal::Benchmark* bench) {
  bench->Iterations(300)->UseManualTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(bm_wakeup<GraphPipeline>)->Name("bm_wakeup/message_graph")->Apply(cases);
BENCHMARK(bm_wakeup<TextbookPipeline>)->Name("bm_wakeup/textbook")->Apply(cases);
BENCHMARK(bm_wakeup<PawlPipeline>)->Name("bm_wakeup/pawl")->Apply(cases);

}  // namespace
