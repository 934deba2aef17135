// When a lane lets calls out, when an origin is held to be down, how many retries it gets.
#include <vector>

#include <gtest/gtest.h>

#include "breaker.h"
#include "due_heap.h"
#include "lane_gate.h"
#include "retry_budget.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Time = LaneGate::Time;

constexpr Time kBegin{seconds(1000)};
constexpr LaneRules kPlain{.parallel_max = 1000};

Quota quota(std::uint64_t remaining, milliseconds reset) {
  return {.limit = std::nullopt, .remaining = remaining, .reset = reset};
}

TEST(LaneGate, PausesUntilTheServersTimeAndBelievesTenMinutes) {
  LaneGate gate(kPlain);
  gate.started(0, kBegin);
  gate.ended({.verdict = Verdict::refused, .let_in = kBegin, .wait = seconds(5)}, kBegin + seconds(1));
  EXPECT_EQ(gate.opens_at(0, 0, kBegin + seconds(1)), kBegin + seconds(6));
  EXPECT_TRUE(gate.paused(kBegin + seconds(5)));
  EXPECT_FALSE(gate.paused(kBegin + seconds(6)));
  gate.ended({.verdict = Verdict::refused, .let_in = kBegin + seconds(7), .wait = seconds(3)}, kBegin + seconds(7));
  gate.ended({.verdict = Verdict::refused, .let_in = kBegin + seconds(7), .wait = seconds(1)}, kBegin + seconds(7));
  EXPECT_EQ(gate.opens_at(0, 0, kBegin + seconds(7)), kBegin + seconds(10));
  gate.ended({.verdict = Verdict::refused, .let_in = kBegin + seconds(8), .wait = std::chrono::hours(5)},
             kBegin + seconds(8));
  EXPECT_EQ(gate.opens_at(0, 0, kBegin + seconds(8)), kBegin + seconds(8) + kRetryAfterMax);
}

TEST(LaneGate, RefusalOfWhatWasOnItsWayIsOldNews) {
  LaneGate gate(kPlain);
  const Lesson first{.verdict = Verdict::refused, .let_in = kBegin, .active = 100, .wait = seconds(1)};
  EXPECT_EQ(gate.ended(first, kBegin + milliseconds(10)), LaneGate::Counts::yes);
  EXPECT_EQ(gate.ended(first, kBegin + milliseconds(20)), LaneGate::Counts::no);
  Lesson later = first;
  later.let_in = kBegin + seconds(2);
  EXPECT_EQ(gate.ended(later, kBegin + seconds(3)), LaneGate::Counts::yes);
}

TEST(LaneGate, RefusalWhileOthersAreServedIsFreeButNotForEver) {
  LaneGate gate(kPlain);
  Time now = kBegin;
  const auto refuse = [&](std::uint64_t served_before, unsigned refusals, unsigned taken_on = 0) {
    now += seconds(10);
    return gate.ended({.verdict = Verdict::refused,
                       .let_in = now,
                       .wait = seconds(1),
                       .served_before = served_before,
                       .taken_on = taken_on,
                       .refusals = refusals},
                      now);
  };
  EXPECT_EQ(refuse(0, 0), LaneGate::Counts::yes) << "nobody has been served";
  gate.ended({.verdict = Verdict::served}, now);
  EXPECT_EQ(gate.served(), 1u);
  EXPECT_EQ(refuse(0, 0), LaneGate::Counts::no);
  EXPECT_EQ(refuse(1, 1), LaneGate::Counts::yes) << "nobody since";
  EXPECT_EQ(refuse(1, 1, 3), LaneGate::Counts::no) << "but some are being served";
  EXPECT_EQ(refuse(0, LaneGate::kFreeRefusalsMax - 1), LaneGate::Counts::no);
  EXPECT_EQ(refuse(0, LaneGate::kFreeRefusalsMax), LaneGate::Counts::yes) << "it is refused for what it is";
  // Without a time from the server, those under way say nothing.
  now += seconds(10);
  EXPECT_EQ(gate.ended({.verdict = Verdict::refused, .let_in = now, .served_before = 1, .taken_on = 3}, now),
            LaneGate::Counts::yes);
}

