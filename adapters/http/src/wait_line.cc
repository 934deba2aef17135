#include "wait_line.h"

#include <algorithm>
#include <utility>

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
  call.age = ++entered_;
  call.served_before = lane.gate.served();
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
  if (lane.in_turn) drop_turn(lane);
  last_lane_ = nullptr;
  host.lanes.erase(host.lanes.find(lane.model));
  --lane_count_;
  if (!host.lanes.empty()) return;
  sleepers_.cancel(host.sleeper);
  if (host.ready) drop_ready(host);
  last_host_ = nullptr;
  hosts_.erase(hosts_.find(host.origin));
}

WaitLine::Time WaitLine::host_opens_at(const Host& host, Time now) const noexcept {
  if (host.breaker.state() != BreakerState::closed) return host.breaker.opens_at(now);
  const unsigned cold_max = host.nameless ? std::min(kLookUpsMax, host_max_) : 1;
  return host.active < (host.warm ? host_max_ : cold_max) ? now : LaneGate::kWhenOneEnds;
}

bool WaitLine::may_start(const Lane& lane, const Call& call, Time now) const noexcept {
  return host_opens_at(lane.host, now) <= now && lane.gate.opens_at(lane.active, call.tokens, now) <= now;
}

void WaitLine::start(Call& call, Time now) {
  ++call.lane->active;
  ++call.host->active;
  call.let_in = now;
  call.number = call.lane->gate.started(call.tokens, now);
  call.lane->last_number = call.number;
  call.served_at_start = call.lane->gate.served();
  call.probe = call.host->breaker.started();
  if (call.tried) {
    call.host->budget.started(RetryBudget::Kind::retry, now);
  } else {
    call.host->budget.started(RetryBudget::Kind::first, now);
  }
}

/// It is no longer active, whatever became of it.
void WaitLine::take_off(Call& call) noexcept {
  Lane& lane = *call.lane;
  --lane.active;
  --call.host->active;
  if (!call.on_wire) return;
  call.on_wire = false;
  --lane.on_wire;
  if (call.number <= lane.refused_number && lane.taken_on > 0) --lane.taken_on;
}

Call* WaitLine::next(Time now) {
  ++asked_;
  while (true) {
    Call* call = first_ready_ == nullptr ? nullptr : next_in_turn(now);
    if (call == nullptr) {
      call = again_.empty() ? fresh_.pop() : again_.pop();
      if (call == nullptr) return nullptr;
      Lane& lane = *call->lane;
      Host& host = *call->host;
      if (call->tried && (!host.retries.empty() || !host.budget.allows_retry(now))) {
        host.retries.push(*call);
        wake_by(host.sleeper, RetryBudget::ask_again_at(now));
        serve(host, now);
        continue;
      }
      if (lane.waits() || !may_start(lane, *call, now)) {
        park(*call, now);
        continue;
      }
      start(*call, now);
    }
    --size_;
    return call;
  }
}

/// The next call of those that stepped aside and may leave by now, or nullptr.
Call* WaitLine::next_in_turn(Time now) {
  while (first_ready_ != nullptr) {
    Host& host = *pop_ready();
    Call* const call = take_turn(host, now);
    if (call == nullptr) continue;
    if (host.first_turn != nullptr) push_ready(host);
    return call;
  }
  return nullptr;
}

void WaitLine::park(Call& call, Time now) {
  set_aside(call);
  offer(*call.lane, now);
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

/// Makes the lane take turns at its host, or lets it sleep: whatever holds it back.
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

/// Makes the host take turns if it has a call that may leave, or lets it sleep.
void WaitLine::serve(Host& host, Time now) {
  if (host.ready || (host.first_turn == nullptr && host.retries.empty())) return;
  const Time at = host_opens_at(host, now);
  if (at <= now) {
    if (host.first_turn != nullptr) push_ready(host);
    return;
  }
  if (at != LaneGate::kWhenOneEnds) wake_by(host.sleeper, at);
}

/// Lets one call of the host in, if one may leave.
Call* WaitLine::take_turn(Host& host, Time now) {
  while (host.first_turn != nullptr) {
    const Time at = host_opens_at(host, now);
    if (at > now) {
      if (at != LaneGate::kWhenOneEnds) wake_by(host.sleeper, at);
      return nullptr;
    }
    Lane& lane = *pop_turn(host);
    Call* const call = lane.waits() ? head_of(lane) : nullptr;
    if (call == nullptr) continue;
    const Time lane_at = lane.gate.opens_at(lane.active, call->tokens, now);
    if (lane_at > now) {
      if (lane_at != LaneGate::kWhenOneEnds) wake_by(lane.sleeper, lane_at);
      continue;
    }
    static_cast<void>(call == lane.tried.first() ? lane.tried.pop() : lane.parked.pop());
    start(*call, now);
    if (lane.waits()) push_turn(lane);
    return call;
  }
  return nullptr;
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
    auto left = host.budget.retries_left(now);
    // Whether a host that is down is back must be asked by somebody.
    if (left == 0 && host.breaker.state() != BreakerState::closed && host.first_turn == nullptr) left = 1;
    for (; left > 0 && !host.retries.empty(); --left) park(*host.retries.pop(), now);
    if (!host.retries.empty()) wake_by(host.sleeper, RetryBudget::ask_again_at(now));
    serve(host, now);
  }
}

