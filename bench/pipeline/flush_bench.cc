// How long flush() takes: of an idle pipeline, after one task, and after one task while another thread keeps the
// pipeline full. Each time the own task must have retired when it returns.
#include <atomic>
#include <cstdint>
#include <optional>

#include <benchmark/benchmark.h>

#include "peers/graph_pipeline.h"
#include "peers/textbook_pipeline.h"
#include "pipeline/latency.h"
#include "pipeline/pawl_pipeline.h"
#include "pipeline/workload.h"

namespace {

using namespace pawl;
using namespace pawl::bench;

struct Load {
  bool one_task = false, others = false;
};

template <class Pipeline>
void measure(benchmark::State& state, const Load& load) {
  Workload work({.producers = 2, .streams = 64});
  std::atomic<std::uint64_t> own{0};  // retired tasks of this thread; written by the callback
  Pipeline pipeline(1024, [&](const Request& request) {
    work.ledger().note(request);
    // relaxed: flush() orders it
    if (request.digest[0] == 0) own.store(own.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  });
  {
    std::optional<BackgroundLoad<Pipeline>> others;
    if (load.others) others.emplace(pipeline, work.source(1));
    typename Pipeline::Lane lane(pipeline);
    Histogram latency;
    Request request;
    for (auto _ : state) {
      if (load.one_task) {
        work.source(0).fill(request);
        lane.submit(request);
      }
      const std::uint64_t begin = ticks();
      pipeline.flush();
      const std::uint64_t took = ticks() - begin;
      latency.add(took);
      state.SetIterationTime(static_cast<double>(took) * seconds_per_tick());
      if (own.load(std::memory_order_relaxed) != work.source(0).count())  // relaxed: flush() orders it
        state.SkipWithError("flush() returned before its task had retired");
    }
    latency.report(state);
  }
  pipeline.flush();
  work.check(state);
}

template <class Pipeline>
void bm_flush_idle(benchmark::State& state) {
  measure<Pipeline>(state, {});
}
template <class Pipeline>
void bm_flush_one_task(benchmark::State& state) {
  measure<Pipeline>(state, {.one_task = true});
}
template <class Pipeline>
void bm_flush_loaded(benchmark::State& state) {
  static_assert(Pipeline::kFlushesWhileOthersSubmit);
  measure<Pipeline>(state, {.one_task = true, .others = true});
}

void cases(benchmark::internal::Benchmark* bench) { bench->UseManualTime()->Unit(benchmark::kMicrosecond); }
BENCHMARK(bm_flush_idle<GraphPipeline>)->Name("bm_flush/message_graph/idle")->Apply(cases);
BENCHMARK(bm_flush_idle<TextbookPipeline>)->Name("bm_flush/textbook/idle")->Apply(cases);
BENCHMARK(bm_flush_idle<PawlPipeline>)->Name("bm_flush/pawl/idle")->Apply(cases);
BENCHMARK(bm_flush_one_task<GraphPipeline>)->Name("bm_flush/message_graph/one_task")->Apply(cases);
BENCHMARK(bm_flush_one_task<TextbookPipeline>)->Name("bm_flush/textbook/one_task")->Apply(cases);
BENCHMARK(bm_flush_one_task<PawlPipeline>)->Name("bm_flush/pawl/one_task")->Apply(cases);
BENCHMARK(bm_flush_loaded<TextbookPipeline>)->Name("bm_flush/textbook/loaded")->Apply(cases);
BENCHMARK(bm_flush_loaded<PawlPipeline>)->Name("bm_flush/pawl/loaded")->Apply(cases);

}  // namespace
