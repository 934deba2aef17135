// Who is called next: first come, first served, but a task whose lane or host may not be called now steps aside and
// holds nobody up.
//
// A lane is one model (the `model` field of a request's body, if there is one) at one origin; what holds one lane back
// (rates, a server's limits, pauses: lane_gate.h) leaves the others alone. A host is an origin: its connections are
// bounded, it may be down (breaker.h), and retries have a budget (retry_budget.h); its lanes take turns. A host begins
// cold: one call at a time until a connection stands, a few while its name leads nowhere, so that a thousand calls do
// not start a thousand name look-ups.
//
// A call is let in when somebody takes it (next()) and not before: what it uses up of its lane's rate it uses up when
// it leaves, however long there was no place for it. Until then it waits in its lane, and hosts with lanes that could
// send a call take turns.
//
// Each call passes through at most two lists (the common one, its lane's own), so the cost is constant per call however
// many lanes are held back. Only calls that were tried are kept by age, in a heap: a lane that opens begins with the
// oldest, for whose sake others wait to be committed. Lanes that nobody uses are kept for what they know, up to a
// bound, and the longest idle is forgotten first. Not thread-safe; knows nothing of the network; the caller passes the
// time in.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <pawl/task.h>

#include "breaker.h"
#include "due_heap.h"
#include "lane_gate.h"
#include "retry.h"
#include "retry_budget.h"

namespace pawl::http {

struct Host;
struct Lane;

/// A task while the stage holds it.
struct Call {
  using Time = std::chrono::steady_clock::time_point;
  Task* task = nullptr;
  Host* host = nullptr;
  Lane* lane = nullptr;
  Call* link = nullptr;               // of the list it is in
  double tokens = 0;                  // expected of request and answer
  std::uint32_t tries = 0;            // attempts that count against retry_max
  bool tried = false;                 // it has been on the wire
  bool on_wire = false;               // it is
  bool probe = false;                 // it asks whether its host is back
  std::uint64_t number = 0;           // among the calls of its lane
  std::uint64_t age = 0;              // among all that entered: less is older
  std::uint32_t refusals = 0;         // in a row that used up no attempt
  std::uint64_t served_before = 0;    // calls of its lane, when the attempt before was let in, or when it entered
  std::uint64_t served_at_start = 0;  // when this attempt was
  Time let_in{};                      // when it left the line last
  Time begun{};                       // of the first attempt
  Attempt last{};                     // how the last attempt ended; `number` is 0 before
};

/// First in, first out, through Call::link.
class CallList {
 public:
  void push(Call& call) noexcept {
    call.link = nullptr;
    (tail_ != nullptr ? tail_->link : head_) = &call;
    tail_ = &call;
    ++size_;
  }
  Call* pop() noexcept {
    Call* call = head_;
    if (call == nullptr) return nullptr;
    head_ = call->link;
    if (head_ == nullptr) tail_ = nullptr;
    call->link = nullptr;
    --size_;
    return call;
  }
  [[nodiscard]] Call* first() const noexcept { return head_; }
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  Call* head_ = nullptr;
  Call* tail_ = nullptr;
  std::size_t size_ = 0;
};

/// Oldest first. O(log n).
class CallsByAge {
 public:
  void push(Call& call) {
    heap_.push_back(&call);
    std::push_heap(heap_.begin(), heap_.end(), younger);
  }
  Call* pop() noexcept {
    if (heap_.empty()) return nullptr;
    std::pop_heap(heap_.begin(), heap_.end(), younger);
    Call* const call = heap_.back();
    heap_.pop_back();
    return call;
  }
  [[nodiscard]] Call* first() const noexcept { return heap_.empty() ? nullptr : heap_.front(); }
  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }

 private:
  static bool younger(const Call* a, const Call* b) noexcept { return a->age > b->age; }
  std::vector<Call*> heap_;
};

/// A lane or a host that waits for a time.
struct Sleeper : DueEntry {
  Host* host = nullptr;  // one of the two
  Lane* lane = nullptr;
};

