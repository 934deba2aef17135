#include "wait_line.h"

#include <deque>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Time = WaitLine::Time;

LineRules rules(unsigned host_max = 0) {
  return {.host_max = host_max, .lane = {.parallel_max = 1000}, .breaker = {}, .retry_share = 1};
}

Lesson served() { return {.verdict = Verdict::served}; }
Lesson broken() { return {.verdict = Verdict::broken, .heard = Lesson::Heard::no_answer}; }
Lesson refused(milliseconds wait) { return {.verdict = Verdict::refused, .wait = wait}; }

class WaitLineTest : public ::testing::Test {
 protected:
  Call& call(WaitLine& line, const std::string& origin, const std::string& model = {}) {
    Call& made = calls_.emplace_back();
    line.enter(made, origin, model);
    return made;
  }
  /// A call in the line of a host to which a connection stands.
  Call& pushed(WaitLine& line, const std::string& origin, const std::string& model = {}) {
    Call& made = call(line, origin, model);
    line.warm(*made.host, now_);
    line.push(made);
    return made;
  }
  std::vector<Call*> all_that_may_leave(WaitLine& line) {
    std::vector<Call*> all;
    while (Call* one = line.next(now_)) all.push_back(one);
    return all;
  }
  WaitLine::End end(WaitLine& line, Call& ended, const Lesson& lesson) { return line.end(ended, lesson, 0, now_); }

  std::deque<Call> calls_;
  Time now_{seconds(1000)};
};

TEST_F(WaitLineTest, KeepsOrderWhereNobodyIsFull) {
  WaitLine line(rules());
  Call& first = pushed(line, "a");
  Call& second = pushed(line, "a");
  EXPECT_EQ(line.size(), 2u);
  EXPECT_EQ(line.next(now_), &first);
  EXPECT_EQ(line.next(now_), &second);
  EXPECT_EQ(line.next(now_), nullptr);
  EXPECT_EQ(line.size(), 0u);
}

TEST_F(WaitLineTest, FullHostHoldsNobodyUp) {
  WaitLine line(rules(1));
  Call& busy = pushed(line, "slow");
  Call& parked = pushed(line, "slow");
  Call& other = pushed(line, "quick");
  EXPECT_EQ(line.next(now_), &busy);
  EXPECT_EQ(line.next(now_), &other);
  EXPECT_EQ(line.next(now_), nullptr);
  EXPECT_FALSE(line.ready());
  EXPECT_EQ(line.size(), 1u);
  end(line, busy, served());
  EXPECT_TRUE(line.ready());
  EXPECT_EQ(line.next(now_), &parked);
}

TEST_F(WaitLineTest, ColdHostGetsOneCallUntilAConnectionStands) {
  WaitLine line(rules(3));
  std::vector<Call*> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(&call(line, "a"));
    line.push(*all.back());
  }
  EXPECT_EQ(line.next(now_), all[0]);
  EXPECT_EQ(line.next(now_), nullptr);
  line.warm(*all[0]->host, now_);
  EXPECT_EQ(line.next(now_), all[1]);
  EXPECT_EQ(line.next(now_), all[2]);
  EXPECT_EQ(line.next(now_), nullptr);
  EXPECT_EQ(all[0]->host->active, 3u);
}

TEST_F(WaitLineTest, HostWhoseNameLeadsNowhereGetsFewCalls) {
  WaitLine line(rules());
  for (int i = 0; i < 100; ++i) line.push(call(line, "a"));
  std::vector<Call*> out = all_that_may_leave(line);
  ASSERT_EQ(out.size(), 1u);
  const auto ended = [&](Lesson::Heard heard) {
    end(line, *out.back(), {.verdict = Verdict::broken, .heard = heard});
    out.pop_back();
    for (Call* one : all_that_may_leave(line)) out.push_back(one);
    return out.size();
  };
  EXPECT_EQ(ended(Lesson::Heard::no_name_in_time), 1u) << "its look-up may still be under way";
  EXPECT_EQ(ended(Lesson::Heard::no_such_name), WaitLine::kLookUpsMax);
  EXPECT_EQ(ended(Lesson::Heard::no_such_name), WaitLine::kLookUpsMax);
  Call& given_up = *out.back();
  out.pop_back();
  line.end(given_up, now_);
  EXPECT_EQ(all_that_may_leave(line).size(), 1u) << "nothing was learnt of the host";
  EXPECT_GT(ended(Lesson::Heard::no_answer), 50u) << "there is an address";
}

