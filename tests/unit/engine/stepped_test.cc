// The scheduler that other tests rest on: it goes through all orders, brings the same ones back, and finds what it
// must find.
#include <atomic>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stepped.h"

namespace pawl::test {
namespace {

using Choose = Stepped::Choose;
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kSequential = std::memory_order_seq_cst;
constexpr auto kForEver = std::chrono::steady_clock::time_point::max();

TEST(Stepped, EveryOrderIsEveryMergeOfTheSteps) {
  std::set<std::string> seen;
  // Two steps each and the part before the first: merges of three with three, 6! / (3! · 3!).
  EXPECT_EQ(Stepped::every_order([&](const Choose& choose) {
              SteppedAtom<int> atom{0};
              const auto body = [&] {
                atom.fetch_add(1, kRelaxed);
                atom.fetch_add(1, kRelaxed);
              };
              Stepped::run({body, body}, choose);
              EXPECT_EQ(atom.load(kRelaxed), 4);
              seen.insert(Stepped::last_schedule());
            }),
            20u);
  EXPECT_EQ(seen.size(), 20u);
}

TEST(Stepped, StepsOutsideARunAreOrdinaryOperations) {
  SteppedAtom<unsigned> atom{6};
  atom.store(7, std::memory_order_release);
  EXPECT_EQ(atom.exchange(8, kRelaxed), 7u);
  EXPECT_EQ(atom.fetch_sub(1, kRelaxed), 8u);
  EXPECT_EQ(atom.fetch_or(8, kRelaxed), 7u);
  EXPECT_EQ(atom.fetch_and(12, kRelaxed), 15u);
  unsigned expected = 0;
  EXPECT_FALSE(atom.compare_exchange_weak(expected, 1, kRelaxed, kRelaxed));
  EXPECT_EQ(expected, 12u);
  EXPECT_TRUE(atom.compare_exchange_strong(expected, 1, kRelaxed, kRelaxed));
  atom.notify_all();
  atom.wait(0, kRelaxed);
  EXPECT_EQ(atom.load(kRelaxed), 1u);
}

std::vector<std::string> schedules(std::uint64_t seed) {
  std::vector<std::string> all;
  Stepped::random_orders(200, seed, [&](const Choose& choose) {
    SteppedAtom<int> atom{static_cast<int>(choose(3))};
    const auto body = [&] {
      for (int i = 0; i < 5; ++i) atom.fetch_add(1, kRelaxed);
    };
    Stepped::run({body, body, body}, choose);
    all.push_back(std::to_string(atom.load(kRelaxed)) + Stepped::last_schedule());
  });
  return all;
}

TEST(Stepped, SameSeedSameOrders) {
  const std::vector<std::string> once = schedules(4711);
  EXPECT_EQ(once, schedules(4711));
  const std::set<std::string> different(once.begin(), once.end());
  EXPECT_GT(different.size(), once.size() / 2);
  if (std::getenv("PAWL_SEED") == nullptr) {
    EXPECT_NE(once, schedules(4712));
  }
}

TEST(Stepped, SleeperGoesWhenItIsWoken) {
  const std::size_t orders = Stepped::every_order([](const Choose& choose) {
    SteppedAtom<std::uint32_t> word{0};
    std::uint32_t seen = 0;
    Stepped::run({[&] {
                    word.wait(0, kRelaxed);
                    seen = word.load(kRelaxed);
                  },
                  [&] {
                    word.store(5, kRelaxed);
                    word.notify_one();
                  }},
                 choose);
    ASSERT_EQ(seen, 5u);
  });
  EXPECT_GT(orders, 10u);
}

TEST(Stepped, NotifyOneWakesAnyOneOfTheSleepers) {
  std::set<std::size_t> woken;
  EXPECT_GT(Stepped::every_order([&](const Choose& choose) {
              SteppedAtom<std::uint32_t> word{0};
              std::vector<std::size_t> awake;
              const auto sleeper = [&](std::size_t who) {
                return [&, who] {
                  wait_on(word, 0, kForEver);
                  awake.push_back(who);
                };
              };
              const std::string stuck = Stepped::try_run({sleeper(0), sleeper(1), [&] { word.notify_one(); }}, choose);
              ASSERT_LE(awake.size(), 1u);
              ASSERT_NE(stuck.find("lost wake-up"), std::string::npos);
              if (!awake.empty()) woken.insert(awake[0]);
            }),
            10u);
  EXPECT_EQ(woken, (std::set<std::size_t>{0, 1}));
}

TEST(Stepped, ReportsWhoSleepsForEverAndStartsAfreshAfterIt) {
  const Choose first = [](std::size_t) { return 0; };
  SteppedAtom<std::uint32_t> word{0};
  const auto sleeper = [&] { word.wait(0, kRelaxed); };
  EXPECT_EQ(Stepped::try_run({[] {}, sleeper}, first), "lost wake-up: actors that sleep for ever: 1; schedule: 0 1x2");
  EXPECT_EQ(Stepped::try_run({sleeper, sleeper, sleeper}, first),
            "lost wake-up: actors that sleep for ever: 0 1 2; schedule: 0x2 1x2 2x2");
  int ended = 0;
  EXPECT_EQ(Stepped::try_run({[&] { ++ended; }, [&] { ended += static_cast<int>(word.load(kRelaxed)) + 1; }}, first),
            "");
  EXPECT_EQ(ended, 2);
}

TEST(Stepped, WaitWithATimeOutIsNotALostWakeUp) {
  SteppedAtom<std::uint32_t> word{0};
  const auto later = std::chrono::steady_clock::now() + std::chrono::hours(1);
  int ended = 0;
  const auto body = [&] {
    wait_on(word, 0, later);
    ++ended;
  };
  Stepped::run({body, body}, [](std::size_t count) { return count - 1; });
  EXPECT_EQ(ended, 2);
}

TEST(Stepped, EndlessLoopIsReported) {
  SteppedAtom<int> never{0};
  const auto spin = [&] {
    while (never.load(kRelaxed) == 0) {
    }
  };
  EXPECT_NE(Stepped::try_run({spin}, [](std::size_t) { return 0; }).find("no end"), std::string::npos);
}

TEST(Stepped, RandomOrdersLetASpinnerSeeWhatItWaitsFor) {
  Stepped::random_orders(1'000, 0, [](const Choose& choose) {
    SteppedAtom<int> flag{0};
    Stepped::run({[&] {
                    while (flag.load(kRelaxed) == 0) {
                    }
                  },
                  [&] { flag.store(1, kRelaxed); }},
                 choose);
  });
}

/// The first of each pair looks whether the other has begun: with store buffers both may see nothing.
bool both_blind(const Choose& choose, Stepped::Memory memory, std::memory_order order, bool fenced) {
  SteppedAtom<std::uint32_t> x{0}, y{0};
  bool saw_x = false, saw_y = false;
  const auto body = [&](auto& mine, auto& other, bool& saw) {
    return [&, order, fenced] {
      mine.store(1, order);
      if (fenced) full_fence(mine);
      EXPECT_EQ(mine.load(kRelaxed), 1u);  // its own store it sees always
      saw = other.load(kRelaxed) != 0;
    };
  };
  Stepped::run({body(x, y, saw_y), body(y, x, saw_x)}, choose, memory);
  EXPECT_EQ(x.load(kRelaxed) + y.load(kRelaxed), 2u);  // buffers are empty at the end
  return !saw_x && !saw_y;
}

std::size_t blind_orders(Stepped::Memory memory, std::memory_order order, bool fenced) {
  std::size_t blind = 0;
  Stepped::every_order([&](const Choose& choose) { blind += both_blind(choose, memory, order, fenced) ? 1 : 0; });
  return blind;
}

TEST(Stepped, StoreBuffersHideStoresUntilAFence) {
  EXPECT_GT(blind_orders(Stepped::Memory::store_buffers, std::memory_order_release, false), 0u);
  EXPECT_EQ(blind_orders(Stepped::Memory::store_buffers, std::memory_order_release, true), 0u);
  EXPECT_EQ(blind_orders(Stepped::Memory::store_buffers, kSequential, false), 0u);
  EXPECT_EQ(blind_orders(Stepped::Memory::sequential, kRelaxed, false), 0u);
}

// Needs one actor to stand still between two of its steps while another one takes 24: what uniform choice misses.
TEST(Stepped, FindsWhatNeedsOneActorToStandStill) {
  EXPECT_GT(Stepped::rounds_to_find(100'000, 0,
                                    [](const Choose& choose) {
                                      SteppedAtom<int> count{0};
                                      int seen = 0;
                                      const auto step_often = [&] {
                                        for (int i = 0; i < 24; ++i) count.fetch_add(1, kRelaxed);
                                      };
                                      const auto look_twice = [&] {
                                        const int before = count.load(kRelaxed);
                                        seen = count.load(kRelaxed) - before;
                                      };
                                      Stepped::run({step_often, step_often, look_twice}, choose);
                                      return seen == 48;
                                    }),
            0u);
}

}  // namespace
}  // namespace pawl::test
