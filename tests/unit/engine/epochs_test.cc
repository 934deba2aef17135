#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "epoch/epochs.h"
#include "stage_doubles.h"
#include "stepped.h"

namespace pawl {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""h;
using test::kOrders;
using test::Stepped;
using test::SteppedAtom;
using Deadline = Epochs<>::Deadline;

Deadline now() { return std::chrono::steady_clock::now(); }

TEST(Epochs, FlushOfNothingReturns) {
  Epochs<> epochs;
  epochs.flush();
  epochs.flush();
  EXPECT_FALSE(epochs.closing());
}

TEST(Epochs, FlushWaitsForTheLastRetiredTask) {
  Epochs<> epochs;
  const auto first = Epochs<>::admit(epochs.word(0), 2);
  const auto second = Epochs<>::admit(epochs.word(9), 1);
  ASSERT_TRUE(first.admitted && second.admitted);
  EXPECT_EQ(first.parity, second.parity);
  std::atomic<int> retired{0};
  std::thread graph([&] {
    for (int i = 0; i < 3; ++i) {
      retired.fetch_add(1);
      epochs.retire(first.parity, 1);
    }
  });
  epochs.flush();
  EXPECT_EQ(retired.load(), 3);
  graph.join();
}

TEST(Epochs, AFlushMovesLaterTasksToTheOtherParity) {
  Epochs<> epochs;
  const auto before = Epochs<>::admit(epochs.word(0), 1);
  epochs.retire(before.parity, 1);
  epochs.flush();
  const auto after = Epochs<>::admit(epochs.word(0), 1);
  EXPECT_NE(before.parity, after.parity);
  epochs.retire(after.parity, 1);
  epochs.flush();
}

TEST(Epochs, TasksAdmittedDuringAFlushDoNotHoldItUp) {
  Epochs<> epochs;
  const auto old = Epochs<>::admit(epochs.word(0), 1);
  std::thread flusher([&] { epochs.flush(); });
  Epochs<>::Entry fresh = Epochs<>::admit(epochs.word(1), 1);
  std::int64_t fresh_count[2] = {0, 0};
  ++fresh_count[fresh.parity];
  while (fresh.parity == old.parity) {  // until the flush has begun
    fresh = Epochs<>::admit(epochs.word(1), 1);
    ++fresh_count[fresh.parity];
  }
  epochs.retire(old.parity, 1 + fresh_count[old.parity]);
  flusher.join();  // although `fresh` has not retired
  epochs.retire(fresh.parity, fresh_count[fresh.parity]);
  epochs.flush();
}

TEST(Epochs, CloseRefusesFromTheNextFlushOn) {
  Epochs<> epochs;
  epochs.begin_close();
  EXPECT_TRUE(epochs.closing());
  const auto late = Epochs<>::admit(epochs.word(3), 1);
  EXPECT_TRUE(late.admitted);  // had not seen closing(): counts, and the closing flush waits for it
  epochs.retire(late.parity, 1);
  epochs.flush();
  for (std::size_t i = 0; i < Epochs<>::kShards; ++i) EXPECT_FALSE(Epochs<>::admit(epochs.word(i), 1).admitted);
  epochs.flush();  // what was refused counts nowhere
  epochs.flush();
}

TEST(Epochs, NumbersWrapAroundUnnoticed) {
  Epochs<> epochs;
  for (int i = 0; i < 70'000; ++i) {  // the number has 15 bits
    const auto entry = Epochs<>::admit(epochs.word(static_cast<std::size_t>(i)), 1);
    ASSERT_TRUE(entry.admitted);
    epochs.retire(entry.parity, 1);
    epochs.flush();
  }
}

TEST(Epochs, AFlushLeavesAtItsDeadlineAndALaterOneGoesOn) {
  Epochs<> epochs;
  const auto first = Epochs<>::admit(epochs.word(0), 1);
  const auto second = Epochs<>::admit(epochs.word(1), 1);
  EXPECT_FALSE(epochs.flush(Deadline::min()));  // has passed: asks and looks, no more
  const Deadline begin = now();
  EXPECT_FALSE(epochs.flush(begin + 20ms));
  EXPECT_GE(now(), begin + 20ms);
  const auto later = Epochs<>::admit(epochs.word(0), 1);
  EXPECT_NE(later.parity, first.parity);  // the epoch is sealed, although those who asked for it have left
  epochs.retire(first.parity, 1);
  EXPECT_FALSE(epochs.flush(Deadline::min()));
  epochs.retire(second.parity, 1);
  EXPECT_FALSE(epochs.flush(Deadline::min()));  // `later` is in flight
  epochs.retire(later.parity, 1);
  EXPECT_TRUE(epochs.flush(Deadline::min()));
  EXPECT_TRUE(epochs.flush(now() + 1h));
}

TEST(Epochs, AFlushBeforeItsDeadlineIsWoken) {
  Epochs<> epochs;
  const auto entry = Epochs<>::admit(epochs.word(0), 1);
  std::atomic<bool> retired{false};
  std::thread graph([&] {
    while (Epochs<>::admit(epochs.word(1), 0).parity == entry.parity) std::this_thread::yield();  // until it is sealed
    retired.store(true);
    epochs.retire(entry.parity, 1);
  });
  EXPECT_TRUE(epochs.flush(now() + 10h));
  EXPECT_TRUE(retired.load());
  graph.join();
}

TEST(Epochs, ACloseThatRanOutOfTimeIsEndedByTheNextOne) {
  Epochs<> epochs;
  const auto entry = Epochs<>::admit(epochs.word(0), 1);
  EXPECT_FALSE(epochs.flush(Deadline::min()));  // seals, before closing
  epochs.begin_close();
  EXPECT_FALSE(epochs.flush(now() + 5ms));
  const auto racing = Epochs<>::admit(epochs.word(1), 1);  // has not seen closing(): admitted, and waited for
  ASSERT_TRUE(racing.admitted);
  epochs.retire(entry.parity, 1);  // ends the first epoch, and seals the next one with closed words
  for (std::size_t i = 0; i < Epochs<>::kShards; ++i) EXPECT_FALSE(Epochs<>::admit(epochs.word(i), 1).admitted);
  EXPECT_FALSE(epochs.flush(now() + 5ms));
  epochs.retire(racing.parity, 1);
  EXPECT_TRUE(epochs.flush(Deadline::min()));
  for (std::size_t i = 0; i < Epochs<>::kShards; ++i) EXPECT_FALSE(Epochs<>::admit(epochs.word(i), 1).admitted);
}

/// An atomic that counts the system calls.
template <class T>
struct CallCountingAtom : std::atomic<T> {
  using std::atomic<T>::atomic;
  static inline int waits = 0, wakes = 0;
  friend void wait_on(CallCountingAtom& word, T old, Deadline deadline) {
    ++waits;
    wait_on(static_cast<std::atomic<T>&>(word), old, deadline);
  }
  friend void wake_all(CallCountingAtom& word) {
    ++wakes;
    wake_all(static_cast<std::atomic<T>&>(word));
  }
};

TEST(Epochs, RetiringMakesNoSystemCallUnlessSomebodySleeps) {
  using Counting = Epochs<CallCountingAtom>;
  int& waits = CallCountingAtom<std::uint32_t>::waits;
  int& wakes = CallCountingAtom<std::uint32_t>::wakes;
  Counting epochs;
  for (int i = 0; i < 1'000; ++i) {
    const auto entry = Counting::admit(epochs.word(0), 2);
    epochs.retire(entry.parity, 1);
    EXPECT_FALSE(epochs.flush(Deadline::min()));
    epochs.retire(entry.parity, 1);  // the last of a sealed epoch, with nobody there any more
    EXPECT_TRUE(epochs.flush());
  }
  EXPECT_EQ(waits, 0);
  EXPECT_EQ(wakes, 0);
  const auto entry = Counting::admit(epochs.word(0), 1);
  EXPECT_FALSE(epochs.flush(now() + 1ms));  // sleeps, and leaves its mark behind
  EXPECT_GT(waits, 0);
  epochs.retire(entry.parity, 1);
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(epochs.flush());
  EXPECT_EQ(wakes, 1);
}

/// Producers, and a thread that retires what they admit, late and in pieces.
class Traffic {
 public:
  explicit Traffic(Epochs<>& epochs) : epochs_(epochs), graph_([this] { retire_all(); }) {}
  ~Traffic() {
    over_.store(true);
    graph_.join();
  }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  /// False: refused.
  bool submit(std::size_t producer, std::int64_t count) {
    const auto entry = Epochs<>::admit(epochs_.word(producer), static_cast<std::uint64_t>(count));
    if (!entry.admitted) return false;
    flying_[entry.parity].fetch_add(count);
    return true;
  }
  [[nodiscard]] std::int64_t in_flight() const { return flying_[0].load() + flying_[1].load(); }