TEST_F(WaitLineTest, TriedCallsGoAheadOfNewOnes) {
  WaitLine line(rules());
  Call& fresh = pushed(line, "a");
  Call& tried = call(line, "b");
  tried.tried = true;
  line.push_again(tried);
  EXPECT_EQ(line.next(now_), &tried);
  EXPECT_EQ(line.next(now_), &fresh);
}

TEST_F(WaitLineTest, DrainGivesEveryCallOnce) {
  WaitLine line(rules(2));
  Call& active = call(line, "a");
  line.push(active);
  ASSERT_EQ(line.next(now_), &active);
  for (int i = 0; i < 4; ++i) line.push(call(line, "a"));
  EXPECT_EQ(line.next(now_), nullptr);  // parks them
  line.warm(*active.host, now_);        // one of them is resumed
  line.push(call(line, "b"));
  line.push_again(call(line, "b"));
  std::vector<Call*> given;
  line.drain([&](Call& c) { given.push_back(&c); });
  EXPECT_EQ(given.size(), 6u);
  EXPECT_EQ(line.size(), 0u);
  EXPECT_FALSE(line.ready());
  EXPECT_EQ(line.next_due(), std::nullopt);
  EXPECT_EQ(active.host->active, 1u);
}

TEST_F(WaitLineTest, ForgetsTheLongestIdleLaneBeyondItsBound) {
  WaitLine line(rules());
  Call& kept = call(line, "host", "kept");
  for (std::size_t i = 0; i < 100'000; ++i) {
    Call one;
    line.enter(one, "host", "model-" + std::to_string(i));
    line.leave(one);
  }
  EXPECT_EQ(line.lane_count(), WaitLine::kIdleLanesMax + 1);
  Call again;
  line.enter(again, "host", "kept");
  EXPECT_EQ(again.lane, kept.lane);
  for (std::size_t i = 0; i < 100'000; ++i) {
    Call one;
    line.enter(one, "host-" + std::to_string(i), "");
    line.leave(one);
  }
  EXPECT_EQ(line.lane_count(), WaitLine::kIdleLanesMax + 1);
}

TEST_F(WaitLineTest, OneModelsRefusalHoldsItsOwnLaneAlone) {
  WaitLine line(rules());
  Call& limited = pushed(line, "api", "big");
  Call& behind = pushed(line, "api", "big");
  ASSERT_EQ(line.next(now_), &limited);
  ASSERT_EQ(line.next(now_), &behind);
  Call& later = pushed(line, "api", "big");
  Call& other = pushed(line, "api", "small");
  end(line, limited, refused(seconds(10)));
  EXPECT_EQ(line.next(now_), &other);
  EXPECT_EQ(line.next(now_), nullptr);
  EXPECT_EQ(line.next_due(), now_ + seconds(10));
  line.wake(now_ + seconds(9));
  EXPECT_FALSE(line.ready());
  line.wake(now_ + seconds(10));
  EXPECT_EQ(line.next(now_ + seconds(10)), &later);
}

TEST_F(WaitLineTest, RefusalsOfCallsOnTheirWayUseUpOneAttempt) {
  WaitLine line(rules());
  for (int i = 0; i < 500; ++i) pushed(line, "api", "m");
  const auto calls = all_that_may_leave(line);
  ASSERT_EQ(calls.size(), 500u);
  unsigned counted = 0;
  now_ += milliseconds(5);
  for (Call* one : calls) {
    if (end(line, *one, refused(seconds(1))).counts == LaneGate::Counts::yes) ++counted;
  }
  EXPECT_EQ(counted, 1u);
  for (Call* one : calls) line.push_again(*one);
  EXPECT_EQ(all_that_may_leave(line).size(), 0u);
  // The first round after the pause is small, and each answered one doubles it.
  now_ += seconds(1);
  std::vector<std::size_t> rounds;
  line.wake(now_);
  for (int round = 0; round < 6; ++round) {
    const auto some = all_that_may_leave(line);
    rounds.push_back(some.size());
    now_ += milliseconds(5);
    for (Call* one : some) end(line, *one, served());
  }
  EXPECT_EQ(rounds, (std::vector<std::size_t>{2, 4, 8, 16, 32, 64}));
}

