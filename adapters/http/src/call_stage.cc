// The loop: tasks come in, wait their turn, go on the wire, come back, wait for another try or are done.
#include <algorithm>
#include <atomic>
#include <deque>
#include <random>
#include <thread>
#include <utility>

#include <pawl/http.h>
#include <pawl/inbox.h>
#include <pawl/thread.h>

#include "budget.h"
#include "dealt_stage.h"
#include "json_glance.h"
#include "lessons.h"
#include "memory.h"
#include "outcomes.h"
#include "patience.h"
#include "retry.h"
#include "retry_queue.h"
#include "send_gate.h"
#include "serial_streams.h"
#include "stage_counts.h"
#include "surroundings.h"
#include "token_meter.h"
#include "transfer.h"
#include "wait_line.h"
#include "wire.h"

namespace pawl::http {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

class CurlCallStage final : public CallPart {
 public:
  CurlCallStage(Surroundings surroundings, SendLog* borrowed_log, std::uint64_t seed, unsigned parts)
      : CallPart(surroundings.setup.options, parts),
        setup_(std::move(surroundings.setup)),
        policy_{setup_.options.retry_max, setup_.options.retry_delay, setup_.options.retry_delay_max,
                setup_.options.retry_time_max},
        budget_(setup_.options),
        meter_(setup_.options),
        wire_(std::move(surroundings.wire)),
        line_(line_rules(setup_.options)),
        serial_(setup_.options.stream_calls),
        gate_(borrowed_log, *wire_, setup_.options.parallel_max, line_.host_max(),
              paces(setup_.options) ? 0 : SendGate::kAheadMax),
        random_(seed) {
    setup_.owner = this;
    setup_.on_connected = [](void* owner, Host& host) {
      if (!host.warm) static_cast<CurlCallStage*>(owner)->line_.warm(host, Clock::now());
    };
  }
  ~CurlCallStage() override { stop(); }

  void attach(StageSink& sink) override {
    sink_ = &sink;
    gate_.attach();
    thread_ = std::thread([this] {
      name_this_thread("pawl-call");
      run();
    });
  }

