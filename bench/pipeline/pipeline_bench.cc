// What a pipeline itself costs a task: the whole way between stages that do nothing, order kept per stream, the engine
// beside its peers in the same binary. From submit to retire; the time includes filling and checking the tasks, which
// bm_pipeline/fill_only shows alone.
//
//   pipeline_bench --benchmark_repetitions=5 --benchmark_report_aggregates_only=true
//
// The peers come first: the engine lowers the priority of oneTBB's workers, which live as long as the process.
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "peers/filter_pipeline.h"
#include "peers/graph_pipeline.h"
#include "peers/textbook_pipeline.h"
#include "pipeline/pawl_pipeline.h"
#include "pipeline/workload.h"

namespace {

using namespace pawl;
using namespace pawl::bench;

constexpr std::uint64_t kTasks = 200'000;  // an iteration, all producers together

Workload::Size size_of(const benchmark::State& state) {
  return {.producers = static_cast<std::size_t>(state.range(0)), .streams = static_cast<std::size_t>(state.range(1))};
}
std::uint32_t in_flight_of(const benchmark::State& state) { return static_cast<std::uint32_t>(state.range(2)); }

template <class Pipeline>
void bm_pipeline(benchmark::State& state) {
  Workload work(size_of(state));
  Pipeline pipeline(in_flight_of(state), [&](const Request& request) { work.ledger().note(request); });
  for (auto _ : state) {
    work.on_all_producers(kTasks, [&](Source& source, std::uint64_t count) {
      typename Pipeline::Lane lane(pipeline);
      Request request;
      for (std::uint64_t i = 0; i < count; ++i) {
        source.fill(request);
        lane.submit(request);
      }
    });
    pipeline.flush();
  }
  work.finish(state);
}

void bm_pipeline_bulk(benchmark::State& state) {
  Workload work(size_of(state));
  PawlPipeline pipeline(in_flight_of(state), [&](const Request& request) { work.ledger().note(request); });
  for (auto _ : state) {
    work.on_all_producers(kTasks, [&](Source& source, std::uint64_t count) {
      PawlPipeline::Lane lane(pipeline);
      std::vector<Request> lot(64);
      for (std::uint64_t left = count; left > 0;) {
        const std::span<Request> some(lot.data(), std::min<std::uint64_t>(left, lot.size()));
        for (Request& request : some) source.fill(request);
        lane.submit_all(some);
        left -= some.size();
      }
    });
    pipeline.flush();
  }
  work.finish(state);
}

void bm_pipeline_filters(benchmark::State& state) {
  Workload work(size_of(state));
  FilterPipeline pipeline(in_flight_of(state), [&](const Request& request) { work.ledger().note(request); });
  for (auto _ : state) pipeline.run(kTasks, [&](Request& request) { work.source(0).fill(request); });
  work.finish(state);
}

void bm_pipeline_fill_only(benchmark::State& state) {
  Workload work(size_of(state));
  Request request;
  for (auto _ : state)
    for (std::uint64_t i = 0; i < kTasks; ++i) {
      work.source(0).fill(request);
      work.ledger().note(request);
    }
  work.finish(state);
}

/// One axis at a time from one producer, 64 streams, 1,024 in flight.
void cases(benchmark::internal::Benchmark* bench, const std::vector<std::int64_t>& producers) {
  bench->ArgNames({"producers", "streams", "in_flight"})
      ->UseRealTime()
      ->MeasureProcessCPUTime()
      ->Unit(benchmark::kMillisecond);
  for (const std::int64_t count : producers) bench->Args({count, 64, 1024});
  for (const std::int64_t streams : {1, 10'000}) bench->Args({1, streams, 1024});
  for (const std::int64_t in_flight : {256, 16'384}) bench->Args({1, 64, in_flight});
}
void all_cases(benchmark::internal::Benchmark* bench) { cases(bench, {1, 2, 4}); }
void one_producer_cases(benchmark::internal::Benchmark* bench) { cases(bench, {1}); }

BENCHMARK(bm_pipeline_fill_only)->Name("bm_pipeline/fill_only")->Apply(one_producer_cases);
BENCHMARK(bm_pipeline_filters)->Name("bm_pipeline/parallel_pipeline")->Apply(one_producer_cases);
BENCHMARK(bm_pipeline<GraphPipeline>)->Name("bm_pipeline/message_graph")->Apply(all_cases);
BENCHMARK(bm_pipeline<TextbookPipeline>)->Name("bm_pipeline/textbook")->Apply(all_cases);
BENCHMARK(bm_pipeline<PawlPipeline>)->Name("bm_pipeline/pawl")->Apply(all_cases);
BENCHMARK(bm_pipeline_bulk)->Name("bm_pipeline/pawl_bulk")->Apply(all_cases);

}  // namespace