TEST_F(WaitLineTest, LetInCallsAreRecalledByAPause) {
  WaitLine line(rules());
  Call& first = pushed(line, "api");
  Call& second = pushed(line, "api");
  ASSERT_EQ(all_that_may_leave(line).size(), 2u);
  EXPECT_FALSE(line.recalls(second, now_));
  end(line, first, refused(seconds(3)));
  EXPECT_TRUE(line.recalls(second, now_));
  line.step_back(second, now_);
  EXPECT_EQ(line.size(), 1u);
  EXPECT_EQ(line.next(now_), nullptr);
  line.wake(now_ + seconds(3));
  EXPECT_EQ(line.next(now_ + seconds(3)), &second);
}

TEST_F(WaitLineTest, RateOfOneLaneDoesNotSlowAnother) {
  LineRules paced = rules();
  paced.lane.rate = {.count = 10, .per = seconds(1), .burst = 1};
  WaitLine line(paced);
  for (int i = 0; i < 3; ++i) pushed(line, "api", "a");
  for (int i = 0; i < 3; ++i) pushed(line, "api", "b");
  EXPECT_EQ(all_that_may_leave(line).size(), 2u);
  EXPECT_EQ(line.next_due(), now_ + milliseconds(100));
  now_ += milliseconds(100);
  line.wake(now_);
  EXPECT_EQ(all_that_may_leave(line).size(), 2u);
}

// Places on the wire are taken for seconds: what the rate would have allowed meanwhile is not saved up beyond the
// burst.
TEST_F(WaitLineTest, RateHoldsForCallsThatWaitedForAPlace) {
  LineRules paced = rules();
  paced.lane.rate = {.count = 5, .per = seconds(1), .burst = 1};
  WaitLine line(paced);
  for (int i = 0; i < 100; ++i) pushed(line, "api", i % 2 == 0 ? "a" : "b");
  std::vector<Call*> on_wire = all_that_may_leave(line);
  ASSERT_EQ(on_wire.size(), 2u);
  for (int i = 0; i < 40; ++i) {
    now_ += milliseconds(200);
    line.wake(now_);
    if (i == 20) end(line, *on_wire[0], served());
  }
  end(line, *on_wire[1], served());
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(all_that_may_leave(line).size(), 2u) << "one of each lane";
    EXPECT_EQ(line.next_due(), now_ + milliseconds(200));
    now_ += milliseconds(200);
    line.wake(now_);
  }
}

// Marks that were a long time in coming let nobody leave beside the rate.
TEST_F(WaitLineTest, CallsThatWereLetInLongAgoAreTakenInAgain) {
  LineRules paced = rules();
  paced.lane.rate = {.count = 10, .per = seconds(1), .burst = 1};
  WaitLine line(paced);
  std::vector<Call*> let_in;
  for (int i = 0; i < 20; ++i) pushed(line, "api");
  for (int i = 0; i < 10; ++i) {
    for (Call* one : all_that_may_leave(line)) let_in.push_back(one);
    now_ += milliseconds(100);
    line.wake(now_);
  }
  ASSERT_EQ(let_in.size(), 10u);
  EXPECT_FALSE(WaitLine::late(*let_in.back(), now_));
  for (int i = 8; i >= 0; --i) {
    EXPECT_TRUE(WaitLine::late(*let_in[i], now_));
    line.step_back(*let_in[i], now_);
  }
  std::vector<Call*> left;
  for (int i = 0; i < 9; ++i) {
    const auto some = all_that_may_leave(line);
    EXPECT_EQ(some.size(), 1u);
    left.insert(left.end(), some.begin(), some.end());
    now_ += milliseconds(100);
    line.wake(now_);
  }
  let_in.pop_back();
  EXPECT_EQ(left, let_in) << "in their order";
  WaitLine free(rules());
  Call& any = pushed(free, "api");
  ASSERT_EQ(free.next(now_), &any);
  EXPECT_FALSE(WaitLine::late(any, now_ + seconds(10)));
}