  void take(std::span<Task* const> tasks) noexcept override {
    waiting_.fetch_add(tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
    if (inbox_.push(tasks)) wire_->wake();
  }

  void cancel(Cancel how) noexcept override {
    const int wanted = how == Cancel::all ? kCancelAll : kCancelWaiting;
    int now = cancel_.load(std::memory_order_relaxed);
    // release [C1]: nothing is published with it, but the loop that is woken must see it; pairs with apply_cancel()
    while (now < wanted && !cancel_.compare_exchange_weak(now, wanted, std::memory_order_release)) {
    }
    wire_->wake();
  }

  void stop() noexcept override {
    if (!thread_.joinable()) return;
    stopping_.store(true, std::memory_order_release);  // release [C2]: pairs with run()
    wire_->wake();
    thread_.join();
  }

  // relaxed: each number is a recent one, and no two need to belong to the same moment
  [[nodiscard]] StageGauge gauge() const noexcept override {
    return {value_of(waiting_), value_of(active_), value_of(delayed_)};
  }
  [[nodiscard]] Stats stats() const override;
  [[nodiscard]] const LatencyHistogram& attempt_latency() const noexcept override { return counts_.latency; }
  void wake() noexcept override { wire_->wake(); }

 private:
  static constexpr int kCancelWaiting = 1, kCancelAll = 2;

  void run();
  void intake();
  void admit(Task& task);
  [[nodiscard]] bool may_call(Task& task);
  [[nodiscard]] bool holds_failures() const noexcept { return setup_.options.on_failure == OnFailure::hold; }
  void hold(Task& task);
  void apply_cancel();
  void turn_back(Call& call);
  void resume_due();
  void take_marked();
  void start_waiting();
  void collect();
  void deliver();
  [[nodiscard]] std::optional<Clock::time_point> next_wakeup() const;

  [[nodiscard]] Transfer* idle_transfer();
  [[nodiscard]] bool has_room() const noexcept {
    return !changes_.paused() && value_of(active_) < setup_.options.parallel_max;
  }
  [[nodiscard]] std::size_t wanted() const noexcept { return changes_.paused() ? 0 : gate_.wants(value_of(active_)); }
  [[nodiscard]] bool waits_in_vain() const noexcept;
  void stop_when_spent();
  void begin(Call& call, Transfer& transfer);
  void finish(Transfer& transfer, CURLcode code);
  void settle(Call& call, const Attempt& attempt, std::string failure_text);
  void retry(Call& call, const Attempt& attempt, milliseconds delay);
  void record(Call& call, const Attempt& attempt, std::string failure_text);
  void give_back(Call& call);
  void give_back(Task& task);
  void release(Call& call);
  void go_on_behind(const Task& settled);
  void give_up_behind(Call& call, ErrorCode why);
  [[nodiscard]] Call& new_call(Task& task);
  void learn(Call& call, Attempt& attempt, const Lesson& lesson, Clock::time_point now);
  void hold_back(Host& host, Breaker::Change change, Clock::time_point now);
  void give_up(Call& call, Clock::time_point now);
  [[nodiscard]] bool too_late(const Call& call, Clock::time_point now) const noexcept {
    return policy_.time_max.count() > 0 && call.tried && now - call.begun > policy_.time_max;
  }
  void end_idle();
  [[nodiscard]] double draw() noexcept { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }

  TransferSetup setup_;
  RetryPolicy policy_;
  Budget budget_;
  TokenMeter meter_;
  StageSink* sink_ = nullptr;
  std::unique_ptr<Wire> wire_;  // outlives the transfers
  std::thread thread_;
  Inbox<Task> inbox_;
  std::atomic<int> cancel_{0};         // written by cancel(), only grows; read by the loop
  std::atomic<bool> stopping_{false};  // written by stop(), read by the loop
  Counter waiting_{0};                 // written by take() and the loop
  Counter active_{0}, delayed_{0};     // written by the loop, as all below
  StageCounts counts_{setup_.options.on_event};

  // The loop's own.
  RequestCheck check_;
  WaitLine line_;
  SerialStreams serial_;  // before the line
  SendGate gate_;
  RetryQueue<Call*> retry_queue_;
  std::deque<Call> call_store_;
  std::vector<Call*> free_calls_;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<Transfer*> idle_;  // last in, first out: few calls use few connections
  std::vector<Task*> done_;
  int cancelled_ = 0;
  bool spent_ = false, tokens_unknown_ = false;  // has been told
  Clock::time_point look_for_idle_at_{};
  std::mt19937_64 random_;
};

void CurlCallStage::run() {
  while (true) {
    wire_->poll(next_wakeup());
    wire_->run_timers();
    collect();
    end_idle();
    if (changes_.any()) changes_.apply(setup_, line_, gate_);
    intake();
    apply_cancel();
    resume_due();
    take_marked();
    start_waiting();
    wire_->run_timers();  // what has just begun goes out before the loop sleeps
    collect();
    deliver();
    if (counts_.lanes_wanted()) counts_.publish(line_.lane_stats(kLaneStatsMax, Clock::now()));
    if (stopping_.load(std::memory_order_acquire)) break;  // acquire [C2]
  }
}

std::optional<Clock::time_point> CurlCallStage::next_wakeup() const {
  // Calls that ended in the second collect() left room, or spent the budget.
  if (waits_in_vain()) return Clock::time_point{};
  if (gate_.ready() && has_room() && budget_.ask() != Budget::Answer::wait) return Clock::time_point{};
  if (line_.ready() && wanted() > 0) return Clock::time_point{};
  auto due = retry_queue_.next_due();
  const auto sooner = [&due](Clock::time_point at) { due = due ? std::min(*due, at) : at; };
  if (const auto lanes = line_.next_due(); lanes && !changes_.paused()) sooner(*lanes);
  if (setup_.waits_with_limit() && value_of(active_) > 0) sooner(look_for_idle_at_);
  return due;
}

void CurlCallStage::intake() {
  if (inbox_.empty()) return;
  Task* task = inbox_.take_all();
  while (task != nullptr) {
    Task* const next = task->link;
    task->link = nullptr;
    admit(*task);
    task = next;
  }
}

void CurlCallStage::admit(Task& task) {
  task.outcome.reset();
  gate_.arrived(task);
  if (cancelled_ != 0) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    give_back(task);
    return;
  }
  if (!may_call(task)) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    if (task.fate != Fate::live) serial_.close(task.request.stream);
    done_.push_back(&task);
    return;
  }
  Call& call = new_call(task);
  const BodyFacts facts = facts_of(task.request.body, meter_.estimates() ? Glance::tokens : Glance::model);
  line_.enter(call, check_.origin(), facts.model);
  call.tokens = meter_.expected(task.request.body, facts.answer_tokens);
  switch (serial_.enter(call)) {
    case SerialStreams::Entry::go: return line_.push(call);
    case SerialStreams::Entry::parked: return;
    case SerialStreams::Entry::closed: return give_up_behind(call, ErrorCode::held);
  }
}

