#include "dealt_stage.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "stage_counts.h"

namespace pawl::http {

namespace {

std::size_t part_of(const Task& task, std::size_t parts) noexcept { return task.request.task_id.ordinal % parts; }

/// Tasks sorted by part, in their order. Keeps its buffers.
class Dealer {
 public:
  explicit Dealer(std::size_t parts) : hands_(parts) {}

  /// Calls `give(part, tasks)` for each part that gets any.
  template <class Give>
  void deal(std::span<Task* const> tasks, Give give) {
    for (Task* task : tasks) hands_[part_of(*task, hands_.size())].push_back(task);
    for (std::size_t i = 0; i < hands_.size(); ++i) {
      if (hands_[i].empty()) continue;
      give(i, std::span<Task* const>(hands_[i]));
      hands_[i].clear();
    }
  }

 private:
  std::vector<std::vector<Task*>> hands_;
};

/// One send log for several parts. A send log is made for the one thread of a call stage, so parts take turns: the
/// mutex is held for as long as the log queues a batch.
class SharedLog final : public SendSink {
 public:
  SharedLog(SendLog& log, std::size_t parts) : log_(log), ends_(parts), dealer_(parts) {
    for (auto& end : ends_) end = std::make_unique<End>(*this);
  }

  [[nodiscard]] SendLog* end(std::size_t part) noexcept { return ends_[part].get(); }

  /// The log's thread. The order of each part's tasks is that in which it handed them over, as its gate expects.
  void may_send(std::span<Task* const> tasks) noexcept override {
    dealer_.deal(tasks, [this](std::size_t part, auto hand) { ends_[part]->sender->may_send(hand); });
  }

 private:
  class End final : public SendLog {
   public:
    explicit End(SharedLog& owner) noexcept : owner_(owner) {}
    void attach_sender(SendSink& own) noexcept override {
      sender = &own;
      // The last part to come attaches all: may_send() finds every sender from the start.
      if (std::ranges::all_of(owner_.ends_, [](const auto& end) { return end->sender != nullptr; })) {
        owner_.log_.attach_sender(owner_);
      }
    }
    // Not passed on: which part a task that is marked with its save will come to is not known beforehand, so the part
    // that gave room would not learn that it has been used. Marks are asked for ahead of need all the same.
    void give_room(std::uint64_t) noexcept override {}
    void note_sending(std::span<Task* const> tasks) noexcept override {
      const std::lock_guard lock(owner_.mutex_);
      owner_.log_.note_sending(tasks);
    }
    void note_settled(std::span<Task* const> tasks) noexcept override {
      const std::lock_guard lock(owner_.mutex_);
      owner_.log_.note_settled(tasks);
    }

    SendSink* sender = nullptr;  // set before any task comes

   private:
    SharedLog& owner_;
  };

  SendLog& log_;
  std::mutex mutex_;  // guards calls of log_
  std::vector<std::unique_ptr<End>> ends_;
  Dealer dealer_;  // the log's thread only
};

class DealtStage final : public CallStage {
 public:
  DealtStage(std::unique_ptr<SharedLog> log, std::vector<std::unique_ptr<CallPart>> parts)
      : log_(std::move(log)), parts_(std::move(parts)), dealer_(parts_.size()) {}
  ~DealtStage() override { stop(); }

  void attach(StageSink& sink) override {
    for (auto& part : parts_) part->attach(sink);
  }
  void take(std::span<Task* const> tasks) noexcept override {
    dealer_.deal(tasks, [this](std::size_t part, auto hand) { parts_[part]->take(hand); });
  }
  void cancel(Cancel how) noexcept override {
    for (auto& part : parts_) part->cancel(how);
  }
  void hurry() noexcept override {
    for (auto& part : parts_) part->hurry();
  }
  void stop() noexcept override {
    for (auto& part : parts_) part->stop();
  }
  [[nodiscard]] StageGauge gauge() const noexcept override {
    StageGauge sum;
    for (const auto& part : parts_) {
      const StageGauge one = part->gauge();
      sum.waiting += one.waiting;
      sum.active += one.active;
      sum.delayed += one.delayed;
    }
    return sum;
  }
  [[nodiscard]] Stats stats() const override;
  [[nodiscard]] Result<void> change(const Changes& changes) override;

