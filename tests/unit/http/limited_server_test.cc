// Calls of a server that admits so many a second, with a driven clock: what is refused, and what becomes of it.
#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "rate_bucket.h"
#include "retry.h"
#include "retry_queue.h"
#include "wait_line.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A server that admits so many calls a second, answers them after a while, and refuses others at once with the time
/// until it admits the next; and a stage that calls it. Time is driven.
class LimitedServer {
 public:
  struct Run {
    unsigned most_tries = 0;
    unsigned refusals = 0;
    seconds lasted{0};
    bool all_served = false;
  };
  LimitedServer(double rate_per_s, milliseconds latency) : bucket_({.count = rate_per_s}), latency_(latency) {}

  /// Of one lane, with so many places on the wire. Back-offs as by `policy`.
  Run serve(WaitLine& line, std::deque<Call>& calls, std::size_t places, const RetryPolicy& policy,
            WaitLine::Time now) {
    Run run;
    const WaitLine::Time begin = now;
    double random = 0;
    std::size_t answered = 0;
    for (auto& one : calls) line.push(one);
    RetryQueue<Call*> answers, back_offs;
    std::set<const Call*> taken;
    const auto tell = [&](Call& call, const Lesson& lesson, int status) {
      random = random >= 0.9 ? 0 : random + 0.1;
      const auto end = line.end(call, lesson, random, now);
      if (status == 200) return static_cast<void>(++answered);
      ++run.refusals;
      const bool counts = end.counts == LaneGate::Counts::yes;
      if (counts) ++call.tries;
      run.most_tries = std::max(run.most_tries, call.tries);
      const Attempt attempt{
          .number = call.tries, .status = 429, .retry_after = lesson.wait, .free = !counts, .refusals = call.refusals};
      const auto delay = retry_delay(policy, attempt, random);
      if (!delay) return;
      if (waits_for_lane(attempt)) return line.push_again(call);
      back_offs.push(now + *delay, &call);
    };
    while (answered < calls.size()) {
      line.wake(now);
      while (auto due = back_offs.pop(now)) line.push_again(**due);
      while (taken.size() < places) {
        Call* const call = line.next(now);
        if (call == nullptr) break;
        WaitLine::begins(*call);
        taken.insert(call);
        if (bucket_.ready_at(1, now) <= now) {
          bucket_.take(1, now);
          answers.push(now + latency_, call);
        } else {
          answers.push(now + milliseconds(1), call);
          refused_[call] = std::chrono::ceil<milliseconds>(bucket_.ready_at(1, now) - now);
        }
      }
      std::optional<WaitLine::Time> next;
      for (const auto due : {answers.next_due(), back_offs.next_due(), line.next_due()})
        if (due) next = std::min(next.value_or(*due), *due);
      if (!next) return run;
      now = std::max(now, *next);
      while (auto ended = answers.pop(now)) {
        Call& call = **ended;
        taken.erase(&call);
        const auto found = refused_.find(&call);
        if (found == refused_.end()) {
          tell(call, {.verdict = Verdict::served}, 200);
          continue;
        }
        const Lesson lesson{.verdict = Verdict::refused, .wait = found->second};
        refused_.erase(found);
        tell(call, lesson, 429);
      }
    }
    run.all_served = true;
    run.lasted = std::chrono::ceil<seconds>(now - begin);
    return run;
  }

 private:
  RateBucket bucket_;
  milliseconds latency_;
  std::map<const Call*, milliseconds> refused_;
};

LimitedServer::Run run_against(double rate_per_s, milliseconds latency, int count, unsigned retry_max) {
  WaitLine line({.host_max = 0, .lane = {.parallel_max = 256}, .breaker = {}, .retry_share = 0.1});
  constexpr WaitLine::Time kNow{seconds(1000)};
  std::deque<Call> calls;
  for (int i = 0; i < count; ++i) line.enter(calls.emplace_back(), "api", {});
  line.warm(*calls.front().host, kNow);
  const RetryPolicy policy{retry_max, seconds(1), seconds(60), milliseconds(0)};
  return LimitedServer(rate_per_s, latency).serve(line, calls, 256, policy, kNow);
}

TEST(LimitedServer, CallsOfASlowServerAreRefusedOftenAndNoneIsGivenUp) {
  const auto quick = run_against(40, milliseconds(20), 800, 5);
  EXPECT_TRUE(quick.all_served);
  EXPECT_LE(quick.most_tries, 1u);
  EXPECT_LE(quick.lasted, seconds(20)) << "as long as its rate demands, 800 / 40 s";
  EXPECT_LE(quick.refusals, 1200u) << "the first, and one for each call that is served";
}

TEST(LimitedServer, OneRetryIsEnough) {
  const auto few = run_against(20, milliseconds(20), 60, 1);
  EXPECT_TRUE(few.all_served);
  EXPECT_LE(few.lasted, seconds(3));
}

// Answers take ten times as long as what the server asks to wait for: those under way show that it serves.
TEST(LimitedServer, ServerThatTakesItsTimeIsNotHeldToServeNobody) {
  const auto slow = run_against(4, seconds(3), 60, 1);
  EXPECT_TRUE(slow.all_served);
  EXPECT_LE(slow.most_tries, 1u);
}

}  // namespace
}  // namespace pawl::http