/// False: it has been given an outcome or given up instead.
bool CurlCallStage::may_call(Task& task) {
  if (task.in_doubt && setup_.options.on_unknown == OnUnknown::hold) {
    task.give_up({ErrorCode::held, key_text(task) + "its call may have been on its way; it is not called again", 0});
    return false;
  }
  Refusal refusal = check_.check(task.request);
  std::string_view code = code_of(refusal.failure);
  if (task.in_doubt && setup_.options.on_unknown == OnUnknown::fail) {
    code = "unknown_outcome";
    refusal.text = "the call may have been on its way when its process died; nothing is known of its outcome";
  } else if (refusal.failure == Failure::none) {
    return true;
  }
  write_refusal(task.outcome, code, std::move(refusal.text));
  if (holds_failures()) hold(task);
  gate_.settle(task);
  return false;
}

Call& CurlCallStage::new_call(Task& task) {
  if (free_calls_.empty()) free_calls_.push_back(&call_store_.emplace_back());
  Call& call = *free_calls_.back();
  free_calls_.pop_back();
  call = Call{};
  call.task = &task;
  return call;
}

void CurlCallStage::release(Call& call) {
  line_.leave(call);
  done_.push_back(call.task);
  free_calls_.push_back(&call);
}

/// A call that was in the line or beyond it is settled: the next one of its stream may go, or must not.
void CurlCallStage::go_on_behind(const Task& settled) {
  if (!serial_.on() || cancelled_ != 0) return;  // after a cancel nothing waits behind
  const std::string& stream = settled.request.stream;
  Call* next = serial_.leave(stream);
  if (settled.fate == Fate::live) {
    if (next != nullptr) line_.push(*next);
    return;
  }
  serial_.close(stream);
  for (; next != nullptr; next = serial_.leave(stream)) give_up_behind(*next, settled.error->code);
}

/// Of a serial stream one of whose earlier tasks was given up.
void CurlCallStage::give_up_behind(Call& call, ErrorCode why) {
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  gate_.settle(*call.task);
  call.task->give_up({why, key_text(*call.task) + "a task before it in its stream is not finished", 0});
  release(call);
}

/// A failure is not to be recorded.
void CurlCallStage::hold(Task& task) {
  give_up_failed(task);
  if (setup_.options.on_held_failure) setup_.options.on_held_failure(task);
}

void CurlCallStage::give_back(Task& task) {
  gate_.settle(task);
  task.outcome.reset();
  task.give_up({ErrorCode::cancelled, "the run is stopping; this task has no answer yet", 0});
  done_.push_back(&task);
}

void CurlCallStage::give_back(Call& call) {
  give_back(*call.task);
  done_.pop_back();  // release() puts it there
  release(call);
  go_on_behind(*call.task);
}

