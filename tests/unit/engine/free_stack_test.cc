#include <algorithm>
#include <array>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "queue/free_stack.h"
#include "stepped.h"

namespace pawl {
namespace test {

/// The production stack with its tag blanked out: a head that holds the same index again looks unchanged.
template <class T>
struct UntaggedAtom : SteppedAtom<T> {
  using SteppedAtom<T>::SteppedAtom;
  bool compare_exchange_weak(T& expected, T value, std::memory_order success, std::memory_order failure) {
    if constexpr (sizeof(T) == sizeof(std::uint64_t)) value &= FreeStack<>::kMost;
    return SteppedAtom<T>::compare_exchange_weak(expected, value, success, failure);
  }
};

}  // namespace test

namespace {

using test::kOrders;
using test::Stepped;
using test::SteppedAtom;
using test::UntaggedAtom;

template <class Stack>
std::vector<std::uint32_t> take_all(Stack& stack) {
  std::vector<std::uint32_t> all;
  std::array<std::uint32_t, 3> some{};
  while (const std::size_t count = stack.take(some.data(), some.size())) {
    all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count));
    if (all.size() > 1'000) break;  // a broken stack may be a ring
  }
  return all;
}

template <class Stack>
void give_all(Stack& stack, std::uint32_t capacity) {
  for (std::uint32_t index = capacity; index != 0; --index) stack.give(&index, 1);
}

TEST(FreeStack, EmptyGivesNothing) {
  FreeStack<> stack(3);
  std::uint32_t index = 0;
  EXPECT_TRUE(stack.looks_empty());
  EXPECT_EQ(stack.take(&index, 1), 0u);
  stack.give(&index, 0);
  EXPECT_TRUE(stack.looks_empty());
}

TEST(FreeStack, TakesWhatWasGivenLastFirst) {
  FreeStack<> stack(5);
  give_all(stack, 5);
  EXPECT_FALSE(stack.looks_empty());
  EXPECT_EQ(take_all(stack), (std::vector<std::uint32_t>{1, 2, 3, 4, 5}));
  const std::array<std::uint32_t, 3> chain{4, 2, 5};
  stack.give(chain.data(), 3);
  const std::uint32_t top = 1;
  stack.give(&top, 1);
  EXPECT_EQ(take_all(stack), (std::vector<std::uint32_t>{1, 4, 2, 5}));
  EXPECT_TRUE(stack.looks_empty());
}

TEST(FreeStack, TakesNoMoreThanAskedFor) {
  FreeStack<> stack(4);
  give_all(stack, 4);
  std::array<std::uint32_t, 4> indices{};
  EXPECT_EQ(stack.take(indices.data(), 0), 0u);
  EXPECT_EQ(stack.take(indices.data(), 3), 3u);
  EXPECT_EQ(stack.take(indices.data(), 3), 1u);
  EXPECT_EQ(indices[0], 4u);
}

TEST(FreeStack, GivesBackWhatIsLeftOfALot) {
  FreeStack<> stack(40);
  std::array<std::uint32_t, 40> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint32_t>(i + 1);
  stack.give(all.data(), all.size());
  std::array<std::uint32_t, 40> taken{};
  EXPECT_EQ(stack.take(taken.data(), 4), 4u);
  EXPECT_EQ(stack.take(taken.data() + 4, 1), 1u);
  std::size_t count = 5;
  while (const std::size_t more = stack.take(taken.data() + count, taken.size() - count)) count += more;
  EXPECT_EQ(count, all.size());
  EXPECT_EQ(taken, all);
  EXPECT_TRUE(stack.looks_empty());
}

TEST(FreeStack, HoldsALargeIndex) {
  const std::uint32_t top = 1u << 18;
  FreeStack<> stack(top);
  stack.give(&top, 1);
  EXPECT_EQ(take_all(stack), (std::vector<std::uint32_t>{top}));
}

/// Actors that take chains and give them back in another order, and what shows that nothing was lost or held twice.
template <template <class> class Atom>
struct Sharing {
  Sharing(std::uint32_t capacity, std::size_t actors, int rounds)
      : stack(capacity), held(capacity + 1), capacity_(capacity) {
    give_all(stack, capacity);
    for (std::size_t a = 0; a < actors; ++a) bodies.push_back([this, a, rounds] { take_and_give(a, rounds); });
  }
  void take_and_give(std::size_t actor, int rounds) {
    std::array<std::uint32_t, 2> mine{};
    for (int i = 0; i < rounds; ++i) {
      const std::size_t most = 1 + (actor + static_cast<std::size_t>(i)) % 2;
      const std::size_t count = stack.take(mine.data(), most);
      for (std::size_t k = 0; k < count; ++k) doubled = doubled || held[mine[k]]++ != 0;
      pause.load(std::memory_order_relaxed);  // a step in which the chain is held
      for (std::size_t k = 0; k < count; ++k) --held[mine[k]];
      if (count == 2 && i % 2 == 0) {  // one by one, so that a known top may come back over another one
        stack.give(&mine[1], 1);
        stack.give(&mine[0], 1);
      } else {
        std::reverse(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(count));
        stack.give(mine.data(), count);
      }
    }
  }
  [[nodiscard]] bool kept() {
    std::vector<std::uint32_t> all = take_all(stack);
    std::sort(all.begin(), all.end());
    if (doubled || all.size() != capacity_) return false;
    for (std::uint32_t i = 0; i < capacity_; ++i)
      if (all[i] != i + 1) return false;
    return true;
  }