struct Lane {
  Lane(Host& of, std::string_view named, const LaneRules& rules) : host(of), model(named), gate(rules) {
    sleeper.lane = this;
  }
  Host& host;
  std::string model;        // as it is written in the body; empty: none
  std::uint64_t calls = 0;  // the stage holds for it
  unsigned active = 0;      // of them, those that left the line and have not ended
  unsigned on_wire = 0;     // of these, those that have begun
  CallsByAge tried;         // stepped aside after they had been let in or tried: these go first
  CallList parked;          // stepped aside, older than anyone in the common lists
  // What was let in before the lane learnt of the newest refusal, and is still on the wire: the server took it on.
  std::uint64_t last_number = 0;     // of the call let in last
  std::uint64_t refused_number = 0;  // the same when the lane learnt of the refusal
  unsigned taken_on = 0;
  unsigned active_together = 0;    // when the first of those ended that have ended since the line was asked last
  std::uint64_t ends_seen_at = 0;  // when that was, in WaitLine's asked_
  LaneGate gate;
  Sleeper sleeper;
  Lane* turn = nullptr;   // next in the host's ring
  bool in_turn = false;   // it is in the ring
  Lane* newer = nullptr;  // idle lanes, by when they were used last
  Lane* older = nullptr;
  [[nodiscard]] bool waits() const noexcept { return !tried.empty() || !parked.empty(); }
};

/// An origin: scheme, host and port.
struct Host {
  Host(std::string_view named, double retry_share) : origin(named), budget(retry_share) { sleeper.host = this; }
  std::string origin;     // "https://api.example.com:443"
  unsigned active = 0;    // calls that left the line and have not ended
  bool warm = false;      // a connection stood, or an attempt has ended, and not because the name leads nowhere
  bool nameless = false;  // the name was looked up last in vain
  bool answered = false;  // something came back once
  Breaker breaker;
  RetryBudget budget;
  CallList retries;  // have no budget yet
  Sleeper sleeper;
  Lane* first_turn = nullptr;  // lanes that have calls and could send them
  Lane* last_turn = nullptr;
  Host* after = nullptr;  // in the line's list of hosts that could send a call
  bool ready = false;     // it is in that list
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::unique_ptr<Lane>, Hash, std::equal_to<>> lanes;
};

struct LineRules {
  unsigned host_max = 0;  // calls at one host at a time; 0: no limit
  LaneRules lane{};
  Breaker::Policy breaker{};
  double retry_share = 1;
};

class WaitLine {
 public:
  using Time = Call::Time;

  /// Lanes remembered although nobody uses them.
  static constexpr std::size_t kIdleLanesMax = 4096;
  /// How long ago, at most, a call that leaves may have been let in where a rate is kept: its mark was synced
  /// meanwhile.
  static constexpr std::chrono::milliseconds kPaceSlack{100};
  /// Calls at a time at a host whose name was looked up in vain: each may start a look-up of its own.
  static constexpr unsigned kLookUpsMax = 4;

  explicit WaitLine(const LineRules& rules) noexcept;

  /// Gives the call a lane, valid until leave().
  void enter(Call& call, const std::string& origin, std::string_view model);
  /// The counterpart of enter().
  void leave(Call& call);

  /// A new call joins at the end.
  void push(Call& call) noexcept {
    ++size_;
    fresh_.push(call);
  }
  /// A call that has been tried before goes ahead of the new ones: its stream has waited longest.
  void push_again(Call& call) noexcept {
    ++size_;
    again_.push(call);
  }

  /// The next call that may begin, or nullptr. It counts as active until end() or step_back().
  Call* next(Time now);
  /// What let this call in holds no longer: it must step_back() instead of leaving.
  [[nodiscard]] bool recalls(const Call& call, Time now) const noexcept;
  /// It was let in so long ago that it would leave beside what its lane's rate allows by now: it must step_back(), too.
  [[nodiscard]] static bool late(const Call& call, Time now) noexcept;
  /// It goes on the wire, where it is until end().
  static void begins(Call& call) noexcept {
    call.on_wire = true;
    ++call.lane->on_wire;
  }
  /// A call that was let in does not leave yet. It waits at the head of its lane.
  void step_back(Call& call, Time now);

  struct End {
    LaneGate::Counts counts = LaneGate::Counts::yes;
    Breaker::Change change = Breaker::Change::none;
    std::chrono::milliseconds paused{0};  // the lane has begun a pause of that length; 0: it has not
  };
  /// An active call has ended, well or not; its lane, host and budget learn from it. `random` in [0, 1).
  End end(Call& call, Lesson lesson, double random, Time now);
  /// An active call was given up; nothing is learnt.
  void end(Call& call, Time now);
  /// A connection to that host stands.
  void warm(Host& host, Time now);
  /// Lets in what waited for a time that has come.
  void wake(Time now);
  [[nodiscard]] std::optional<Time> next_due() const noexcept { return sleepers_.next_due(); }