void CurlCallStage::apply_cancel() {
  const int wanted = cancel_.load(std::memory_order_acquire);  // acquire [C1]
  if (wanted == cancelled_) return;
  cancelled_ = wanted;
  waiting_.fetch_sub(line_.size() + serial_.parked(), std::memory_order_relaxed);
  serial_.drain([this](Call& call) { give_back(call); });
  line_.drain([this](Call& call) { give_back(call); });
  while (Call* call = gate_.next()) turn_back(*call);
  while (auto call = retry_queue_.pop(Clock::time_point::max())) give_back(**call);
  delayed_.store(0, std::memory_order_relaxed);
  if (wanted != kCancelAll) return;
  for (auto& transfer : transfers_) {
    Call* call = transfer->call();
    if (call == nullptr) continue;
    if (transfer->left()) call->task->in_doubt = true;
    transfer->end();
    idle_.push_back(transfer.get());
    line_.end(*call, Clock::now());
    add_to(counts_.finished, 1);
    give_back(*call);
  }
  active_.store(0, std::memory_order_relaxed);
}

/// From the gate: it has not begun.
void CurlCallStage::turn_back(Call& call) {
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  line_.end(call, Clock::now());
  give_back(call);
}

void CurlCallStage::take_marked() {
  gate_.take_marked([this](Call& call) { turn_back(call); });
  if (cancelled_ == 0) return;
  while (Call* call = gate_.next()) turn_back(*call);  // lent to the log when the rest was given back
}

void CurlCallStage::resume_due() {
  if (retry_queue_.size() == 0 && !line_.next_due()) return;
  const auto now = Clock::now();
  if (!changes_.paused()) line_.wake(now);
  while (auto call = retry_queue_.pop(now)) {
    line_.push_again(**call);
    waiting_.fetch_add(1, std::memory_order_relaxed);
  }
  delayed_.store(retry_queue_.size(), std::memory_order_relaxed);
}

Transfer* CurlCallStage::idle_transfer() {
  if (idle_.empty()) {
    const auto shard = static_cast<unsigned>(transfers_.size()) / Wire::kShardTransfers;
    auto transfer = Transfer::make(setup_, *wire_, shard);
    if (transfer == nullptr) return nullptr;
    idle_.push_back(transfer.get());
    transfers_.push_back(std::move(transfer));
  }
  Transfer* const transfer = idle_.back();
  idle_.pop_back();
  return transfer;
}

void CurlCallStage::start_waiting() {
  stop_when_spent();
  gate_.tell_settled();  // first of all: what was settled a moment ago and is due again needs a new mark
  const auto now = Clock::now();
  for (auto more = wanted(); more > 0; --more) {
    Call* const call = line_.next(now);
    if (call == nullptr) break;
    gate_.let_in(*call);
  }
  gate_.ask();
  while (has_room() && gate_.ready() && budget_.ask() == Budget::Answer::go) {
    Call* const call = gate_.next();
    const bool recalled = line_.recalls(*call, now);
    if (recalled) gate_.settle(*call->task);
    if (recalled || WaitLine::late(*call, now)) {  // who is only late keeps its mark, or might be late for ever
      line_.step_back(*call, now);
      continue;
    }
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    if (too_late(*call, now)) {
      line_.end(*call, now);
      give_up(*call, now);
      continue;
    }
    Transfer* const transfer = idle_transfer();
    if (transfer == nullptr) {
      line_.end(*call, now);
      record(*call, {.failure = Failure::out_of_memory, .left = false}, "libcurl has no memory for another transfer");
      continue;
    }
    begin(*call, *transfer);
  }
  // What comes of a serial stream may have to wait: not to be marked with its save.
  if (line_.size() == 0 && !serial_.on() && !changes_.paused()) gate_.give_room(value_of(active_));
}

/// Somebody waits for a call that the budget does not allow any more.
bool CurlCallStage::waits_in_vain() const noexcept {
  const std::size_t calls = call_store_.size() - free_calls_.size();
  return !spent_ && calls != value_of(active_) && budget_.ask() == Budget::Answer::spent;
}

