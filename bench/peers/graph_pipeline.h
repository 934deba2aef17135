// A plain oneTBB flow graph of the engine's nodes with one message per task: save → call → encode → order → commit.
//
// Bounded by a fixed set of tasks (a limiter_node fed from outside drops what it refuses), a task is a pointer, order
// by number in the order node. As the engine it lets as many workers run as there are cores.
#pragma once

#include <concurrentqueue/concurrentqueue.h>
#include <tbb/flow_graph.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <pawl/task.h>

namespace pawl::bench {

class GraphPipeline {
 public:
  static constexpr bool kFlushesWhileOthersSubmit = false;  // wait_for_all() waits for everybody's tasks
  using Retire = std::function<void(const Request&)>;

  GraphPipeline(std::size_t in_flight, Retire retire)
      : retire_(std::move(retire)),
        tasks_(in_flight),
        free_(2 * in_flight),
        early_(in_flight, nullptr),
        workers_(tbb::global_control::max_allowed_parallelism, kWorkers + 1) {
    for (Numbered& task : tasks_) free_.enqueue(&task);
    tbb::flow::make_edge(save_, call_);
    tbb::flow::make_edge(call_, encode_);
    tbb::flow::make_edge(encode_, order_);
    tbb::flow::make_edge(tbb::flow::output_port<0>(order_), commit_);
  }
  ~GraphPipeline() { graph_.wait_for_all(); }
  GraphPipeline(const GraphPipeline&) = delete;
  GraphPipeline& operator=(const GraphPipeline&) = delete;

 private:
  struct Numbered : Task {
    std::uint64_t number = 0;
  };
  using Queue = moodycamel::ConcurrentQueue<Numbered*>;

 public:
  /// One submitting thread's way in; takes free tasks in lots, as the engine's producers do.
  class Lane {
   public:
    explicit Lane(GraphPipeline& pipeline)
        : pipeline_(pipeline),
          token_(pipeline.free_),
          lot_(std::clamp<std::size_t>(pipeline.tasks_.size() / 16, 1, kMostAtOnce)) {}
    ~Lane() { pipeline_.free_.enqueue_bulk(held_, count_); }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    [[nodiscard]] bool try_submit(Request& request) {
      if (count_ == 0) count_ = pipeline_.free_.try_dequeue_bulk(token_, held_, lot_);
      if (count_ == 0) return false;
      pipeline_.admit(*held_[--count_], request);
      return true;
    }
    void submit(Request& request) {
      while (!try_submit(request)) std::this_thread::yield();
    }

   private:
    static constexpr std::size_t kMostAtOnce = 64;
    GraphPipeline& pipeline_;
    moodycamel::ConsumerToken token_;
    const std::size_t lot_;
    Numbered* held_[kMostAtOnce];
    std::size_t count_ = 0;
  };

  void flush() { graph_.wait_for_all(); }

  void may_hold(std::size_t) {}
  /// The first stage takes nothing on until let_go().
  void hold() { held_.store(true, std::memory_order_release); }
  void let_go() {
    held_.store(false, std::memory_order_release);  // release: pairs with the wait in the save node
    held_.notify_all();
  }

 private:
  using OrderNode = tbb::flow::multifunction_node<Numbered*, std::tuple<Numbered*>>;
  inline static const std::size_t kWorkers = std::max(1u, std::thread::hardware_concurrency());

  void admit(Numbered& task, Request& request) {
    std::swap(task.request, request);
    task.outcome.reset();
    task.saved = task.committed = false;
    // A producer's tasks get rising numbers: order in the whole is order in each stream. relaxed: try_put() publishes
    task.number = numbers_.fetch_add(1, std::memory_order_relaxed);
    save_.try_put(&task);
  }
  Numbered* save(Numbered* task) {
    held_.wait(true, std::memory_order_acquire);
    task->saved = true;
    return task;
  }
  void order(Numbered* task, OrderNode::output_ports_type& out) {
    // Numbers in flight differ by less than there are tasks.
    early_[task->number % early_.size()] = task;
    for (;;) {
      Numbered*& next = early_[next_ % early_.size()];
      if (next == nullptr) return;
      std::get<0>(out).try_put(std::exchange(next, nullptr));
      ++next_;
    }
  }
  void commit(Numbered* task) {
    task->committed = true;
    retire_(task->request);
    freed_[freed_count_++] = task;
    if (freed_count_ < freed_.size() && freed_count_ * 16 < tasks_.size()) return;
    free_.enqueue_bulk(freed_.data(), std::exchange(freed_count_, 0));
  }

  const Retire retire_;
  std::vector<Numbered> tasks_;
  Queue free_;
  std::vector<Numbered*> early_;           // order node only: by number
  std::uint64_t next_ = 0;                 // order node only
  std::array<Numbered*, 64> freed_;        // commit node only
  std::size_t freed_count_ = 0;            // commit node only
  std::atomic<std::uint64_t> numbers_{0};  // given to tasks so far
  std::atomic<bool> held_{false};          // written by hold() and let_go(), read by the save node
  tbb::global_control workers_;
  tbb::flow::graph graph_;
  tbb::flow::function_node<Numbered*, Numbered*> save_{graph_, tbb::flow::serial,
                                                       [this](Numbered* t) { return save(t); }};
  tbb::flow::function_node<Numbered*, Numbered*> call_{graph_, tbb::flow::serial, [](Numbered* task) {
                                                         task->outcome.kind = Outcome::Kind::answered;
                                                         return task;
                                                       }};
  tbb::flow::function_node<Numbered*, Numbered*> encode_{graph_, tbb::flow::unlimited, [](Numbered* t) { return t; }};
  OrderNode order_{graph_, tbb::flow::serial,
                   [this](Numbered* task, OrderNode::output_ports_type& out) { order(task, out); }};
  tbb::flow::function_node<Numbered*> commit_{graph_, tbb::flow::serial, [this](Numbered* task) { commit(task); }};
};

}  // namespace pawl::bench