 private:
  void retire_all() {
    while (!over_.load() || in_flight() > 0) {
      bool idle = true;
      for (std::uint8_t parity = 0; parity < 2; ++parity) {
        const std::int64_t count = flying_[parity].load();
        if (count == 0) continue;
        idle = false;
        const std::int64_t some = (count + 1) / 2;
        flying_[parity].fetch_sub(some);
        epochs_.retire(parity, some);
      }
      if (idle) std::this_thread::yield();
    }
  }

  Epochs<>& epochs_;
  std::array<std::atomic<std::int64_t>, 2> flying_{};  // admitted and not retired, by parity
  std::atomic<bool> over_{false};
  std::thread graph_;
};

TEST(Epochs, EachOfManyFlushersSeesItsOwnTasksRetired) {
  constexpr std::size_t kThreads = 4;
  Epochs<> epochs;
  std::array<std::atomic<std::uint64_t>, kThreads> retired_of{};
  std::array<std::array<std::atomic<std::uint64_t>, 2>, kThreads> flying_of{};
  std::atomic<bool> over{false};
  std::thread graph([&] {
    for (bool any = true; any || !over.load();) {
      any = false;
      for (std::size_t t = 0; t < kThreads; ++t)
        for (std::uint8_t parity = 0; parity < 2; ++parity)
          if (const std::uint64_t count = flying_of[t][parity].exchange(0); count > 0) {
            any = true;
            retired_of[t].fetch_add(count, std::memory_order_relaxed);  // relaxed: retire() publishes it
            epochs.retire(parity, static_cast<std::int64_t>(count));
          }
      if (!any) std::this_thread::yield();
    }
  });
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 1; i <= 300; ++i) {
        const auto entry = Epochs<>::admit(epochs.word(t), 3);
        if (!entry.admitted) wrong.fetch_add(1);
        flying_of[t][entry.parity].fetch_add(3);
        if (!epochs.flush()) wrong.fetch_add(1);
        if (retired_of[t].load(std::memory_order_relaxed) != 3 * i) wrong.fetch_add(1);  // relaxed: flush() acquires
      }
    });
  for (auto& thread : threads) thread.join();
  over.store(true);
  graph.join();
  EXPECT_EQ(wrong.load(), 0u);
}

