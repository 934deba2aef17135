#include "flow/pipeline_graph.h"

#include <tbb/flow_graph.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include <pawl/thread.h>

#include "base/check.h"
#include "base/coarse_clock.h"
#include "flow/batch.h"

namespace pawl {
namespace {

namespace flow = tbb::flow;

using StageNode = flow::async_node<Batch*, Batch*>;
using BatchPort = std::tuple<Batch*>;

Slot& slot_of(Task* task) noexcept { return *static_cast<Slot*>(task); }

}  // namespace

/// What this thread is putting into the graph. oneTBB holds a spin lock of an edge while it runs the light node behind
/// it, and with that node a stage's take(). Were a stage to give tasks back from there through the same edge (in an
/// abort, say), it would wait for itself; so what is given back during a put is put after it.
class Puts {
 public:
  static Puts& of_this_thread() noexcept {
    static thread_local Puts puts;
    return puts;
  }
  void put(BatchEntry& entry, Batch* batch) noexcept {
    batch->entry = &entry;
    batch->later = nullptr;
    *last_ = batch;
    last_ = &batch->later;
    if (!inside_) put_all();
  }
  /// Runs `put`, a put of the graph's own, and then what was given back meanwhile.
  template <class Put>
  void around(Put&& put) noexcept {
    const bool outer = std::exchange(inside_, true);
    put();
    inside_ = outer;
    if (!inside_) put_all();
  }

 private:
  inline void put_all() noexcept;

  bool inside_ = false;
  Batch* first_ = nullptr;
  Batch** last_ = &first_;
};

/// Where a stage gives tasks back: into the graph, behind its node.
class NodeSink final : public StageSink, public BatchEntry {
 public:
  NodeSink(BatchPool& pool, StageNode& node, Place place) : pool_(pool), node_(node), place_(place) {}

  [[nodiscard]] Place place() const noexcept { return place_; }

  void done(std::span<Task* const> tasks) noexcept override {
    while (!tasks.empty()) {
      Batch* batch = pool_.take();
      const auto part = tasks.first(std::min(tasks.size(), Batch::kMost));
      for (Task* task : part) {
        Slot& slot = slot_of(task);
        if (slot.where.look().place != place_) gave_back_wrongly();
        slot.where.move_to(Place::none, {});
        batch->tasks[batch->size++] = task;
      }
      pass_on(batch);
      tasks = tasks.subspan(part.size());
    }
  }
  void pass_on(Batch* batch) noexcept { Puts::of_this_thread().put(*this, batch); }
  /// Also within another put: what is given back after it, on any thread, comes behind it. Not from behind this edge.
  void pass_on_now(Batch* batch) noexcept {
    Puts::of_this_thread().around([&] { put_now(batch); });
  }
  void put_now(Batch* batch) noexcept override { PAWL_CHECK(node_.gateway().try_put(batch)); }

 private:
  // A stage that gives a task back twice breaks what everything behind it relies on.
  [[noreturn]] void gave_back_wrongly() const noexcept {
    const std::string message =
        "a stage gave back a task that is not " + std::string(name_of(place_)) + ": twice, or it was never given it";
    check_failed(message.c_str(), __FILE__, __LINE__);
  }

  BatchPool& pool_;
  StageNode& node_;
  const Place place_;
};

void Puts::put_all() noexcept {
  inside_ = true;
  while (Batch* batch = first_) {
    first_ = batch->later;
    if (first_ == nullptr) last_ = &first_;
    batch->entry->put_now(batch);
  }
  inside_ = false;
}

namespace {

/// Called by the node that every worker comes by.
void know_this_worker() noexcept {
  thread_local bool known = false;
  if (std::exchange(known, true)) return;
  name_this_thread("pawl-graph");
  put_this_thread_behind();
}

class TbbPipelineGraph final : public PipelineGraph, public Pump {
 public:
  TbbPipelineGraph(Core& core, Stages& stages, const Limits& limits, RetireFn on_retire)
      : core_(core),
        stages_(stages),
        on_retire_(std::move(on_retire)),
        workers_(worker_count(limits)),
        pool_(limits.tasks_in_flight),
        intake_(core.intake.consumer()) {
    // oneTBB keeps one thread fewer than there are cores, counting on the caller's; ours only waits. First of all,
    // because an arena that asks for more than is allowed yet makes oneTBB complain on stderr.
    parallelism_.emplace(tbb::global_control::max_allowed_parallelism, workers_ + 1);
    arena_.initialize(static_cast<int>(workers_), 0);
    arena_.execute([&] { build(); });
    core_.pump = this;
    core_.intake_bell.announce();
    stages_.save->attach(*save_sink_);
    stages_.call->attach(*call_sink_);
    stages_.commit->attach(*commit_sink_);
  }

