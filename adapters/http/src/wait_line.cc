#include "wait_line.h"

#include <algorithm>

namespace pawl::http {

WaitLine::WaitLine(const LineRules& rules) noexcept
    : host_max_(rules.host_max == 0 ? std::numeric_limits<unsigned>::max() : rules.host_max), rules_(rules) {}

void WaitLine::enter(Call& call, const std::string& origin, std::string_view model) {
  if (last_host_ == nullptr || last_host_->origin != origin) {
    auto& host = hosts_[origin];
    if (host == nullptr) host = std::make_unique<Host>(origin, rules_.retry_share);
    last_host_ = host.get();
    last_lane_ = nullptr;
  }
  Host& host = *last_host_;
  if (last_lane_ == nullptr || last_lane_->model != model) {
    auto found = host.lanes.find(model);
    if (found == host.lanes.end()) {
      found = host.lanes.emplace(std::string(model), std::make_unique<Lane>(host, model, rules_.lane)).first;
      ++lane_count_;
      set_idle(*found->second);
    }
    last_lane_ = found->second.get();
  }
  Lane& lane = *last_lane_;
  if (lane.calls++ == 0) set_used(lane);
  call.host = &host;
  call.lane = &lane;
}

void WaitLine::leave(Call& call) {
  Lane& lane = *call.lane;
  if (--lane.calls > 0) return;
  set_idle(lane);
  if (idle_count_ > kIdleLanesMax) forget_oldest();
}

void WaitLine::set_idle(Lane& lane) noexcept {
  lane.newer = nullptr;
  lane.older = newest_idle_;
  (newest_idle_ != nullptr ? newest_idle_->newer : oldest_idle_) = &lane;
  newest_idle_ = &lane;
  ++idle_count_;
}

void WaitLine::set_used(Lane& lane) noexcept {
  (lane.newer != nullptr ? lane.newer->older : newest_idle_) = lane.older;
  (lane.older != nullptr ? lane.older->newer : oldest_idle_) = lane.newer;
  --idle_count_;
}

void WaitLine::forget_oldest() {
  Lane& lane = *oldest_idle_;
  Host& host = lane.host;
  set_used(lane);
  sleepers_.cancel(lane.sleeper);
  if (lane.in_turn) drop_turns(host);
  last_lane_ = nullptr;
  host.lanes.erase(host.lanes.find(lane.model));
  --lane_count_;
  if (!host.lanes.empty()) return;
  sleepers_.cancel(host.sleeper);
  last_host_ = nullptr;
  hosts_.erase(hosts_.find(host.origin));
}

WaitLine::Time WaitLine::host_opens_at(const Host& host, Time now) const noexcept {
  if (host.breaker.state() != BreakerState::closed) return host.breaker.opens_at(now);
  return host.active < (host.warm ? host_max_ : 1) ? now : LaneGate::kWhenOneEnds;
}

bool WaitLine::may_start(const Lane& lane, const Call& call, Time now) const noexcept {
  return host_opens_at(lane.host, now) <= now && lane.gate.opens_at(lane.active, call.tokens, now) <= now;
}

void WaitLine::start(Call& call, Time now) {
  ++call.lane->active;
  ++call.host->active;
  call.let_in = now;
  call.number = call.lane->gate.started(call.tokens, now);
  call.probe = call.host->breaker.started();
  if (call.tried) {
    call.host->budget.started(RetryBudget::Kind::retry, now);
  } else {
    call.host->budget.started(RetryBudget::Kind::first, now);
  }
}

/// Undoes start().
void WaitLine::withdraw(Call& call, Time now) {
  --call.lane->active;
  --call.host->active;
  call.lane->gate.withdrawn(call.tokens, now);
  if (call.probe) call.host->breaker.probe_lost();
  call.probe = false;
}

Call* WaitLine::next(Time now) {
  Call* call = resumed_.pop();
  while (call == nullptr) {
    call = again_.empty() ? fresh_.pop() : again_.pop();
    if (call == nullptr) return nullptr;
    Lane& lane = *call->lane;
    Host& host = *call->host;
    if (call->tried && (!host.retries.empty() || !host.budget.allows_retry(now))) {
      host.retries.push(*call);
      wake_by(host.sleeper, RetryBudget::ask_again_at(now));
      call = nullptr;
    } else if (!lane.waits() && may_start(lane, *call, now)) {
      start(*call, now);
    } else {
      park(*call, now);
      call = nullptr;
    }
  }
  --size_;
  return call;
}

void WaitLine::park(Call& call, Time now) {
  Lane& lane = *call.lane;
  (call.tried ? lane.tried : lane.parked).push(call);
  offer(lane, now);
}

/// The call of the lane whose turn is next. Whether a host is back is asked with a new call and with one that was tried
/// by turns: what failed before may fail for a reason of its own, and a server may fail each call once.
Call* WaitLine::head_of(Lane& lane) const noexcept {
  const bool ask_with_new = lane.host.breaker.trips() % 2 == 1;
  Call* const tried = lane.tried.first();
  Call* const parked = lane.parked.first();
  if (tried == nullptr || (ask_with_new && parked != nullptr)) return parked;
  return tried;
}

/// Lets the lane's calls in, makes it take turns at its host, or lets it sleep: whatever holds it back.
void WaitLine::offer(Lane& lane, Time now) {
  if (!lane.waits() || lane.in_turn) return;
  const Time at = lane.gate.opens_at(lane.active, head_of(lane)->tokens, now);
  if (at > now) {
    if (at != LaneGate::kWhenOneEnds) wake_by(lane.sleeper, at);
    return;
  }
  push_turn(lane);
  serve(lane.host, now);
}

/// Lets in, in turns, what the host has room for.
void WaitLine::serve(Host& host, Time now) {
  while (host.first_turn != nullptr) {
    const Time at = host_opens_at(host, now);
    if (at > now) {
      if (at != LaneGate::kWhenOneEnds) wake_by(host.sleeper, at);
      return;
    }
    Lane& lane = *pop_turn(host);
    Call* const call = lane.waits() ? head_of(lane) : nullptr;
    if (call == nullptr) continue;
    const Time lane_at = lane.gate.opens_at(lane.active, call->tokens, now);
    if (lane_at > now) {
      if (lane_at != LaneGate::kWhenOneEnds) wake_by(lane.sleeper, lane_at);
      continue;
    }
    static_cast<void>((call == lane.tried.first() ? lane.tried : lane.parked).pop());
    start(*call, now);
    resumed_.push(*call);
    if (lane.waits()) push_turn(lane);
  }
}

/// Being woken too early does no harm.
void WaitLine::wake_by(Sleeper& sleeper, Time at) {
  if (sleeper.place == DueEntry::kIdle || at < sleeper.due) sleepers_.set(sleeper, at);
}

void WaitLine::wake(Time now) {
  while (Sleeper* const sleeper = sleepers_.pop(now)) {
    if (sleeper->lane != nullptr) {
      offer(*sleeper->lane, now);
      continue;
    }
    Host& host = *sleeper->host;
    while (!host.retries.empty() && host.budget.allows_retry(now)) {
      Call* const call = host.retries.pop();
      Lane& lane = *call->lane;
      if (!lane.waits() && may_start(lane, *call, now)) {
        start(*call, now);
        resumed_.push(*call);
      } else {
        park(*call, now);
      }
    }
    if (!host.retries.empty()) wake_by(host.sleeper, RetryBudget::ask_again_at(now));
    serve(host, now);
  }
}

bool WaitLine::recalls(const Call& call, Time now) const noexcept {
  return !call.probe && (call.host->breaker.state() != BreakerState::closed || call.lane->gate.paused(now));
}

void WaitLine::step_back(Call& call, Time now) {
  withdraw(call, now);
  ++size_;
  park(call, now);
}

void WaitLine::end(Call& call, Time now) {
  --call.lane->active;
  --call.host->active;
  call.host->warm = true;
  if (call.probe) call.host->breaker.probe_lost();
  call.probe = false;
  offer(*call.lane, now);
  serve(*call.host, now);
}

Breaker::Change WaitLine::learn(Call& call, const Lesson& lesson, double random, Time now) {
  Host& host = *call.host;
  if (lesson.verdict == Verdict::nothing) {
    return host.breaker.ended(rules_.breaker, Breaker::Verdict::neither,
                              call.probe ? Breaker::Role::probe : Breaker::Role::ordinary, random, now);
  }
  const bool broken = lesson.verdict == Verdict::broken;
  if (!broken || lesson.heard == Lesson::Heard::answer) host.answered = true;
  if (lesson.heard == Lesson::Heard::no_such_name && !host.answered) return Breaker::Change::none;
  host.budget.ended(broken ? RetryBudget::Ended::failed : RetryBudget::Ended::well, now);
  return host.breaker.ended(rules_.breaker, broken ? Breaker::Verdict::bad : Breaker::Verdict::good,
                            call.probe ? Breaker::Role::probe : Breaker::Role::ordinary, random, now);
}

WaitLine::End WaitLine::end(Call& call, Lesson lesson, double random, Time now) {
  Host& host = *call.host;
  End end;
  // A failure of what was on its way when the host went down is old news.
  const bool stale = lesson.verdict == Verdict::broken && !call.probe && host.breaker.state() != BreakerState::closed &&
                     call.let_in <= host.breaker.down_since();
  lesson.let_in = call.let_in;
  lesson.number = call.number;
  lesson.active = call.lane->active;
  lesson.tokens_taken = call.tokens;
  end.counts = call.lane->gate.ended(lesson, now);
  end.change = learn(call, lesson, random, now);
  if (stale) end.counts = LaneGate::Counts::no;
  if (end.change == Breaker::Change::closed) {
    for (auto& [model, lane] : host.lanes) lane->gate.start_gently();
  }
  call.tried = true;
  --call.lane->active;
  --host.active;
  host.warm = true;
  call.probe = false;
  offer(*call.lane, now);
  serve(host, now);
  return end;
}

void WaitLine::warm(Host& host, Time now) {
  if (host.warm) return;
  host.warm = true;
  serve(host, now);
}

void WaitLine::take_waiting(Host& host, CallList& into) {
  drop_turns(host);
  while (Call* call = host.retries.pop()) into.push(*call);
  sleepers_.cancel(host.sleeper);
  for (auto& [model, lane] : host.lanes) {
    sleepers_.cancel(lane->sleeper);
    while (Call* call = lane->tried.pop()) into.push(*call);
    while (Call* call = lane->parked.pop()) into.push(*call);
  }
}

void WaitLine::push_turn(Lane& lane) noexcept {
  Host& host = lane.host;
  lane.turn = nullptr;
  lane.in_turn = true;
  (host.last_turn != nullptr ? host.last_turn->turn : host.first_turn) = &lane;
  host.last_turn = &lane;
}

Lane* WaitLine::pop_turn(Host& host) noexcept {
  Lane* const lane = host.first_turn;
  host.first_turn = lane->turn;
  if (host.first_turn == nullptr) host.last_turn = nullptr;
  lane->turn = nullptr;
  lane->in_turn = false;
  return lane;
}

void WaitLine::drop_turns(Host& host) noexcept {
  while (host.first_turn != nullptr) static_cast<void>(pop_turn(host));
}

void WaitLine::set_rules(const LineRules& rules, LaneGate::Rates rates, Time now) {
  rules_ = rules;
  for_each_host([&](Host& host) {
    for (auto& [model, lane] : host.lanes) {
      lane->gate.set_rules(rules.lane, rates, now);
      offer(*lane, now);
    }
  });
}

std::vector<LaneStats> WaitLine::lane_stats(std::size_t most, Time now) const {
  std::vector<const Lane*> busy, idle;
  for (const auto& [origin, host] : hosts_) {
    for (const auto& [model, lane] : host->lanes) {
      auto& list = lane->calls > 0 ? busy : idle;
      if (list.size() < most) list.push_back(lane.get());
    }
  }
  busy.insert(busy.end(), idle.begin(), idle.end());
  if (busy.size() > most) busy.resize(most);
  std::vector<LaneStats> all;
  for (const Lane* lane : busy) {
    LaneStats& stats = all.emplace_back();
    stats.origin = lane->host.origin;
    stats.model = lane->model;
    stats.in_flight = lane->active;
    stats.waiting = lane->calls - lane->active;
    stats.limit = lane->gate.limit();
    stats.breaker = lane->host.breaker.state();
    const bool down = stats.breaker == BreakerState::open;
    const Time until = down ? std::max(lane->host.breaker.until(), lane->gate.quiet_until()) : lane->gate.quiet_until();
    if (until > now) stats.paused = std::chrono::ceil<std::chrono::milliseconds>(until - now);
  }
  return all;
}

}  // namespace pawl::http