TEST_F(WaitLineTest, RefusedCallsComeBackByAge) {
  WaitLine line(rules());
  for (int i = 0; i < 20; ++i) pushed(line, "api");
  const auto calls = all_that_may_leave(line);
  ASSERT_EQ(calls.size(), 20u);
  now_ += milliseconds(5);
  for (std::size_t i = 0; i < 20; ++i) {
    Call& one = *calls[(i * 7) % 20];
    end(line, one, refused(seconds(1)));
    line.push_again(one);
  }
  pushed(line, "api");
  EXPECT_EQ(line.next(now_), nullptr);
  now_ += seconds(1);
  line.wake(now_);
  std::vector<Call*> back;
  while (back.size() < 20) {
    const auto some = all_that_may_leave(line);
    ASSERT_FALSE(some.empty());
    for (Call* one : some) end(line, *one, served());
    back.insert(back.end(), some.begin(), some.end());
  }
  back.resize(20);
  EXPECT_EQ(back, calls);
}

TEST_F(WaitLineTest, LanesTellWhatIsOnTheWireAndNotWhatMayLeave) {
  WaitLine line(rules());
  for (int i = 0; i < 10; ++i) line.push(call(line, "api"));
  Call& first = *line.next(now_);
  WaitLine::begins(first);
  ASSERT_EQ(line.next(now_), nullptr) << "the host is cold";
  line.warm(*first.host, now_);
  const auto told = [&] { return line.lane_stats(1, now_)[0]; };
  EXPECT_EQ(told().in_flight, 1u);
  EXPECT_EQ(told().waiting, 9u);
  Call& second = *line.next(now_);
  EXPECT_EQ(told().in_flight, 1u) << "its mark is not there yet";
  WaitLine::begins(second);
  EXPECT_EQ(told().in_flight, 2u);
  end(line, first, served());
  line.end(second, now_);
  EXPECT_EQ(told().in_flight, 0u);
}

TEST_F(WaitLineTest, NewRateHoldsForThoseWhoWaitAlready) {
  LineRules paced = rules();
  paced.lane.rate = {.count = 1, .per = std::chrono::hours(1), .burst = 1};
  WaitLine line(paced);
  for (int i = 0; i < 4; ++i) pushed(line, "a");
  EXPECT_EQ(all_that_may_leave(line).size(), 1u);
  paced.lane.rate = {.count = 10, .per = seconds(1), .burst = 1};
  line.set_rules(paced, LaneGate::Rates::fresh, now_);
  EXPECT_EQ(all_that_may_leave(line).size(), 0u) << "nothing is saved up";
  now_ += milliseconds(100);
  line.wake(now_);
  EXPECT_EQ(all_that_may_leave(line).size(), 1u);
  line.set_rules(rules(), LaneGate::Rates::fresh, now_);
  EXPECT_EQ(all_that_may_leave(line).size(), 2u);
}

TEST_F(WaitLineTest, LanesTakeTurnsAtAFullHost) {
  WaitLine line(rules(2));
  for (int i = 0; i < 50; ++i) pushed(line, "api", "busy");
  pushed(line, "api", "rare");
  auto on_the_wire = all_that_may_leave(line);
  std::set<std::string> models;
  for (int i = 0; i < 3; ++i) {
    end(line, *on_the_wire.front(), served());
    on_the_wire.erase(on_the_wire.begin());
    Call* const next = line.next(now_);
    ASSERT_NE(next, nullptr);
    models.insert(next->lane->model);
    on_the_wire.push_back(next);
  }
  EXPECT_TRUE(models.contains("rare"));
}

