// tbb::parallel_pipeline on the same work: fill → save → call → commit as filters, one task a token.
//
// It pulls: the first filter asks for the next task, so it has one producer and neither submit nor flush; a run ends
// when its source ends. It has no order per stream; both ends are serial_in_order, which gives one order over all.
#pragma once

#include <tbb/global_control.h>
#include <tbb/parallel_pipeline.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include <pawl/task.h>

namespace pawl::bench {

class FilterPipeline {
 public:
  using Retire = std::function<void(const Request&)>;

  FilterPipeline(std::size_t in_flight, Retire retire)
      : retire_(std::move(retire)),
        tasks_(in_flight),
        workers_(tbb::global_control::max_allowed_parallelism, std::max(1u, std::thread::hardware_concurrency())) {}

  /// Runs `count` tasks that `fill(Request&)` makes, at most `in_flight` at once, and waits for them.
  template <class Fill>
  void run(std::uint64_t count, Fill&& fill) {
    using tbb::filter_mode;
    std::uint64_t made = 0;
    const auto next = [&](tbb::flow_control& control) -> Task* {
      if (made == count) {
        control.stop();
        return nullptr;
      }
      // In order at the far end, so the oldest of the ring is free again when a token is.
      Task& task = tasks_[made++ % tasks_.size()];
      fill(task.request);
      task.outcome.reset();
      task.saved = task.committed = false;
      return &task;
    };
    const auto save = [](Task* task) {
      task->saved = true;
      return task;
    };
    const auto call = [](Task* task) {
      task->outcome.kind = Outcome::Kind::answered;
      return task;
    };
    const auto commit = [this](Task* task) {
      task->committed = true;
      retire_(task->request);
    };
    tbb::parallel_pipeline(tasks_.size(), tbb::make_filter<void, Task*>(filter_mode::serial_in_order, next) &
                                              tbb::make_filter<Task*, Task*>(filter_mode::parallel, save) &
                                              tbb::make_filter<Task*, Task*>(filter_mode::parallel, call) &
                                              tbb::make_filter<Task*, void>(filter_mode::serial_in_order, commit));
  }

 private:
  const Retire retire_;
  std::vector<Task> tasks_;
  tbb::global_control workers_;
};

}  // namespace pawl::bench
