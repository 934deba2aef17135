#include <array>
#include <set>

#include <gtest/gtest.h>

#include "base/shards.h"
#include "stepped.h"

namespace pawl {
namespace {

using test::Stepped;
using test::SteppedAtom;

TEST(Shards, EachIsLentOnceAndTheRestShareTheLast) {
  Shards<> shards;
  std::set<std::size_t> lent;
  for (std::size_t i = 0; i < Shards<>::kShared; ++i) lent.insert(shards.take());
  EXPECT_EQ(lent.size(), Shards<>::kShared);
  EXPECT_EQ(lent.count(Shards<>::kShared), 0u);
  EXPECT_EQ(shards.take(), Shards<>::kShared);
  shards.give(Shards<>::kShared);
  EXPECT_EQ(shards.take(), Shards<>::kShared) << "the shared one is nobody's to give back";
  shards.give(17);
  EXPECT_EQ(shards.take(), 17u);
}

TEST(Shards, RandomInterleavingsNeverLendOneTwice) {
  Stepped::random_orders(100'000, 0, [](const Stepped::Choose& choose) {
    Shards<SteppedAtom> shards;
    std::array<int, Shards<>::kShared + 1> holders{};
    bool twice = false;
    const auto hold = [&](int times) {
      for (int i = 0; i < times; ++i) {
        const std::size_t shard = shards.take();
        twice = twice || ++holders[shard] != 1;
        Stepped::step();
        --holders[shard];
        shards.give(shard);
      }
    };
    Stepped::run({[&] { hold(3); }, [&] { hold(3); }, [&] { hold(2); }}, choose);
    ASSERT_FALSE(twice);
  });
}

}  // namespace
}  // namespace pawl