TEST(Epochs, ManyThreadsFlushAndCloseAtOnceWithAndWithoutDeadlines) {
  const std::uint64_t seed = test::test_seed();
  for (std::uint64_t round = 0; round < 60; ++round) {
    Epochs<> epochs;
    Traffic traffic(epochs);
    std::atomic<int> refused{0}, flushed{0}, left{0}, closed{0}, late{0}, unretired{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 2; ++t)
      threads.emplace_back([&, t] {
        for (;;) {
          const bool was_closed = closed.load() != 0;
          if (!traffic.submit(t, 1 + static_cast<std::int64_t>(t))) break;
          if (was_closed) late.fetch_add(1);
        }
        refused.fetch_add(1);
      });
    for (std::uint64_t t = 0; t < 3; ++t)
      threads.emplace_back([&, t] {
        std::mt19937_64 random(seed + round * 16 + t);
        for (int i = 0; i < 30; ++i) {
          const bool said =
              epochs.flush(random() % 2 == 0 ? Deadline::max() : now() + std::chrono::microseconds(random() % 200));
          (said ? flushed : left).fetch_add(1);
        }
      });
    for (std::uint64_t t = 0; t < 2; ++t)
      threads.emplace_back([&, t] {
        std::mt19937_64 random(seed + round * 16 + 8 + t);
        while (flushed.load() + left.load() < static_cast<int>(5 + 10 * t)) std::this_thread::yield();
        epochs.begin_close();
        while (!epochs.flush(now() + std::chrono::microseconds(random() % 100))) {
        }
        closed.fetch_add(1);
        for (std::size_t w = 0; w < Epochs<>::kShards; ++w)
          if (Epochs<>::admit(epochs.word(w), 1).admitted) late.fetch_add(1);
        if (traffic.in_flight() != 0) unretired.fetch_add(1);
      });
    for (auto& thread : threads) thread.join();
    ASSERT_EQ(refused.load(), 2);
    ASSERT_EQ(flushed.load() + left.load(), 90);
    ASSERT_EQ(late.load(), 0);
    ASSERT_EQ(unretired.load(), 0);
    ASSERT_TRUE(epochs.flush(Deadline::min()));
  }
}

