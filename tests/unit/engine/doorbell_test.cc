#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "queue/doorbell.h"
#include "stepped.h"

namespace pawl {
namespace {

using test::kOrders;
using test::Stepped;
using test::SteppedAtom;

TEST(Doorbell, NobodyAnnouncedNobodyTakesTheRing) {
  Doorbell bell;
  EXPECT_FALSE(bell.take_ring());
}

TEST(Doorbell, OneOfSeveralTakesTheRing) {
  Doorbell bell;
  bell.announce();
  EXPECT_TRUE(bell.take_ring());
  EXPECT_FALSE(bell.take_ring());
  bell.announce();
  bell.announce();
  EXPECT_TRUE(bell.take_ring());
  EXPECT_FALSE(bell.take_ring());
}

TEST(Doorbell, DoesNotSleepWhenThereIsWork) {
  Doorbell bell;
  int looks = 0;
  bell.sleep([&] { return ++looks == 1; });
  EXPECT_EQ(looks, 1);
}

TEST(Doorbell, RingBetweenTheLookAndTheSleepIsNotLost) {
  Doorbell bell;
  bell.sleep([&] {  // nothing yet; the work and its ring come before this thread sleeps
    bell.ring();
    return false;
  });
}

TEST(Doorbell, SecondSleeperDoesNotHideTheRingFromTheFirst) {
  Doorbell bell;
  bell.sleep([&] {
    bell.ring();
    bell.announce();  // another sleeper raises the flag again before the first one sleeps
    return false;
  });
}

TEST(Doorbell, RingAlwaysReachesASleeperThatIsNotAnnouncedAnyMore) {
  Doorbell bell;
  bell.sleep([&] {
    EXPECT_TRUE(bell.take_ring());
    bell.ring_always();
    bell.announce();
    return false;
  });
}

// Items change hands between several bringers and several sleepers; a lost wake-up leaves this test hanging.
TEST(Doorbell, NoWakeUpIsLostAmongManySleepers) {
  constexpr int kSleepers = 3, kBringers = 2, kEach = 20'000;
  Doorbell bell;
  std::atomic<int> items{0}, left{kBringers * kEach};
  std::vector<std::thread> threads;
  for (int s = 0; s < kSleepers; ++s)
    threads.emplace_back([&] {
      while (left.load() > 0) {
        int have = items.load();
        while (have > 0 && !items.compare_exchange_weak(have, have - 1)) {
        }
        if (have > 0) {
          if (left.fetch_sub(1) == 1) bell.ring_always();
          continue;
        }
        bell.sleep([&] { return items.load(std::memory_order_relaxed) > 0 || left.load() <= 0; });
      }
    });
  for (int b = 0; b < kBringers; ++b)
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        items.fetch_add(1, std::memory_order_release);
        bell.ring();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(items.load(), 0);
  EXPECT_EQ(left.load(), 0);
}

/// Two kinds of actors around a bell: each bringer publishes items one by one with a plain store in a place of its own
/// and rings; each sleeper takes items until it has enough, and sleeps when it finds none.
template <class Bell>
struct Exchange {
  using Place = SteppedAtom<int>;
  Exchange(std::size_t bringers, std::size_t sleepers, int each)
      : places(bringers * static_cast<std::size_t>(each)), need(static_cast<int>(places.size() / sleepers)) {
    for (std::size_t b = 0; b < bringers; ++b) bodies.push_back([this, b, each] { bring(b, each); });
    for (std::size_t s = 0; s < sleepers; ++s) bodies.push_back([this] { take(); });
  }
  void bring(std::size_t bringer, int each) {
    for (int i = 0; i < each; ++i) {
      places[bringer * static_cast<std::size_t>(each) + static_cast<std::size_t>(i)].store(1,
                                                                                           std::memory_order_release);
      bell.ring();
    }
  }
  void take() {
    for (int have = 0; have < need;) {
      bool found = false;
      for (Place& place : places)
        if (place.load(std::memory_order_acquire) != 0 && place.exchange(0, std::memory_order_acq_rel) != 0) {
          found = true;
          ++taken;
          if (++have == need) return;
        }
      if (!found) bell.sleep([this] { return has_work(); });
    }
  }
  [[nodiscard]] bool has_work() const {
    for (const Place& place : places)
      if (place.load(std::memory_order_acquire) != 0) return true;
    return false;
  }

