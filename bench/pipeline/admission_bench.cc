// What admission alone costs: submits up to the credits into a pipeline whose first stage is held, so that nothing
// comes back meanwhile; drained, and the requests filled again, outside the timing. What takes tasks from the intake
// queue still runs beside it.
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "peers/graph_pipeline.h"
#include "peers/textbook_pipeline.h"
#include "pipeline/latency.h"
#include "pipeline/pawl_pipeline.h"
#include "pipeline/workload.h"

namespace {

using namespace pawl;
using namespace pawl::bench;

/// Runs `submit_all(lane, requests)`, which says how many were taken, until the timing is good.
template <class Pipeline, class SubmitAll>
void measure(benchmark::State& state, SubmitAll&& submit_all) {
  const auto in_flight = static_cast<std::size_t>(state.range(0));
  Workload work({.producers = 1, .streams = 64});
  Pipeline pipeline(static_cast<std::uint32_t>(in_flight),
                    [&](const Request& request) { work.ledger().note(request); });
  pipeline.may_hold(in_flight);
  typename Pipeline::Lane lane(pipeline);
  std::vector<Request> requests(in_flight);
  for (auto _ : state) {
    for (Request& request : requests) work.source(0).fill(request);
    pipeline.hold();
    const std::uint64_t begin = ticks();
    const std::size_t taken = submit_all(lane, requests);
    const std::uint64_t end = ticks();
    pipeline.let_go();
    pipeline.flush();
    if (taken != in_flight) state.SkipWithError("refused though there was credit");
    state.SetIterationTime(static_cast<double>(end - begin) * seconds_per_tick());
  }
  work.finish(state);
}

template <class Pipeline>
void bm_admission(benchmark::State& state) {
  measure<Pipeline>(state, [](typename Pipeline::Lane& lane, std::vector<Request>& requests) {
    std::size_t taken = 0;
    for (Request& request : requests) taken += lane.try_submit(request);
    return taken;
  });
}

void bm_admission_bulk(benchmark::State& state) {
  measure<PawlPipeline>(state, [](PawlPipeline::Lane& lane, std::vector<Request>& requests) {
    std::size_t taken = 0;
    for (std::size_t i = 0; i < requests.size(); i += 64)
      taken += lane.try_submit_all(std::span(requests).subspan(i, std::min<std::size_t>(64, requests.size() - i)));
    return taken;
  });
}

void cases(benchmark::internal::Benchmark* bench) {
  bench->ArgName("in_flight")->Arg(1024)->Arg(16'384)->UseManualTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(bm_admission<GraphPipeline>)->Name("bm_admission/message_graph")->Apply(cases);
BENCHMARK(bm_admission<TextbookPipeline>)->Name("bm_admission/textbook")->Apply(cases);
BENCHMARK(bm_admission<PawlPipeline>)->Name("bm_admission/pawl")->Apply(cases);
BENCHMARK(bm_admission_bulk)->Name("bm_admission/pawl_bulk")->Apply(cases);

}  // namespace
