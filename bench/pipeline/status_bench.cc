// What a status snapshot costs the thread that asks, of an idle pipeline and of one that another thread keeps full.
// Each snapshot must add up and never go back.
#include <cstdint>
#include <optional>

#include <benchmark/benchmark.h>

#include "peers/textbook_pipeline.h"
#include "pipeline/latency.h"
#include "pipeline/pawl_pipeline.h"
#include "pipeline/workload.h"

namespace {

using namespace pawl;
using namespace pawl::bench;

bool adds_up(const Status& now, const Status& before) {
  return now.admitted >= now.saved && now.saved >= now.called && now.called >= now.ordered &&
         now.ordered >= now.retired && now.admitted >= before.admitted && now.retired >= before.retired;
}
bool adds_up(const TextbookPipeline::Counts& now, const TextbookPipeline::Counts& before) {
  return now.admitted >= now.saved && now.saved >= now.called && now.called >= now.retired &&
         now.admitted >= before.admitted && now.retired >= before.retired;
}

template <class Pipeline>
void bm_status(benchmark::State& state) {
  Workload work({.producers = 1, .streams = 64});
  Pipeline pipeline(1024, [&](const Request& request) { work.ledger().note(request); });
  {
    std::optional<BackgroundLoad<Pipeline>> others;
    if (state.range(0) != 0) others.emplace(pipeline, work.source(0));
    Histogram latency;
    auto before = pipeline.status();
    bool wrong = false;
    for (auto _ : state) {
      const std::uint64_t begin = ticks();
      const auto now = pipeline.status();
      latency.add(ticks() - begin);
      wrong |= !adds_up(now, before);
      before = now;
    }
    if (wrong) state.SkipWithError("a snapshot does not add up");
    latency.report(state);
  }
  pipeline.flush();
  if (pipeline.status().retired != work.filled()) state.SkipWithError("the last snapshot misses tasks");
  work.check(state);
  report_clock(state);
}

BENCHMARK(bm_status<TextbookPipeline>)->Name("bm_status/textbook")->ArgName("loaded")->Arg(0)->Arg(1);
BENCHMARK(bm_status<PawlPipeline>)->Name("bm_status/pawl")->ArgName("loaded")->Arg(0)->Arg(1);

}  // namespace