TEST(LaneGate, RefusalWithoutATimeHalvesWhatIsInFlight) {
  LaneGate gate(kPlain);
  EXPECT_EQ(gate.limit(), 0u);
  gate.ended({.verdict = Verdict::refused, .let_in = kBegin, .active = 64}, kBegin + milliseconds(1));
  EXPECT_EQ(gate.limit(), 32u);
  EXPECT_EQ(gate.opens_at(32, 0, kBegin + milliseconds(1)), LaneGate::kWhenOneEnds);
  EXPECT_EQ(gate.opens_at(31, 0, kBegin + milliseconds(1)), kBegin + milliseconds(1));
  // One more for each round of answers.
  for (int i = 0; i < 32; ++i) gate.ended({.verdict = Verdict::served, .active = 32}, kBegin + seconds(1));
  EXPECT_EQ(gate.limit(), 32u);
  gate.ended({.verdict = Verdict::served, .active = 32}, kBegin + seconds(1));
  EXPECT_EQ(gate.limit(), 33u);
}

TEST(LaneGate, DoublesUpToHalfOfWhatWasRefused) {
  LaneGate gate(kPlain);
  gate.ended({.verdict = Verdict::refused, .let_in = kBegin, .active = 32, .wait = seconds(1)},
             kBegin + milliseconds(1));
  std::vector<unsigned> limits;
  for (int round = 0; round < 5; ++round) {
    limits.push_back(gate.limit());
    for (unsigned i = limits.back(); i > 0; --i)
      gate.ended({.verdict = Verdict::served, .active = limits.back()}, kBegin);
  }
  EXPECT_EQ(limits, (std::vector<unsigned>{2, 4, 8, 16, 16}));
}

TEST(LaneGate, LetsOutWhatRemainsAndNotWhatWasAlreadyOnItsWay) {
  LaneGate gate(kPlain);
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < 4; ++i) numbers.push_back(gate.started(0, kBegin));
  // The server had 5 left when it counted the first; three more have left since.
  gate.ended({.verdict = Verdict::served, .number = numbers[0], .active = 4, .requests = quota(5, seconds(10))},
             kBegin);
  EXPECT_EQ(gate.opens_at(3, 0, kBegin), kBegin);
  gate.started(0, kBegin);
  gate.started(0, kBegin);
  EXPECT_EQ(gate.opens_at(5, 0, kBegin), kBegin + seconds(10));
  // An older answer that comes late does not change that, a newer one does.
  gate.ended({.verdict = Verdict::served, .number = 0, .requests = quota(100, seconds(10))}, kBegin);
  EXPECT_EQ(gate.opens_at(4, 0, kBegin), kBegin + seconds(10));
  gate.ended({.verdict = Verdict::served, .number = numbers[3], .requests = quota(100, seconds(10))}, kBegin);
  EXPECT_EQ(gate.opens_at(4, 0, kBegin), kBegin);
}

TEST(LaneGate, AfterTheResetOneLimitsWorthMayLeaveUntilTheServerSaysMore) {
  LaneGate gate(kPlain);
  const auto number = gate.started(0, kBegin);
  Quota known = quota(0, seconds(2));
  known.limit = 3;
  gate.ended({.verdict = Verdict::served, .number = number, .requests = known}, kBegin);
  EXPECT_EQ(gate.opens_at(0, 0, kBegin), kBegin + seconds(2));
  EXPECT_EQ(gate.quiet_until(), kBegin + seconds(2));
  const Time later = kBegin + seconds(2);
  for (unsigned i = 0; i < 3; ++i) {
    EXPECT_EQ(gate.opens_at(i, 0, later), later);
    gate.started(0, later);
  }
  EXPECT_EQ(gate.opens_at(3, 0, later), LaneGate::kWhenOneEnds);
  EXPECT_EQ(gate.opens_at(0, 0, later), later);  // nobody is there to say more
  gate.ended({.verdict = Verdict::served, .number = number + 1}, later);
  EXPECT_EQ(gate.opens_at(2, 0, later), later);  // the server speaks of no limits any more
}