/// A clock that goes on at each look. It stands so far ahead that a wait until one of its times lasts until the
/// scheduler ends it.
struct LookClock {
  using time_point = Deadline;
  static inline int looks = 0;
  static inline const time_point kBegin = std::chrono::steady_clock::now() + std::chrono::hours(1'000);
  static time_point now() { return kBegin + std::chrono::hours(looks++); }
  static time_point after(std::size_t more) { return kBegin + std::chrono::hours(looks + static_cast<int>(more)); }
};

/// Two submitters that retire what they submit, two flushes and a close, each of which may have a deadline. A close
/// that ran out of time may close again.
template <template <class> class Atom>
class Scene {
 public:
  using Tested = Epochs<Atom, 2, LookClock>;

  explicit Scene(const Stepped::Choose& choose) {
    LookClock::looks = 0;
    for (std::size_t me = 0; me < 2; ++me)
      bodies.emplace_back([this, me, turned = choose(2) != 0] { submit(me, turned); });
    for (std::size_t me = 0; me < 2; ++me) bodies.emplace_back([this, patience = choose(4)] { flush(patience); });
    bodies.emplace_back([this, patience = choose(4), again = choose(2) != 0] {
      epochs.begin_close();
      if (flush(patience) || (again && flush(0))) check_closed();
    });
  }
  /// What went wrong, if anything did.
  [[nodiscard]] std::string wrong() const {
    if (flushes_too_early != 0) return "a flush said true too early";
    if (closes_too_early != 0) return "a close said true too early";
    if (admitted_when_closed != 0) return "a task was admitted after a close had said true";
    return {};
  }

  Tested epochs;
  Stepped::Bodies bodies;
  int flushes_too_early = 0, closes_too_early = 0, admitted_when_closed = 0;

 private:
  enum class Task : std::uint8_t { unborn, flies, retired };
  using Tasks = std::array<Task, 4>;

  void submit(std::size_t me, bool turned) {
    std::array<typename Tested::Entry, 2> entries{};
    std::size_t count = 0;
    while (count < 2 && (entries[count] = Tested::admit(epochs.word(me), 1)).admitted) {
      if (closed) ++admitted_when_closed;
      tasks[2 * me + count++] = Task::flies;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t task = turned ? count - 1 - i : i;
      tasks[2 * me + task] = Task::retired;
      epochs.retire(entries[task].parity, 1);
    }
  }
  /// `patience`: how many looks; 0: for ever.
  bool flush(std::size_t patience) {
    const Tasks before = tasks;
    const bool said = epochs.flush(patience == 0 ? Deadline::max() : LookClock::after(patience - 1));
    for (std::size_t i = 0; i < before.size(); ++i)
      if (said && before[i] != Task::unborn && tasks[i] != Task::retired) ++flushes_too_early;
    return said;
  }
  void check_closed() {
    closed = true;
    for (const Task task : tasks)
      if (task == Task::flies) ++closes_too_early;
  }