 private:
  std::unique_ptr<SharedLog> log_;  // outlives the parts; null: there is no log
  std::vector<std::unique_ptr<CallPart>> parts_;
  Dealer dealer_;  // take() only
};

/// Parts have lanes of the same name; together they are one.
void add_lane(std::vector<LaneStats>& lanes, LaneStats& one) {
  const auto same = std::ranges::find_if(
      lanes, [&](const LaneStats& lane) { return lane.origin == one.origin && lane.model == one.model; });
  if (same == lanes.end()) {
    if (lanes.size() < kLaneStatsMax) lanes.push_back(std::move(one));
    return;
  }
  same->in_flight += one.in_flight;
  same->waiting += one.waiting;
  same->limit = same->limit == 0 || one.limit == 0 ? 0 : same->limit + one.limit;
  same->paused = std::max(same->paused, one.paused);
  if (same->breaker == BreakerState::closed) same->breaker = one.breaker;  // one part that is held back is worth a word
}

Stats DealtStage::stats() const {
  Stats sum;
  std::vector<const LatencyHistogram*> latencies;
  std::uint64_t most_events = 0;
  for (const auto& part : parts_) {
    Stats one = part->stats();
    sum.attempts_started += one.attempts_started;
    sum.attempts_finished += one.attempts_finished;
    sum.attempts_sent += one.attempts_sent;
    sum.tokens += one.tokens;
    sum.retries += one.retries;
    sum.connections_opened += one.connections_opened;
    sum.connections_closed += one.connections_closed;
    sum.bytes_received += one.bytes_received;
    sum.events += one.events;
    for (LaneStats& lane : one.lanes) add_lane(sum.lanes, lane);
    if (one.events > most_events) {  // which is the latest of all is not known; all matter
      most_events = one.events;
      sum.last_event = std::move(one.last_event);
    }
    latencies.push_back(&part->attempt_latency());
  }
  sum.lanes_held = held_among(sum.lanes);
  sum.attempts = LatencyHistogram::look_at(latencies);
  return sum;
}

Result<void> DealtStage::change(const Changes& changes) {
  const auto parts = static_cast<unsigned>(parts_.size());
  const bool paced =
      (changes.rate && changes.rate->count > 0) || (changes.rate_tokens && changes.rate_tokens->count > 0);
  if (paced) return failure(ErrorCode::usage, "rates need a single thread of calls");
  if (changes.parallel_max && *changes.parallel_max < parts)
    return failure(ErrorCode::usage, "parallel_max is " + std::to_string(*changes.parallel_max) + ", less than the " +
                                         std::to_string(parts) + " threads of calls that share it");
  for (unsigned i = 0; i < parts; ++i) {
    Changes own = changes;
    if (own.parallel_max) own.parallel_max = http::share_of(*own.parallel_max, parts, i);
    // What one part refuses all refuse, and the first is asked first.
    if (auto changed = parts_[i]->change(own); !changed) return changed;
  }
  return {};
}

/// A function that several loops may call at once.
std::function<void(const Task&)> one_at_a_time(std::function<void(const Task&)> told) {
  if (!told) return told;
  return [told = std::move(told), mutex = std::make_shared<std::mutex>()](const Task& task) {
    const std::lock_guard lock(*mutex);
    told(task);
  };
}

}  // namespace

unsigned share_of(unsigned limit, unsigned parts, unsigned index) noexcept {
  return limit / parts + (index < limit % parts ? 1 : 0);
}

Result<std::unique_ptr<CallStage>> make_dealt_stage(const Options& options, SendLog* borrowed_log) {
  const unsigned count = options.call_threads;
  std::unique_ptr<SharedLog> log;
  if (borrowed_log != nullptr) log = std::make_unique<SharedLog>(*borrowed_log, count);
  Options own = options;
  own.call_threads = 1;
  own.on_held_failure = one_at_a_time(options.on_held_failure);
  std::vector<std::unique_ptr<CallPart>> parts;
  for (unsigned i = 0; i < count; ++i) {
    own.parallel_max = share_of(options.parallel_max, count, i);
    own.parallel_max_host = share_of(options.parallel_max_host, count, i);
    if (options.seed != 0) own.seed = options.seed + i;
    auto part = make_call_part(own, log != nullptr ? log->end(i) : nullptr, count);
    if (!part) return std::unexpected(part.error());
    parts.push_back(std::move(*part));
  }
  return std::make_unique<DealtStage>(std::move(log), std::move(parts));
}

}  // namespace pawl::http