  /// For cancel: takes out every call there is. `give(Call&)` may leave().
  template <class Give>
  void drain(Give give) {
    CallList all;
    while (first_ready_ != nullptr) static_cast<void>(pop_ready());
    for_each_host([&](Host& host) { take_waiting(host, all); });
    while (Call* call = again_.pop()) all.push(*call);
    while (Call* call = fresh_.pop()) all.push(*call);
    size_ = 0;
    while (Call* call = all.pop()) give(*call);
  }
  /// Takes out the calls that a host has held back, for which `gives_up(Call&)` says so, and hands them to
  /// `give(Call&)`, which may leave().
  template <class GivesUp, class Give>
  void expire(Host& host, Time now, GivesUp gives_up, Give give) {
    CallList all, given;
    take_waiting(host, all);
    while (Call* call = all.pop()) {
      if (gives_up(*call)) {
        --size_;
        given.push(*call);
      } else {
        set_aside(*call);
      }
    }
    for (auto& [model, lane] : host.lanes) offer(*lane, now);
    while (Call* call = given.pop()) give(*call);
  }

  /// Other rules from now on, for lanes that are there and lanes to come. Breakers go on by theirs.
  void set_rules(const LineRules& rules, LaneGate::Rates rates, Time now);

  /// Most calls at one host at a time.
  [[nodiscard]] unsigned host_max() const noexcept { return host_max_; }
  /// Calls that wait, parked ones included.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// False: next() would surely answer nullptr. True: ask it.
  [[nodiscard]] bool ready() const noexcept { return first_ready_ != nullptr || !again_.empty() || !fresh_.empty(); }
  [[nodiscard]] std::size_t lane_count() const noexcept { return lane_count_; }
  /// Lanes with calls first, at most `most`.
  [[nodiscard]] std::vector<LaneStats> lane_stats(std::size_t most, Time now) const;

 private:
  template <class Visit>
  void for_each_host(Visit visit) {
    for (auto& [origin, host] : hosts_) visit(*host);
  }
  void take_waiting(Host& host, CallList& into);
  [[nodiscard]] Time host_opens_at(const Host& host, Time now) const noexcept;
  [[nodiscard]] bool may_start(const Lane& lane, const Call& call, Time now) const noexcept;
  void start(Call& call, Time now);
  void take_off(Call& call) noexcept;
  static void set_aside(Call& call) {
    if (call.tried) return call.lane->tried.push(call);
    call.lane->parked.push(call);
  }
  void park(Call& call, Time now);
  Call* next_in_turn(Time now);
  Call* take_turn(Host& host, Time now);
  void push_ready(Host& host) noexcept;
  Host* pop_ready() noexcept;
  void drop_ready(const Host& host) noexcept;
  void offer(Lane& lane, Time now);
  void serve(Host& host, Time now);
  void wake_by(Sleeper& sleeper, Time at);
  [[nodiscard]] Call* head_of(Lane& lane) const noexcept;
  void push_turn(Lane& lane) noexcept;
  Lane* pop_turn(Host& host) noexcept;
  void drop_turns(Host& host) noexcept;
  void drop_turn(Lane& lane) noexcept;
  Breaker::Change learn(Call& call, const Lesson& lesson, double random, Time now);
  void set_idle(Lane& lane) noexcept;
  void set_used(Lane& lane) noexcept;
  void forget_oldest();

  unsigned host_max_;
  LineRules rules_;
  std::uint64_t size_ = 0;
  std::uint64_t entered_ = 0;    // calls, ever
  std::uint64_t asked_ = 0;      // for a call, ever
  Host* first_ready_ = nullptr;  // hosts with a lane that could send a call, in turns
  Host* last_ready_ = nullptr;
  CallList again_;
  CallList fresh_;
  std::unordered_map<std::string, std::unique_ptr<Host>> hosts_;
  DueHeap<Sleeper> sleepers_;
  Host* last_host_ = nullptr;  // of the call that entered last: most tasks name the same
  Lane* last_lane_ = nullptr;
  Lane* newest_idle_ = nullptr;
  Lane* oldest_idle_ = nullptr;
  std::size_t idle_count_ = 0;
  std::size_t lane_count_ = 0;
};

}  // namespace pawl::http