  Tasks tasks{};
  bool closed = false;
};

template <template <class> class Atom>
std::string play(const Stepped::Choose& choose) {
  Scene<Atom> scene(choose);
  std::string stuck = Stepped::try_run(scene.bodies, choose, Stepped::Memory::store_buffers);
  return stuck.empty() ? scene.wrong() : stuck;
}

TEST(Epochs, RandomInterleavingsOfSubmittersFlushersAndACloser) {
  Stepped::random_orders(kOrders, 0, [](const Stepped::Choose& choose) { ASSERT_EQ(play<SteppedAtom>(choose), ""); });
}

TEST(Epochs, EveryInterleavingOfAFlushWithTheLastTaskThatRetires) {
  const std::size_t orders = Stepped::every_order([](const Stepped::Choose& choose) {
    Epochs<SteppedAtom, 1> epochs;
    const auto entry = Epochs<SteppedAtom, 1>::admit(epochs.word(0), 1);
    bool retired = false, early = false;
    Stepped::run({[&] {
                    retired = true;
                    epochs.retire(entry.parity, 1);
                  },
                  [&] {
                    epochs.flush();
                    early = !retired;
                  }},
                 choose, Stepped::Memory::store_buffers);
    ASSERT_FALSE(early);
  });
  EXPECT_GT(orders, 1'000u);
}

// The scheduler must find what these atomics break, or the tests above show nothing.

/// A submit reads the epoch and counts itself in two steps.
template <class T>
struct TwoStepAtom : SteppedAtom<T> {
  using SteppedAtom<T>::SteppedAtom;
  T fetch_add(T value, std::memory_order order) {
    if constexpr (!std::is_same_v<T, std::uint64_t>) return SteppedAtom<T>::fetch_add(value, order);
    const T old = this->load(std::memory_order_acquire);
    SteppedAtom<T>::fetch_add(value, order);
    return old;
  }
};
/// The leader steps down without looking whether somebody has asked meanwhile.
template <class T>
struct DeafAtom : SteppedAtom<T> {
  using SteppedAtom<T>::SteppedAtom;
  bool compare_exchange_strong(T& expected, T value, std::memory_order success, std::memory_order failure) {
    if (value != 0) return SteppedAtom<T>::compare_exchange_strong(expected, value, success, failure);
    SteppedAtom<T>::exchange(value, success);
    return true;
  }
};
/// A flush falls asleep without comparing the turn.
template <class T>
struct BlindAtom : SteppedAtom<T> {
  using SteppedAtom<T>::SteppedAtom;
  friend void wait_on(BlindAtom& word, T, Deadline deadline) {
    Stepped::step();
    Stepped::block(&word, deadline != Deadline::max());
  }
  friend void wake_all(BlindAtom& word) { word.notify_all(); }
};
/// The end of an epoch overlooks the mark of those who sleep.
template <class T>
struct MarkLosingAtom : SteppedAtom<T> {
  using SteppedAtom<T>::SteppedAtom;
  T exchange(T value, std::memory_order order) {
    if constexpr (!std::is_same_v<T, std::uint32_t>) return SteppedAtom<T>::exchange(value, order);
    const T old = this->load(std::memory_order_acquire);
    SteppedAtom<T>::exchange(value, order);
    return old;
  }
};

template <template <class> class Atom>
std::size_t rounds_to_go_wrong() {
  return Stepped::rounds_to_find(kOrders, 0, [](const Stepped::Choose& choose) { return !play<Atom>(choose).empty(); });
}

TEST(Epochs, SchedulerFindsThePlantedErrors) {
  EXPECT_GT(rounds_to_go_wrong<TwoStepAtom>(), 0u);
  EXPECT_GT(rounds_to_go_wrong<DeafAtom>(), 0u);
  EXPECT_GT(rounds_to_go_wrong<BlindAtom>(), 0u);
  EXPECT_GT(rounds_to_go_wrong<MarkLosingAtom>(), 0u);
}

}  // namespace
}  // namespace pawl