void CurlCallStage::stop_when_spent() {
  if (!waits_in_vain()) return;
  spent_ = true;
  cancel(Cancel::waiting);
  if (setup_.options.on_spent) setup_.options.on_spent({budget_.what(), budget_.sent(), budget_.tokens()});
}

void CurlCallStage::begin(Call& call, Transfer& transfer) {
  budget_.begin();
  if (begin_attempt(call.task->outcome) == 1) call.begun = Clock::now();
  add_to(counts_.started, 1);
  add_to(active_, 1);
  WaitLine::begins(call);
  if (!transfer.begin(call)) finish(transfer, CURLE_FAILED_INIT);
}

void CurlCallStage::collect() {
  wire_->collect([this](CURL* easy, CURLcode code) { finish(Transfer::of(easy), code); });
}

void CurlCallStage::finish(Transfer& transfer, CURLcode code) {
  Failure failure = transfer.conclude(code);
  if (transfer.stale(code)) {
    failure = transfer.again();
    if (failure == Failure::none) return;
  }
  if (failure == Failure::none && setup_.options.redirects == Redirects::follow) {
    if (const std::string url = transfer.redirect(); !url.empty()) {
      failure = transfer.follow(url);
      if (failure == Failure::none) return;
    }
  }
  Call& call = *transfer.call();
  budget_.end(transfer.left());
  const TokensTold told = failure == Failure::none ? meter_.read(call.task->outcome.body) : TokensTold{};
  if (failure == Failure::none && !budget_.take(told.cost, transfer.status()) &&
      !std::exchange(tokens_unknown_, true) && setup_.options.on_tokens_unknown)
    setup_.options.on_tokens_unknown(*call.task);
  const auto now = Clock::now();
  counts_.latency.record(now - transfer.begun());
  add_to(counts_.finished, 1);
  add_to(counts_.bytes, call.task->outcome.body.size());
  Attempt attempt = attempt_of(transfer, call, failure, now);
  std::string text;
  if (failure != Failure::none)
    text.append(host_text(*call.host)).append(": ").append(transfer.failure_text(failure, code));
  transfer.end();
  idle_.push_back(&transfer);
  active_.store(value_of(active_) - 1, std::memory_order_relaxed);
  learn(call, attempt, lesson_of(attempt, transfer.begun(), transfer.limits(), told.used), now);
  settle(call, attempt, std::move(text));
}

/// Line, lane and host learn from how a call ended, and the call whether that counts as one of its attempts.
void CurlCallStage::learn(Call& call, Attempt& attempt, const Lesson& lesson, Clock::time_point now) {
  Host& host = *call.host;
  const auto end = line_.end(call, lesson, draw(), now);
  const bool counts = end.counts == LaneGate::Counts::yes || policy_.retry_max == 0;
  attempt.number = counts ? ++call.tries : call.tries;
  attempt.free = !counts && lesson.verdict == Verdict::refused;
  attempt.refusals = call.refusals;
  note_end(counts_, call, attempt, end, now);
  if (host.breaker.state() == BreakerState::closed || end.change == Breaker::Change::none) return;
  hold_back(host, end.change, now);
}

/// A host is down, or still is: those that have waited for it too long wait no more. One that has never answered is
/// most likely not there at all, so each time it is asked in vain counts as an attempt of all who wait for it.
void CurlCallStage::hold_back(Host& host, Breaker::Change change, Clock::time_point now) {
  const bool counts = !host.answered && change == Breaker::Change::reopened;
  if (policy_.time_max.count() == 0 && !counts) return;
  line_.expire(
      host, now,
      [&](Call& call) {
        if (counts && ++call.tries > policy_.retry_max) return true;
        const auto since = call.tried ? call.begun : host.breaker.down_since();
        return policy_.time_max.count() > 0 && now - since > policy_.time_max;
      },
      [&](Call& call) {
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        give_up(call, now);
      });
}

