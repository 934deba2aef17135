#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/counters.h"
#include "stepped.h"

namespace pawl {
namespace {

using test::Stepped;
using test::SteppedAtom;

TEST(Counter, AddsUp) {
  Counter<> counter;
  EXPECT_EQ(counter.read(), 0u);
  counter.add(3);
  counter.add(0);
  counter.add(4);
  EXPECT_EQ(counter.read(), 7u);
}

TEST(ShardedCounter, IndexWrapsAround) {
  ShardedCounter<4> counter;
  EXPECT_EQ(&counter.shard(1), &counter.shard(5));
  EXPECT_NE(&counter.shard(1), &counter.shard(2));
}

TEST(ShardedCounter, LosesNothingAndNeverGoesBackWhileThreadsAdd) {
  ShardedCounter<4> counter;
  constexpr std::uint64_t kEach = 50'000;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 6; ++i)
    threads.emplace_back([&, i] {
      for (std::uint64_t n = 0; n < kEach; ++n) counter.shard(i).add(2);
    });
  std::uint64_t last = 0;
  while (last < 6 * kEach) {
    const std::uint64_t now = counter.read();
    ASSERT_GE(now, last);
    last = now;
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.read(), 6 * kEach * 2);
}

/// What status() rests on: each thing counts in `earlier` before it counts in `later`, so whoever reads `later` first
/// never sees more there. `Atom` with store buffers, for add_alone() is a plain store.
struct TwoStages {
  void move(int things) {
    for (int i = 0; i < things; ++i) {
      earlier.shard(0).add_alone(1);
      later.add(1);
    }
  }
  void move_elsewhere(int things) {
    for (int i = 0; i < things; ++i) {
      earlier.shard(1).add(1);
      later.add(1);
    }
  }
  ShardedCounter<2, SteppedAtom> earlier;
  Counter<SteppedAtom> later;
};

TEST(Counter, EveryInterleavingReadInReverseOrderNeverShowsMoreLater) {
  const std::size_t orders = Stepped::every_order([](const Stepped::Choose& choose) {
    TwoStages stages;
    std::uint64_t later = 0, earlier = 0;
    Stepped::run({[&] { stages.move(1); }, [&] { stages.move_elsewhere(1); },
                  [&] {
                    later = stages.later.read();
                    earlier = stages.earlier.read();
                  }},
                 choose, Stepped::Memory::store_buffers);
    ASSERT_GE(earlier, later);
  });
  EXPECT_GT(orders, 1'000u);
}

TEST(Counter, RandomInterleavingsLoseNothingAndNeverGoBack) {
  Stepped::random_orders(100'000, 0, [](const Stepped::Choose& choose) {
    TwoStages stages;
    std::uint64_t last = 0;
    bool back = false, ahead = false;
    Stepped::run({[&] { stages.move(3); }, [&] { stages.move_elsewhere(3); }, [&] { stages.move_elsewhere(2); },
                  [&] {
                    for (int look = 0; look < 3; ++look) {
                      const std::uint64_t later = stages.later.read(), earlier = stages.earlier.read();
                      back = back || earlier < last;
                      ahead = ahead || later > earlier;
                      last = earlier;
                    }
                  }},
                 choose, Stepped::Memory::store_buffers);
    ASSERT_FALSE(back);
    ASSERT_FALSE(ahead);
    ASSERT_EQ(stages.earlier.read(), 8u);
    ASSERT_EQ(stages.later.read(), 8u);
  });
}

TEST(Counter, SchedulerFindsASnapshotReadInTheWrongOrderAndASharedAddAlone) {
  EXPECT_GT(Stepped::rounds_to_find(100'000, 0,
                                    [](const Stepped::Choose& choose) {
                                      TwoStages stages;
                                      std::uint64_t later = 0, earlier = 0;
                                      Stepped::run({[&] { stages.move(2); },
                                                    [&] {
                                                      earlier = stages.earlier.read();
                                                      later = stages.later.read();
                                                    }},
                                                   choose);
                                      return later > earlier;
                                    }),
            0u);
  EXPECT_GT(Stepped::rounds_to_find(100'000, 0,
                                    [](const Stepped::Choose& choose) {
                                      Counter<SteppedAtom> counter;
                                      const auto add = [&] { counter.add_alone(1); };
                                      Stepped::run({add, add}, choose);
                                      return counter.read() != 2;
                                    }),
            0u);
}

}  // namespace
}  // namespace pawl