class WaitLineDownTest : public WaitLineTest {
 protected:
  static LineRules with_breaker() {
    LineRules made = rules();
    made.breaker = {.failures_max = 3, .delay = seconds(1), .delay_max = seconds(30)};
    return made;
  }
  void bring_down(WaitLine& line) {
    for (int i = 0; i < 3; ++i) pushed(line, "api");
    for (Call* one : all_that_may_leave(line)) {
      failed_.push_back(one);
      last_ = end(line, *one, broken());
    }
  }
  std::vector<Call*> failed_;
  WaitLine::End last_{};
};

TEST_F(WaitLineDownTest, LetsOneProbeAtATimeOutAndGoesOnGentlyWhenItIsAnswered) {
  WaitLine line(with_breaker());
  bring_down(line);
  EXPECT_EQ(last_.change, Breaker::Change::opened);
  for (int i = 0; i < 100; ++i) pushed(line, "api");
  EXPECT_EQ(line.next(now_), nullptr);
  EXPECT_EQ(line.next_due(), now_ + seconds(1));
  now_ += seconds(1);
  line.wake(now_);
  auto probes = all_that_may_leave(line);
  ASSERT_EQ(probes.size(), 1u);
  EXPECT_TRUE(probes[0]->probe);
  EXPECT_EQ(end(line, *probes[0], broken()).change, Breaker::Change::reopened);
  EXPECT_EQ(line.next_due(), now_ + seconds(2));
  now_ += seconds(2);
  line.wake(now_);
  probes = all_that_may_leave(line);
  ASSERT_EQ(probes.size(), 1u);
  EXPECT_EQ(end(line, *probes[0], served()).change, Breaker::Change::closed);
  EXPECT_EQ(all_that_may_leave(line).size(), LaneGate::kGentleStart);
}

TEST_F(WaitLineDownTest, AsksWithNewCallsAndGivesLostProbesBack) {
  WaitLine line(with_breaker());
  bring_down(line);
  Call& fresh = pushed(line, "api");
  for (Call* one : failed_) line.push_again(*one);
  EXPECT_EQ(line.next(now_), nullptr);
  now_ += seconds(1);
  line.wake(now_);
  ASSERT_EQ(line.next(now_), &fresh);
  EXPECT_EQ(line.next(now_), nullptr);
  line.end(fresh, now_);  // cancelled, say
  EXPECT_EQ(line.next(now_), failed_[0]);
}

// A server that fails each call once, say while it wakes a model, is not asked with one new call after another.
TEST_F(WaitLineDownTest, AsksByTurnsWithACallThatWasTried) {
  WaitLine line(with_breaker());
  bring_down(line);
  Call& fresh = pushed(line, "api");
  pushed(line, "api");
  for (Call* one : failed_) line.push_again(*one);
  EXPECT_EQ(line.next(now_), nullptr);
  now_ += seconds(1);
  line.wake(now_);
  ASSERT_EQ(line.next(now_), &fresh);
  EXPECT_EQ(end(line, fresh, broken()).change, Breaker::Change::reopened);
  now_ += seconds(2);
  line.wake(now_);
  ASSERT_EQ(line.next(now_), failed_[0]);
  EXPECT_EQ(end(line, *failed_[0], served()).change, Breaker::Change::closed);
}

TEST_F(WaitLineDownTest, FailuresOfCallsOnTheirWayUseUpNoAttempt) {
  WaitLine line(with_breaker());
  for (int i = 0; i < 50; ++i) pushed(line, "api");
  unsigned counted = 0;
  const auto calls = all_that_may_leave(line);
  now_ += milliseconds(1);
  for (Call* one : calls) {
    if (end(line, *one, broken()).counts == LaneGate::Counts::yes) ++counted;
  }
  EXPECT_EQ(counted, 3u);
}

TEST_F(WaitLineDownTest, ExpiresWhoHasWaitedTooLong) {
  WaitLine line(with_breaker());
  bring_down(line);
  Call& stays = pushed(line, "api", "stays");
  Call& goes = pushed(line, "api", "goes");
  EXPECT_EQ(line.next(now_), nullptr);
  std::vector<Call*> given;
  line.expire(
      *goes.host, now_, [&](const Call& one) { return &one == &goes; }, [&](Call& one) { given.push_back(&one); });
  EXPECT_EQ(given, std::vector<Call*>{&goes});
  EXPECT_EQ(line.size(), 1u);
  now_ += seconds(1);
  line.wake(now_);
  EXPECT_EQ(line.next(now_), &stays);
}