/// A call in the line will not be tried again, or at all: its last attempt decides, if there was one.
void CurlCallStage::give_up(Call& call, Clock::time_point now) {
  Outcome& outcome = call.task->outcome;
  Attempt attempt = call.last;
  if (call.tried) {
    attempt.elapsed = std::chrono::ceil<milliseconds>(now - call.begun);
    return record(call, attempt, std::move(outcome.error_message));
  }
  outcome.started = std::chrono::system_clock::now();
  record(call, {.failure = Failure::host_down, .left = false},
         std::string(host_text(*call.host)) +
             ": the host is down, and waiting for it has gone on for too long; not called");
}

void CurlCallStage::end_idle() {
  if (!setup_.waits_with_limit() || value_of(active_) == 0) return;
  const auto now = Clock::now();
  if (now < look_for_idle_at_) return;
  look_for_idle_at_ =
      end_late(transfers_, setup_.options, now, [this](Transfer& late) { finish(late, CURLE_OPERATION_TIMEDOUT); });
}

void CurlCallStage::settle(Call& call, const Attempt& attempt, std::string failure_text) {
  if (!outcome_known(attempt)) call.task->in_doubt = true;
  const auto delay = retry_delay(policy_, attempt, draw());
  if (!delay) {
    record(call, attempt, std::move(failure_text));
  } else if (cancelled_ != 0) {
    give_back(call);
  } else {
    call.last = attempt;
    call.task->outcome.status_code = attempt.status;
    call.task->outcome.error_message = std::move(failure_text);
    retry(call, attempt, *delay);
  }
}

/// What came back stays in the outcome, for the case that there will be no other attempt.
void CurlCallStage::retry(Call& call, const Attempt& attempt, milliseconds delay) {
  counts_.note_event(tell_retry(setup_.options, call, attempt, delay));
  gate_.settle(*call.task);
  add_to(counts_.retries, 1);
  if (waits_for_lane(attempt)) {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    return line_.push_again(call);
  }
  retry_queue_.push(Clock::now() + delay, &call);
  delayed_.store(retry_queue_.size(), std::memory_order_relaxed);
}

void CurlCallStage::record(Call& call, const Attempt& attempt, std::string failure_text) {
  Outcome& outcome = call.task->outcome;
  write_outcome(outcome, attempt, std::move(failure_text));
  if (outcome.kind == Outcome::Kind::answered) setup_.secrets.hide_in_answer(outcome);
  if (holds_failures() && !outcome.success()) {
    gate_.settle(*call.task);
    hold(*call.task);
  }
  release(call);
  go_on_behind(*call.task);
}

void CurlCallStage::deliver() {
  gate_.tell_settled();
  if (done_.empty()) return;
  sink_->done(done_);
  done_.clear();
}

Stats CurlCallStage::stats() const {
  Stats stats = counts_.stats();
  stats.attempts_sent = budget_.sent();
  stats.tokens = budget_.tokens();
  stats.connections_closed = wire_->closed();
  stats.connections_opened = std::max(wire_->opened(), stats.connections_closed);
  if (counts_.ask_for_lanes()) wire_->wake();
  return stats;
}

}  // namespace

Result<std::unique_ptr<CallPart>> make_call_part(const Options& options, SendLog* borrowed_log, unsigned parts) {
  auto surroundings = look_around(options, parts);
  if (!surroundings) return std::unexpected(surroundings.error());
  const std::uint64_t seed = options.seed != 0 ? options.seed : std::random_device{}();
  return std::make_unique<CurlCallStage>(std::move(*surroundings), borrowed_log, seed, parts);
}

Result<std::unique_ptr<CallStage>> make_call_stage(const Options& options, SendLog* borrowed_log) {
  if (auto ok = options.validate(); !ok) return std::unexpected(ok.error());
  if (start_libcurl() != CURLE_OK) return failure(ErrorCode::call, "libcurl cannot start");
  if (options.call_threads > 1) return make_dealt_stage(options, borrowed_log);
  return make_call_part(options, borrowed_log, 1);
}

}  // namespace pawl::http