  void poke() noexcept override { PAWL_CHECK(pump_->try_put(flow::continue_msg{})); }

  void stop() noexcept override {
    stages_.save->stop();
    stages_.call->stop();
    stages_.commit->stop();
    for (auto* node : {&*save_, &*call_, &*commit_}) node->gateway().release_wait();
    arena_.execute([&] { graph_->wait_for_all(); });
  }

 private:
  using PumpNode = flow::multifunction_node<flow::continue_msg, BatchPort, flow::queueing>;
  using EncodeNode = flow::function_node<Batch*, Batch*>;
  using OrderNode = flow::multifunction_node<Batch*, BatchPort, flow::queueing>;
  using RetireNode = flow::function_node<Batch*, flow::continue_msg, flow::queueing>;
  // Lightweight (as the stage nodes are): run by whoever brings the batch, if nobody is in the node. That saves a task
  // for each batch, but oneTBB holds a spin lock of the edge meanwhile. So nothing light lies behind the encoder, which
  // many workers leave at once; without an encoder batches go from pass to order by no edge, after the lock is let go
  // (Puts). RetireFn is somebody else's and has a task of its own.
  using PassNode = flow::function_node<Batch*, flow::continue_msg, flow::queueing_lightweight>;
  using LightOrderNode = flow::multifunction_node<Batch*, BatchPort, flow::queueing_lightweight>;

  /// Into the light order node, by no edge.
  class OrderEntry final : public BatchEntry {
   public:
    explicit OrderEntry(LightOrderNode& node) : node_(node) {}
    void put_now(Batch* batch) noexcept override { PAWL_CHECK(node_.try_put(batch)); }

   private:
    LightOrderNode& node_;
  };

  static std::size_t worker_count(const Limits& limits) {
    if (limits.encode_threads != 0) return limits.encode_threads;
    return std::max(1u, std::thread::hardware_concurrency());
  }

  void build() {
    graph_.emplace();
    auto& g = *graph_;
    pump_.emplace(g, flow::serial,
                  [this](flow::continue_msg, PumpNode::output_ports_type& out) noexcept { run_pump(out); });
    save_.emplace(g, flow::serial, [this](Batch* batch, StageNode::gateway_type&) noexcept { run_save(batch); });
    call_.emplace(g, flow::serial, [this](Batch* batch, StageNode::gateway_type&) noexcept { run_call(batch); });
    commit_.emplace(g, flow::serial, [this](Batch* batch, StageNode::gateway_type&) noexcept { run_commit(batch); });
    retire_.emplace(g, flow::serial, [this](Batch* batch) noexcept { return run_retire(batch); });
    flow::make_edge(flow::output_port<0>(*pump_), *save_);
    flow::make_edge(*save_, *call_);
    if (stages_.encoder) {
      encode_.emplace(g, flow::unlimited, [this](Batch* batch) noexcept { return run_encode(batch); });
      flow::make_edge(*call_, *encode_);
      commit_from(order_);
      flow::make_edge(*encode_, *order_);
    } else {
      pass_.emplace(g, flow::unlimited, [this](Batch* batch) noexcept { return run_pass(batch); });
      flow::make_edge(*call_, *pass_);
      commit_from(light_order_);
      to_order_.emplace(*light_order_);
    }
    flow::make_edge(*commit_, *retire_);
    save_sink_.emplace(pool_, *save_, Place::saving);
    call_sink_.emplace(pool_, *call_, Place::calling);
    commit_sink_.emplace(pool_, *commit_, Place::committing);
    for (auto* node : {&*save_, &*call_, &*commit_}) node->gateway().reserve_wait();
  }

  /// order ─> commit
  template <class Order>
  void commit_from(std::optional<Order>& order) {
    order.emplace(*graph_, flow::serial,
                  [this](Batch* batch, typename Order::output_ports_type& out) noexcept { run_order(batch, out); });
    // From a body of the serial order node straight into the serial commit node: the order of puts is kept.
    flow::make_edge(flow::output_port<0>(*order), *commit_);
  }