  FreeStack<Atom> stack;
  std::vector<int> held;  // by index: how many hold it
  bool doubled = false;
  SteppedAtom<int> pause{0};
  Stepped::Bodies bodies;

 private:
  const std::uint32_t capacity_;
};

TEST(FreeStack, EveryInterleavingOfTwoThatTakeAndGive) {
  const std::size_t orders = Stepped::every_order([](const Stepped::Choose& choose) {
    Sharing<SteppedAtom> two(2, 2, 1);
    Stepped::run(two.bodies, choose);
    ASSERT_TRUE(two.kept());
  });
  EXPECT_GT(orders, 1'000u);
}

TEST(FreeStack, RandomInterleavingsOfThreeThatTakeAndGiveChains) {
  Stepped::random_orders(kOrders, 0, [](const Stepped::Choose& choose) {
    Sharing<SteppedAtom> three(4, 3, 3);
    Stepped::run(three.bodies, choose, Stepped::Memory::store_buffers);
    ASSERT_TRUE(three.kept());
  });
}

// The scheduler must find the ABA problem, or the tests above show nothing.
TEST(FreeStack, SchedulerFindsWhatTheTagIsFor) {
  EXPECT_GT(Stepped::rounds_to_find(kOrders, 0,
                                    [](const Stepped::Choose& choose) {
                                      Sharing<UntaggedAtom> three(4, 3, 3);
                                      return !Stepped::try_run(three.bodies, choose).empty() || !three.kept();
                                    }),
            0u);
}

TEST(FreeStack, ThreadsThatRaceLoseNothingAndHoldNothingTwice) {
  constexpr std::uint32_t kCapacity = 64;
  constexpr int kRounds = 20'000;
  FreeStack<> stack(kCapacity);
  give_all(stack, kCapacity);
  std::vector<int> value(kCapacity + 1);  // plain: a holder has it for itself
  std::atomic<std::uint64_t> taken{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      std::array<std::uint32_t, 30> mine{};
      std::uint64_t count_all = 0;
      for (int i = 0; i < kRounds; ++i) {
        const std::size_t count = stack.take(mine.data(), 1 + (t + static_cast<std::size_t>(i)) % mine.size());
        for (std::size_t k = 0; k < count; ++k) ++value[mine[k]];
        count_all += count;
        std::rotate(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(count / 2),
                    mine.begin() + static_cast<std::ptrdiff_t>(count));
        stack.give(mine.data(), count);
      }
      taken.fetch_add(count_all);
    });
  for (auto& thread : threads) thread.join();
  std::uint64_t counted = 0;
  for (const int count : value) counted += static_cast<std::uint64_t>(count);
  EXPECT_EQ(counted, taken.load());
  std::vector<std::uint32_t> all = take_all(stack);
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), kCapacity);
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

}  // namespace
}  // namespace pawl