TEST(LaneGate, NoTokensRemainingIsAPause) {
  LaneGate gate(kPlain);
  gate.ended({.verdict = Verdict::served, .tokens = quota(0, seconds(4))}, kBegin);
  EXPECT_EQ(gate.opens_at(0, 0, kBegin), kBegin + seconds(4));
  EXPECT_EQ(gate.limit(), 0u);  // nobody was refused: no slow start
}

TEST(LaneGate, KeepsRatesOfCallsAndTokens) {
  LaneGate gate({.rate = {.count = 2, .per = seconds(1), .burst = 1},
                 .rate_tokens = {.count = 100, .per = seconds(1), .burst = 100},
                 .parallel_max = 10});
  gate.started(90, kBegin);
  EXPECT_EQ(gate.opens_at(1, 10, kBegin), kBegin + milliseconds(500));
  EXPECT_EQ(gate.opens_at(1, 100, kBegin), kBegin + milliseconds(900));
  gate.ended({.verdict = Verdict::served, .tokens_taken = 90, .tokens_used = 190}, kBegin);
  EXPECT_EQ(gate.opens_at(0, 10, kBegin), kBegin + seconds(1));
  gate.withdrawn(0, kBegin);
  EXPECT_EQ(gate.opens_at(0, 0, kBegin), kBegin + milliseconds(900));  // tokens are owed until then
}

TEST(LaneGate, StartsGentlyWhenItsHostIsBack) {
  LaneGate gate(kPlain);
  gate.start_gently();
  EXPECT_EQ(gate.limit(), LaneGate::kGentleStart);
  for (int i = 0; i < 2000; ++i) gate.ended({.verdict = Verdict::served, .active = 1000}, kBegin);
  EXPECT_EQ(gate.limit(), 0u);  // as many as there are places
}

constexpr Breaker::Policy kBreaker{.failures_max = 3, .delay = seconds(1), .delay_max = seconds(8)};
using Role = Breaker::Role;
using BreakerVerdict = Breaker::Verdict;

TEST(Breaker, OpensAfterFailuresInARowOnly) {
  Breaker breaker;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0, kBegin), Breaker::Change::none);
    EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0, kBegin), Breaker::Change::none);
    EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::good, Role::ordinary, 0, kBegin), Breaker::Change::none);
  }
  for (int i = 0; i < 2; ++i) breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0, kBegin);
  EXPECT_EQ(breaker.opens_at(kBegin), kBegin);
  EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0, kBegin), Breaker::Change::opened);
  EXPECT_EQ(breaker.state(), BreakerState::open);
  EXPECT_EQ(breaker.opens_at(kBegin), kBegin + seconds(1));
}

Breaker opened() {
  Breaker breaker;
  for (int i = 0; i < 3; ++i) breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0, kBegin);
  return breaker;
}

TEST(Breaker, AsksLaterAndLaterUpToItsBound) {
  Breaker breaker = opened();
  Time now = kBegin;
  std::vector<seconds> waits;
  for (int i = 0; i < 6; ++i) {
    const Time next = breaker.opens_at(now);
    waits.push_back(std::chrono::floor<seconds>(next - now));
    now = next;
    EXPECT_TRUE(breaker.started());
    EXPECT_EQ(breaker.state(), BreakerState::half_open);
    EXPECT_EQ(breaker.opens_at(now), Time::max());  // one at a time
    EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::bad, Role::probe, 0, now), Breaker::Change::reopened);
  }
  EXPECT_EQ(waits, (std::vector<seconds>{seconds(1), seconds(2), seconds(4), seconds(8), seconds(8), seconds(8)}));
  EXPECT_EQ(breaker.down_since(), kBegin);
  const Time next = breaker.opens_at(now);
  breaker.started();
  EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::good, Role::probe, 0, next), Breaker::Change::closed);
  EXPECT_EQ(breaker.opens_at(next), next);
}