  // ---- pump: intake queue → batches. Rests, announced at the doorbell, when the queue is empty.
  void run_pump(PumpNode::output_ports_type& out) noexcept {
    know_this_worker();
    Batch* batch = pool_.take();
    for (unsigned round = 0; round < kPumpRounds;) {
      if (fill(*batch)) {
        Puts::of_this_thread().around([&] { PAWL_CHECK(std::get<0>(out).try_put(batch)); });
        batch = pool_.take();
        ++round;
        continue;
      }
      core_.intake_bell.announce();
      if (core_.intake.looks_empty() || !core_.intake_bell.take_ring()) return pool_.give(batch);
    }
    pool_.give(batch);
    poke();  // let other nodes run, then go on
  }
  /// Each look at the queue takes its lines away from the submitters, and a batch costs the same whether it is large or
  /// small. So while a look finds little, the next one comes a little later; never later than a few microseconds, and
  /// at once when the pump has been called.
  bool fill(Batch& batch) noexcept {
    Slot* slots[Batch::kMost];
    for (unsigned look = 0; look < kPumpLooks; ++look) {
      for (unsigned i = 0; i < pauses_; ++i) pause();
      const std::size_t count = core_.intake.take(intake_, slots, Batch::kMost);
      pauses_ = count < kFew ? std::min(pauses_ * 2 + 4, kPausesMost) : pauses_ / 2;
      if (count == 0) continue;
      for (std::size_t i = 0; i < count; ++i) slots[i]->prefetch_to_lead();
      const auto now = std::chrono::steady_clock::now();
      for (std::size_t i = 0; i < count; ++i) {
        slots[i]->admitted = now;
        batch.add(slots[i]);
      }
      return true;
    }
    pauses_ = 0;
    return false;
  }
  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // ---- save: what the journal does not hold yet
  void run_save(Batch* batch) noexcept {
    // What passes by is put on at once: a task that was submitted later must not be saved and given back before it.
    take_or_pass(
        batch, *stages_.save, *save_sink_, [](const Task& task) { return !task.saved; }, &NodeSink::pass_on_now);
  }

  // ---- call: what is saved and has no outcome
  void run_call(Batch* batch) noexcept {
    core_.saved.add(batch->size);
    // An outcome of the slot's task before this one goes away here and not at submit, which has enough to touch.
    for (Task* task : batch->view())
      if (task->outcome.kind == Outcome::Kind::none) task->outcome.reset();
    take_or_pass(batch, *stages_.call, *call_sink_,
                 [](const Task& task) { return task.fate == Fate::live && task.outcome.kind == Outcome::Kind::none; });
  }

  template <class Wanted>
  void take_or_pass(Batch* batch, Stage& stage, NodeSink& sink, Wanted&& wanted,
                    void (NodeSink::*pass_on)(Batch*) noexcept = &NodeSink::pass_on) noexcept {
    Task* taken[Batch::kMost];
    const std::size_t count = batch->split(taken, wanted);
    if (batch->size != 0)
      (sink.*pass_on)(batch);
    else
      pool_.give(batch);
    if (count == 0) return;
    const auto now = coarse_now();
    for (std::size_t i = 0; i < count; ++i) slot_of(taken[i]).where.move_to(sink.place(), now);
    stage.take({taken, count});
  }

  // ---- encode: note the answers, then the CPU work; several workers at once
  Batch* run_encode(Batch* batch) noexcept {
    know_this_worker();
    const auto now = coarse_now();
    for (Task* task : batch->view()) slot_of(task).where.move_to(Place::encoding, now);
    note_answers(batch);
    for (Task* task : batch->view())
      if (task->fate == Fate::live) stages_.encoder->encode(*task);
    return batch;
  }
  flow::continue_msg run_pass(Batch* batch) noexcept {
    note_answers(batch);
    Puts::of_this_thread().put(*to_order_, batch);
    return {};
  }
  void note_answers(Batch* batch) noexcept {
    Task* fresh[Batch::kMost];
    std::size_t count = 0;
    std::uint64_t bytes = 0;
    for (Task* task : batch->view()) {
      if (task->fate != Fate::live || task->answer_mark != 0) continue;
      PAWL_CHECK(task->outcome.kind != Outcome::Kind::none);
      fresh[count++] = task;
      const std::uint64_t brought = task->outcome.body.size();
      slot_of(task).bytes += brought;
      bytes += brought;
    }
    if (bytes != 0) core_.credits.add_bytes(bytes);
    if (count != 0) stages_.save->note_answers({fresh, count});
    core_.called.add(batch->size);
  }

  // ---- order: each task takes its turn in its stream
  template <class Ports>
  void run_order(Batch* batch, Ports& out) noexcept {
    Batch* ready = pool_.take();
    std::uint64_t count = 0;
    const auto now = coarse_now();
    for (Task* arrived : batch->view()) {
      Slot& first = slot_of(arrived);
      first.where.move_to(Place::ordering, now);
      core_.streams.arrive(*first.stream, first.index, Slab{core_.credits}, [&](Streams<>::Link& link) {
        Slot& slot = static_cast<Slot&>(static_cast<SlotHead&>(link));
        take_turn(slot);
        ++count;
        ready->add(&slot);
        if (!ready->full()) return;
        core_.ordered.add(std::exchange(count, 0));
        commit_in_order(std::exchange(ready, pool_.take()), out);
      });
    }
    pool_.give(batch);
    core_.ordered.add(count);
    if (ready->size != 0)
      commit_in_order(ready, out);
    else
      pool_.give(ready);
  }
  template <class Ports>
  static void commit_in_order(Batch* batch, Ports& out) noexcept {
    Puts::of_this_thread().around([&] { PAWL_CHECK(std::get<0>(out).try_put(batch)); });
  }
  struct Slab {
    Credits& credits;
    [[nodiscard]] Streams<>::Link& link(std::uint32_t index) const noexcept { return credits.slot(index); }
    void hold(std::uint32_t index) const noexcept { credits.slot(index).hold(); }
    void release(std::uint32_t index) const noexcept {
      PAWL_CHECK(!credits.slot(index).let_go());
    }  // has yet to retire
  };
  /// A task behind an unfinished one must not be committed before it.
  static void take_turn(Slot& slot) noexcept {
    if (slot.fate == Fate::unfinished)
      slot.stream->broken = true;
    else if (slot.stream->broken)
      slot.give_up({ErrorCode::cancelled, "an earlier task of its stream is unfinished", 0});
  }