TEST_F(WaitLineDownTest, NameThatWasNeverFoundIsNoHostThatIsDown) {
  WaitLine line(with_breaker());
  for (int i = 0; i < 50; ++i) pushed(line, "misspelt");
  for (Call* one : all_that_may_leave(line)) {
    const Lesson unknown{.verdict = Verdict::broken, .heard = Lesson::Heard::no_such_name};
    EXPECT_EQ(end(line, *one, unknown).change, Breaker::Change::none);
  }
}

// Retries wait for their budget, and nothing else is there to ask with.
TEST_F(WaitLineDownTest, AsksWithARetryThatHasNoBudgetWhenThereIsNoOtherCall) {
  LineRules sparing = with_breaker();
  sparing.retry_share = 0.1;
  WaitLine line(sparing);
  for (int i = 0; i < 40; ++i) pushed(line, "api");
  const auto calls = all_that_may_leave(line);
  ASSERT_EQ(calls.size(), 40u);
  for (int i = 0; i < 12; ++i) {  // retries that use up the budget
    calls[0]->host->budget.started(RetryBudget::Kind::retry, now_);
  }
  for (Call* one : calls) end(line, *one, broken());
  for (Call* one : calls) line.push_again(*one);
  EXPECT_EQ(line.next(now_), nullptr);
  ASSERT_TRUE(line.next_due().has_value());
  EXPECT_LE(*line.next_due(), now_ + seconds(1));
  now_ += seconds(1);
  line.wake(now_);
  const auto probes = all_that_may_leave(line);
  ASSERT_EQ(probes.size(), 1u);
  EXPECT_TRUE(probes[0]->probe);
}

TEST_F(WaitLineTest, RetriesWithoutBudgetWaitWhileNewCallsGoOn) {
  LineRules sparing = rules();
  sparing.retry_share = 0.1;
  WaitLine line(sparing);
  for (int i = 0; i < 50; ++i) pushed(line, "api");
  const auto calls = all_that_may_leave(line);
  for (Call* one : calls) end(line, *one, broken());
  for (Call* one : calls) line.push_again(*one);
  Call& fresh = pushed(line, "api");
  auto next = all_that_may_leave(line);
  EXPECT_EQ(next.size(), RetryBudget::kRetriesLeast + 1);
  EXPECT_EQ(next.back(), &fresh);
  EXPECT_EQ(line.size(), 40u);
  // Once the host answers again, they all go.
  for (Call* one : next) end(line, *one, served());
  for (int i = 0; i < 60; ++i) end(line, *line.next((pushed(line, "api"), now_)), served());
  ASSERT_TRUE(line.next_due().has_value());
  now_ = *line.next_due();
  line.wake(now_);
  EXPECT_EQ(all_that_may_leave(line).size(), 40u);
}

TEST_F(WaitLineTest, TellsItsLanesThoseInUseFirst) {
  WaitLine line(rules());
  for (int i = 0; i < 10; ++i) {
    Call idle;
    line.enter(idle, "api", "idle-" + std::to_string(i));
    line.leave(idle);
  }
  pushed(line, "api", "m");
  pushed(line, "api", "m");
  end(line, *line.next(now_), refused(seconds(7)));
  const auto lanes = line.lane_stats(4, now_);
  ASSERT_EQ(lanes.size(), 4u);
  EXPECT_EQ(lanes[0].origin, "api");
  EXPECT_EQ(lanes[0].model, "m");
  EXPECT_EQ(lanes[0].in_flight, 0u);
  EXPECT_EQ(lanes[0].waiting, 2u);
  EXPECT_EQ(lanes[0].limit, LaneGate::kGentleStart);
  EXPECT_EQ(lanes[0].paused, seconds(7));
  EXPECT_EQ(lanes[0].breaker, BreakerState::closed);
}

}  // namespace
}  // namespace pawl::http