TEST(Breaker, LateFailuresOfOthersChangeNothingAndAnySuccessCloses) {
  Breaker breaker = opened();
  EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0, kBegin), Breaker::Change::none);
  breaker.started();
  EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0, kBegin), Breaker::Change::none);
  EXPECT_EQ(breaker.state(), BreakerState::half_open);
  EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::neither, Role::probe, 0, kBegin), Breaker::Change::none);
  EXPECT_EQ(breaker.state(), BreakerState::open);  // another may ask
  EXPECT_EQ(breaker.ended(kBreaker, BreakerVerdict::good, Role::ordinary, 0, kBegin), Breaker::Change::closed);
}

TEST(Breaker, SpreadsItsProbesAndCanBeSwitchedOff) {
  Breaker breaker;
  for (int i = 0; i < 3; ++i) breaker.ended(kBreaker, BreakerVerdict::bad, Role::ordinary, 0.5, kBegin);
  EXPECT_EQ(breaker.until(), kBegin + milliseconds(875));
  Breaker never;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(never.ended({}, BreakerVerdict::bad, Role::ordinary, 0, kBegin), Breaker::Change::none);
  }
}

using Kind = RetryBudget::Kind;
using Ended = RetryBudget::Ended;

TEST(RetryBudget, LimitsRetriesToAShareOfCallsOnlyWhileMostFail) {
  RetryBudget budget(0.1);
  for (int i = 0; i < 1000; ++i) budget.started(Kind::first, kBegin);
  for (int i = 0; i < 499; ++i) budget.ended(Ended::failed, kBegin);
  for (int i = 0; i < 501; ++i) budget.ended(Ended::well, kBegin);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(budget.allows_retry(kBegin));
    budget.started(Kind::retry, kBegin);
  }
  RetryBudget failing(0.1);
  int allowed = 0;
  for (int i = 0; i < 1000; ++i) {
    failing.started(Kind::first, kBegin);
    failing.ended(Ended::failed, kBegin);
  }
  while (failing.allows_retry(kBegin)) {
    failing.started(Kind::retry, kBegin);
    failing.ended(Ended::failed, kBegin);
    ++allowed;
  }
  EXPECT_GE(allowed, 100);
  EXPECT_LE(allowed, 112);
}

TEST(RetryBudget, SingleCallsAlwaysRetryAndTheWindowMovesOn) {
  RetryBudget budget(0.1);
  Time now = kBegin;
  budget.started(Kind::first, now);
  budget.ended(Ended::failed, now);
  for (std::uint64_t i = 0; i < RetryBudget::kRetriesLeast; ++i) {
    EXPECT_TRUE(budget.allows_retry(now));
    budget.started(Kind::retry, now);
    budget.ended(Ended::failed, now);
  }
  EXPECT_FALSE(budget.allows_retry(now));
  for (int i = 0; i < 9; ++i) {
    now = RetryBudget::ask_again_at(now);
    EXPECT_FALSE(budget.allows_retry(now)) << i;
  }
  EXPECT_TRUE(budget.allows_retry(RetryBudget::ask_again_at(now)));
  EXPECT_GT(RetryBudget::ask_again_at(now), now);
}

struct Item : DueEntry {};

TEST(DueHeap, MovesAndTakesOutAndGivesInOrder) {
  DueHeap<Item> heap;
  std::vector<Item> items(50);
  for (std::size_t i = 0; i < items.size(); ++i) heap.set(items[i], kBegin + seconds((i * 37) % 50));
  heap.set(items[0], kBegin + seconds(100));
  for (std::size_t i = 1; i < items.size(); i += 2) heap.cancel(items[i]);
  EXPECT_EQ(heap.size(), 25u);
  Time last{};
  Item* item = nullptr;
  while ((item = heap.pop(kBegin + seconds(99))) != nullptr) {
    EXPECT_GE(item->due, last);
    EXPECT_EQ((item - items.data()) % 2, 0);
    last = item->due;
  }
  EXPECT_EQ(heap.next_due(), kBegin + seconds(100));
  EXPECT_EQ(heap.pop(kBegin + seconds(100)), items.data());
  EXPECT_EQ(heap.next_due(), std::nullopt);
}

}  // namespace
}  // namespace pawl::http