  // ---- commit
  void run_commit(Batch* batch) noexcept {
    take_or_pass(batch, *stages_.commit, *commit_sink_, [](const Task& task) { return task.fate == Fate::live; });
    if (core_.commit_is_waited_for()) stages_.commit->hurry();
  }

  // ---- retire: tell the journal and the embedder, give credits back, count down the epoch
  flow::continue_msg run_retire(Batch* batch) noexcept {
    Task* released[Batch::kMost];
    std::size_t count = 0;
    const auto now = coarse_now();
    for (Task* task : batch->view()) {
      slot_of(task).where.move_to(Place::retiring, now);
      if (task->committed) released[count++] = task;
    }
    if (count != 0) stages_.save->release({released, count});
    std::int64_t retired[2] = {0, 0};
    std::uint64_t bytes = 0, failed = 0, unchanged = 0;
    for (Task* task : batch->view()) {
      PAWL_CHECK(task->committed != (task->fate == Fate::unfinished));
      failed += task->committed && !task->outcome.success();
      unchanged += task->committed && task->unchanged;
      if (on_retire_) on_retire_(*task);
      Slot& slot = slot_of(task);
      // Here, because this line is in this processor's cache; whatever else the outcome holds is made new in front of
      // the call stage. A submitter has enough to touch.
      slot.outcome.kind = Outcome::Kind::none;
      slot.where.move_to(Place::none, {});
      bytes += slot.bytes;
      ++retired[slot.parity];
    }
    // The total is the sum of these two; what is a part of `committed` is counted after it.
    core_.unfinished.add(batch->size - count);
    core_.committed.add(count);
    core_.failed.add(failed);
    core_.unchanged.add(unchanged);
    core_.credits.give_bytes(bytes);
    give_back(*batch);
    pool_.give(batch);
    for (std::uint8_t parity = 0; parity < 2; ++parity)
      if (retired[parity] != 0) core_.epochs.retire(parity, retired[parity]);
    return {};
  }

  void give_back(const Batch& batch) noexcept {
    Slot* freed[Batch::kMost];
    std::size_t count = 0;
    for (Task* task : batch.view())
      if (slot_of(task).let_go()) freed[count++] = &slot_of(task);
    core_.credits.give_slots(freed, count);  // also wakes who waits for bytes, if no slot came back with them
  }

  static constexpr unsigned kPumpRounds = 16;  // batches before other nodes get their turn
  static constexpr unsigned kPumpLooks = 6;    // looks into an empty queue before resting
  static constexpr unsigned kPausesMost = 64;  // of the processor between two looks
  static constexpr std::size_t kFew = 32;      // tasks found by a look: fewer are few

  Core& core_;
  Stages& stages_;
  RetireFn on_retire_;
  const std::size_t workers_;
  BatchPool pool_;
  PointerQueue<Slot>::ConsumerToken intake_;  // the pump's, and so is
  unsigned pauses_ = 0;                       // before its next look
  std::optional<tbb::global_control> parallelism_;
  tbb::task_arena arena_;
  std::optional<flow::graph> graph_;
  std::optional<PumpNode> pump_;
  std::optional<StageNode> save_, call_, commit_;
  std::optional<EncodeNode> encode_;
  std::optional<PassNode> pass_;
  std::optional<OrderNode> order_;
  std::optional<LightOrderNode> light_order_;
  std::optional<OrderEntry> to_order_;
  std::optional<RetireNode> retire_;
  std::optional<NodeSink> save_sink_, call_sink_, commit_sink_;
};

}  // namespace

std::unique_ptr<PipelineGraph> make_pipeline_graph(Core& core, Stages& stages, const Limits& limits,
                                                   RetireFn on_retire) {
  return std::make_unique<TbbPipelineGraph>(core, stages, limits, std::move(on_retire));
}

}  // namespace pawl