bool WaitLine::recalls(const Call& call, Time now) const noexcept {
  return !call.probe && (call.host->breaker.state() != BreakerState::closed || call.lane->gate.paused(now));
}

bool WaitLine::late(const Call& call, Time now) noexcept {
  return call.lane->gate.paces() && now - call.let_in > kPaceSlack;
}

/// Undoes start().
void WaitLine::step_back(Call& call, Time now) {
  take_off(call);
  call.lane->gate.withdrawn(call.tokens, now);
  if (call.probe) call.host->breaker.probe_lost();
  call.probe = false;
  ++size_;
  call.lane->tried.push(call);
  offer(*call.lane, now);
  serve(*call.host, now);
}

void WaitLine::end(Call& call, Time now) {
  take_off(call);
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
  Lane& lane = *call.lane;
  // Calls that end together were in flight together: nobody could take their places meanwhile.
  if (std::exchange(lane.ends_seen_at, asked_) != asked_) lane.active_together = lane.active;
  lesson.active = lane.active_together;
  lesson.tokens_taken = call.tokens;
  lesson.served_before = call.served_before;
  lesson.refusals = call.refusals;
  take_off(call);
  lesson.taken_on = lane.taken_on;
  const bool paused_before = lane.gate.paused_until() > now;
  end.counts = lane.gate.ended(lesson, now);
  if (!paused_before && lane.gate.paused_until() > now)
    end.paused = std::chrono::ceil<std::chrono::milliseconds>(lane.gate.paused_until() - now);
  end.change = learn(call, lesson, random, now);
  const bool refused = lesson.verdict == Verdict::refused;
  if (refused && call.number > lane.refused_number) {
    lane.refused_number = lane.last_number;
    lane.taken_on = lane.on_wire;
  }
  call.refusals = refused && end.counts == LaneGate::Counts::no ? call.refusals + 1 : 0;
  call.served_before = call.served_at_start;
  if (stale) end.counts = LaneGate::Counts::no;
  if (end.change == Breaker::Change::closed) {
    for (auto& [model, one] : host.lanes) one->gate.start_gently();
  }
  call.tried = true;
  host.nameless = lesson.heard == Lesson::Heard::no_such_name;
  host.warm = !host.nameless && lesson.heard != Lesson::Heard::no_name_in_time;
  call.probe = false;
  offer(*call.lane, now);
  serve(host, now);
  return end;
}

void WaitLine::warm(Host& host, Time now) {
  if (host.warm) return;
  host.warm = true;
  host.nameless = false;
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

/// Takes one lane out of the ring. O(lanes in it): for lanes that are forgotten.
void WaitLine::drop_turn(Lane& lane) noexcept {
  Host& host = lane.host;
  Lane* const last = host.last_turn;
  for (bool more = true; more;) {
    Lane* const one = pop_turn(host);
    more = one != last;
    if (one != &lane) push_turn(*one);
  }
}

void WaitLine::push_ready(Host& host) noexcept {
  if (host.ready) return;
  host.after = nullptr;
  host.ready = true;
  (last_ready_ != nullptr ? last_ready_->after : first_ready_) = &host;
  last_ready_ = &host;
}

Host* WaitLine::pop_ready() noexcept {
  Host* const host = first_ready_;
  first_ready_ = host->after;
  if (first_ready_ == nullptr) last_ready_ = nullptr;
  host->after = nullptr;
  host->ready = false;
  return host;
}

/// Takes one host out of the list. O(hosts in it): for hosts that are forgotten.
void WaitLine::drop_ready(const Host& host) noexcept {
  Host* const last = last_ready_;
  for (bool more = true; more;) {
    Host* const one = pop_ready();
    more = one != last;
    if (one != &host) push_ready(*one);
  }
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
    stats.in_flight = lane->on_wire;
    stats.waiting = lane->calls - lane->on_wire;
    stats.limit = lane->gate.limit();
    stats.breaker = lane->host.breaker.state();
    const bool down = stats.breaker == BreakerState::open;
    const Time until = down ? std::max(lane->host.breaker.until(), lane->gate.quiet_until()) : lane->gate.quiet_until();
    if (until > now) stats.paused = std::chrono::ceil<std::chrono::milliseconds>(until - now);
  }
  return all;
}

}  // namespace pawl::http
