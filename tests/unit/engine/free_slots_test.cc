#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "queue/free_slots.h"
#include "stepped.h"

namespace pawl {
namespace {

using test::Stepped;
using test::SteppedAtom;

TEST(FreeSlots, SlotGivenBackDuringALookIsFreeOnlyAfterIt) {
  FreeSlots<> slots(3);
  const std::uint32_t all[] = {1, 2, 3};
  slots.give(all, 2);
  slots.begin_look();
  slots.begin_look();
  std::uint32_t out[3];
  ASSERT_EQ(slots.take(out, 3), 2u) << "what was free stays so";
  slots.give(out, 2);
  slots.give(all + 2, 1);
  EXPECT_EQ(slots.take(out, 3), 0u);
  EXPECT_FALSE(slots.end_look());
  EXPECT_EQ(slots.take(out, 3), 0u) << "another one looks";
  EXPECT_TRUE(slots.end_look());
  EXPECT_EQ(slots.take(out, 3), 3u);
}

/// Two slots that are used again and again, and a looker. `content` is a task's request: plain memory in the engine,
/// an atomic here so that the scheduler may interrupt its use.
template <class Slots>
struct Case {
  Case() {
    const std::uint32_t all[] = {1, 2};
    slots.give(all, 2);
  }
  void use(std::uint64_t content_of_use) {
    std::uint32_t index = 0;
    if (slots.take(&index, 1) == 0) return;
    Thing& thing = things[index];
    thing.content.store(content_of_use, std::memory_order_relaxed);
    thing.somewhere.store(content_of_use, std::memory_order_release);
    thing.somewhere.store(0, std::memory_order_release);
    slots.give(&index, 1);
  }
  void look() {
    slots.begin_look();
    for (std::uint32_t index = 1; index <= 2; ++index) {
      Thing& thing = things[index];
      const std::uint64_t seen = thing.somewhere.load(std::memory_order_acquire);
      if (seen == 0) continue;
      wrong = wrong || thing.content.load(std::memory_order_relaxed) != seen ||
              thing.content.load(std::memory_order_relaxed) != seen;
    }
    slots.end_look();
  }
  [[nodiscard]] std::size_t free() {
    std::set<std::uint32_t> distinct;
    std::uint32_t out[4];
    const std::size_t count = slots.take(out, 4);
    distinct.insert(out, out + count);
    return distinct.size() == count ? count : 99;
  }

  struct Thing {
    SteppedAtom<std::uint64_t> content{0};
    SteppedAtom<std::uint64_t> somewhere{0};  // as Whereabouts: not 0 while the content is a task's
  };
  Slots slots{2};
  std::array<Thing, 3> things;
  bool wrong = false;
};

template <class Slots>
testing::AssertionResult looks_are_safe(const Stepped::Choose& choose) {
  Case<Slots> tested;
  Stepped::run({[&] {
                  tested.use(1);
                  tested.use(2);
                },
                [&] {
                  tested.use(3);
                  tested.use(4);
                },
                [&] {
                  tested.look();
                  tested.look();
                },
                [&] { tested.look(); }},
               choose, Stepped::Memory::store_buffers);
  if (tested.wrong) return testing::AssertionFailure() << "a slot was used again while somebody looked at it";
  if (const std::size_t free = tested.free(); free != 2) return testing::AssertionFailure() << free << " of 2 are free";
  return testing::AssertionSuccess();
}

TEST(FreeSlots, RandomInterleavingsNeverUseASlotAgainThatIsLookedAtAndLoseNone) {
  Stepped::random_orders(
      100'000, 0, [](const Stepped::Choose& choose) { ASSERT_TRUE(looks_are_safe<FreeSlots<SteppedAtom>>(choose)); });
}

/// Gives back without a look at who looks.
class Heedless : public FreeSlots<SteppedAtom> {
 public:
  using FreeSlots::FreeSlots;
  void begin_look() noexcept {}
  void end_look() noexcept {}
};

TEST(FreeSlots, SchedulerFindsSlotsThatAreNotKeptForLookers) {
  EXPECT_GT(Stepped::rounds_to_find(100'000, 0,
                                    [](const Stepped::Choose& choose) { return !looks_are_safe<Heedless>(choose); }),
            0u);
}

}  // namespace
}  // namespace pawl
