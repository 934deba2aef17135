#include "run_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include <pawl/git.h>
#include <pawl/latency.h>

namespace pawl::tool {

namespace {

observe::LaneView shown(http::LaneStats& lane) {
  return {std::move(lane.origin),
          std::move(lane.model),
          lane.in_flight,
          lane.waiting,
          lane.limit,
          std::string(http::name_of(lane.breaker)),
          lane.paused};
}

/// Every task that is in flight waits for this lane, which is held back, and no other may be read meanwhile.
bool holds_all(const http::LaneStats& lane, const Status& status, const RunOptions& options) {
  const bool held = lane.paused.count() > 0 || lane.breaker != http::BreakerState::closed;
  return held && status.in_flight() >= options.tasks_in_flight &&
         lane.waiting + lane.in_flight >= status.in_call_stage();
}

std::string all_wait_text(const http::LaneStats& lane, const Status& status) {
  const std::string_view gap = lane.model.empty() ? "" : " ";
  return fmt::format("all {} tasks in flight (--tasks-in-flight) wait for {}{}{}", status.in_flight(), lane.origin, gap,
                     lane.model);
}

void show_latency(observe::StageView& stage, const Latency& took) {
  stage.latency = {took.p50_ms, took.p90_ms, took.p99_ms, took.p999_ms, took.max_ms};
  stage.times = {{}, took.count, took.sum_s};
  for (std::size_t i = 0; i < kLatencyBounds.size(); ++i)
    stage.times.buckets.push_back({kLatencyBounds[i], took.at_most[i]});
}

}  // namespace

std::string_view host_of(std::string_view url) {
  if (const auto scheme = url.find("://"); scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const auto user = url.rfind('@'); user != std::string_view::npos) url.remove_prefix(user + 1);
  return url;
}

void show_stages(observe::RunView& view, const ShownStages& stages, const RunOptions& options) {
  http::Stats calls = stages.call.stats();
  const Status& status = view.status;
  view.save.depth = status.saving();
  view.call.depth = status.in_call_stage();
  view.commit.depth = status.ordering() + status.committing();
  view.retried = calls.retries;
  if (const auto* took = stages.save.latency()) show_latency(view.save, took->look());
  show_latency(view.call, calls.attempts);
  if (const auto* took = stages.commit.latency()) show_latency(view.commit, took->look());
  view.latency = view.call.latency;
  view.budget = {calls.attempts_sent, options.budget_calls, calls.tokens, options.budget_tokens,
                 options.budget_time.value};
  if (status.call.delayed != 0 || calls.lanes_held != 0) view.note = std::move(calls.last_event);
  for (http::LaneStats& lane : calls.lanes) {
    if (holds_all(lane, status, options)) view.note = all_wait_text(lane, status);
    view.lanes.push_back(shown(lane));
  }
}

std::string failure_text(const Task& task) {
  const Outcome& outcome = task.outcome;
  std::string text(host_of(task.request.url));
  if (outcome.kind == Outcome::Kind::answered)
    return text.append(": status ").append(std::to_string(outcome.status_code));
  return text.append(": ").append(outcome.error_code);
}

std::string failure_in_raw(const Task& task) {
  const Outcome& outcome = task.outcome;
  return outcome.kind == Outcome::Kind::answered
             ? fmt::format("{}: status {}, not stored", task.request.url, outcome.status_code)
             : fmt::format("{}: {}, not stored", task.request.url, outcome.error_code);
}

std::string record_of(const Task& task, const RunOptions& options) {
  if (options.layout == "raw") return {};
  return git::record_path(task.request.stream, task.request.position, task.request.id);
}

std::vector<observe::StreamView> SlowStreams::look(const Engine& engine) {
  constexpr std::size_t kTasks = 256;  // among which the streams are looked for
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return found_;
  next_ = now + std::chrono::seconds{1};
  found_.clear();
  std::set<std::string> seen;
  for (Overdue& task : engine.overdue(std::chrono::milliseconds{0}, kTasks)) {
    if (found_.size() >= observe::kStreamsShown) break;
    if (!seen.insert(task.stream).second) continue;
    found_.push_back({std::move(task.stream), std::move(task.id), std::string(name_of(task.place)), task.age});
  }
  return found_;
}

}  // namespace pawl::tool
