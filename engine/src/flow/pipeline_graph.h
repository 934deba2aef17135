// The flow graph that leads batches of tasks through the stages:
//
//   pump ─> save ─> call ─> encode ─> order ─> commit ─> retire
//
// A message is a batch of task pointers (a message through oneTBB's nodes costs hundreds of nanoseconds, a pointer in
// a batch a few). Batches hold whatever is there, never wait to fill, and are recycled. save, call and commit are
// asynchronous: a stage takes the tasks and gives them back from threads of its own. Tasks that have nothing to do in
// a stage (saved or answered before a crash, given up) pass it by.
#pragma once

#include <memory>

#include <pawl/limits.h>
#include <pawl/stages.h>

#include "core.h"

namespace pawl {

class PipelineGraph {
 public:
  virtual ~PipelineGraph() = default;

  /// After the last task has retired: stops the stages and waits for the nodes to rest. Once.
  virtual void stop() noexcept = 0;
};

/// Builds the graph and attaches the stages. `core` and `stages` must outlive it.
[[nodiscard]] std::unique_ptr<PipelineGraph> make_pipeline_graph(Core& core, Stages& stages, const Limits& limits,
                                                                 RetireFn on_retire);

}  // namespace pawl
