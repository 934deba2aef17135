// The engine's inside: what it owns, in the order in which it must go away.
#pragma once

#include <memory>

#include "core.h"
#include "flow/pipeline_graph.h"

namespace pawl {

struct Engine::Impl {
  Impl(const Limits& limits, Stages made, RetireFn on_retire)
      : core(limits),
        stop_patience(limits.stop_patience),
        stages(std::move(made)),
        graph(make_pipeline_graph(core, stages, limits, std::move(on_retire))) {}

  Core core;
  const std::chrono::milliseconds stop_patience;
  Stages stages;
  std::unique_ptr<PipelineGraph> graph;
};

}  // namespace pawl