  Bell bell;
  std::vector<Place> places;
  const int need;
  int taken = 0;
  Stepped::Bodies bodies;
};

using SteppedBell = BasicDoorbell<SteppedAtom>;

TEST(Doorbell, EveryInterleavingOfOneRingWithOneSleeper) {
  const std::size_t orders = Stepped::every_order([](const Stepped::Choose& choose) {
    Exchange<SteppedBell> one(1, 1, 1);
    Stepped::run(one.bodies, choose, Stepped::Memory::store_buffers);
    ASSERT_EQ(one.taken, 1);
  });
  EXPECT_GT(orders, 100u);
}

TEST(Doorbell, EveryInterleavingOfARingWithAGraphNodeThatGoesIdle) {
  const std::size_t orders = Stepped::every_order([](const Stepped::Choose& choose) {
    SteppedBell bell;
    SteppedAtom<int> work{0};
    bool saw_work = false, told = false;
    Stepped::run({[&] {
                    work.store(1, std::memory_order_release);
                    told = bell.take_ring();
                  },
                  [&] {
                    bell.announce();
                    saw_work = work.load(std::memory_order_acquire) != 0;
                  }},
                 choose, Stepped::Memory::store_buffers);
    ASSERT_TRUE(saw_work || told);
  });
  EXPECT_GT(orders, 20u);
}

TEST(Doorbell, RandomInterleavingsOfTwoRingersAndTwoSleepersLoseNoWakeUp) {
  Stepped::random_orders(kOrders, 0, [](const Stepped::Choose& choose) {
    Exchange<SteppedBell> four(2, 2, 2);
    Stepped::run(four.bodies, choose, Stepped::Memory::store_buffers);
    ASSERT_EQ(four.taken, 4);
  });
}

TEST(Doorbell, RandomInterleavingsOfAStopThatRingsAlways) {
  Stepped::random_orders(kOrders, 0, [](const Stepped::Choose& choose) {
    SteppedBell bell;
    SteppedAtom<int> stop{0};
    const auto sleep = [&] {
      while (stop.load(std::memory_order_acquire) == 0)
        bell.sleep([&] { return stop.load(std::memory_order_relaxed) != 0; });
    };
    Stepped::run({sleep, sleep, [&] { bell.ring(); },
                  [&] {
                    stop.store(1, std::memory_order_release);
                    bell.ring_always();
                  }},
                 choose, Stepped::Memory::store_buffers);
  });
}

// The scheduler must find what these leave out, or the tests above show nothing.

struct BellWithoutSecondLook : SteppedBell {
  template <class HasWork>
  void sleep(HasWork&&) {
    SteppedBell::sleep([] { return false; });
  }
};
struct BellThatLooksBeforeItAnnounces : SteppedBell {
  template <class HasWork>
  void sleep(HasWork&& has_work) {
    SteppedBell::sleep([had = has_work()] { return had; });
  }
};
/// Sleepers wait on the flag itself.
struct BellOfOneWord {
  template <class HasWork>
  void sleep(HasWork&& has_work) {
    flag.store(1, std::memory_order_seq_cst);
    if (!has_work()) wait_on(flag, 1, std::chrono::steady_clock::time_point::max());
  }
  void ring() {
    full_fence(flag);
    if (flag.load(std::memory_order_relaxed) != 0 && flag.exchange(0, std::memory_order_acq_rel) != 0) wake_all(flag);
  }
  SteppedAtom<std::uint32_t> flag{0};
};
/// An atomic to which fences mean nothing.
template <class T>
struct UnfencedAtom : SteppedAtom<T> {
  using SteppedAtom<T>::SteppedAtom;
  friend void full_fence(const UnfencedAtom&) {}
};

template <class Bell>
std::size_t rounds_to_lose_a_wake_up() {
  return Stepped::rounds_to_find(kOrders, 0, [](const Stepped::Choose& choose) {
    Exchange<Bell> four(2, 2, 2);
    return !Stepped::try_run(four.bodies, choose, Stepped::Memory::store_buffers).empty();
  });
}

TEST(Doorbell, SchedulerFindsThePlantedErrors) {
  EXPECT_GT(rounds_to_lose_a_wake_up<BellWithoutSecondLook>(), 0u);
  EXPECT_GT(rounds_to_lose_a_wake_up<BellThatLooksBeforeItAnnounces>(), 0u);
  EXPECT_GT(rounds_to_lose_a_wake_up<BellOfOneWord>(), 0u);
  EXPECT_GT(rounds_to_lose_a_wake_up<BasicDoorbell<UnfencedAtom>>(), 0u);
}

}  // namespace
}  // namespace pawl
