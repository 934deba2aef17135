#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "order/stream_turns.h"
#include "stage_doubles.h"
#include "stepped.h"

namespace pawl {
namespace {

using test::Stepped;

/// One stream of numbered tasks, each with a slot of its own, and the rules it must keep.
template <template <class> class Atom = std::atomic>
class Case {
 public:
  using T = StreamTurns<Atom>;

  explicit Case(std::uint32_t count) : tasks_(count + 1) {}

  /// The one that has just entered is not always the youngest: other threads enter too.
  void enter(std::uint32_t index) {
    T::prepare(tasks_[index].link, false);
    const bool in = T::try_enter(word_, kVersion, index, Slab{*this});
    EXPECT_TRUE(in);
  }
  void arrive(std::uint32_t index) {
    idle_ += T::arrive(word_, index, Slab{*this}, [this](typename T::Link& link) { visit(link); });
  }
  void retire(std::uint32_t index) { Slab{*this}.release(index); }

  /// After everything has entered in the order of the indices, arrived and retired.
  [[nodiscard]] testing::AssertionResult kept() {
    if (visited.size() != tasks_.size() - 1) return testing::AssertionFailure() << visited.size() << " visited";
    if (!std::is_sorted(visited.begin(), visited.end()))
      return testing::AssertionFailure() << "order " << testing::PrintToString(visited);
    for (std::size_t i = 1; i < tasks_.size(); ++i)
      if (tasks_[i].holders.load(std::memory_order_relaxed) != 0)
        return testing::AssertionFailure() << "task " << i << " is still held";
    if (word_.load(std::memory_order_relaxed) != T::word_of(kVersion, 0) || idle_ == 0)
      return testing::AssertionFailure() << "the stream is not idle";
    return testing::AssertionSuccess();
  }

  std::vector<std::uint32_t> visited;

 private:
  static constexpr std::uint64_t kVersion = 6;
  struct Task {
    typename T::Link link;
    Atom<std::uint32_t> holders{1};
  };
  struct Slab {
    Case& owner;
    typename T::Link& link(std::uint32_t index) const {
      EXPECT_NE(owner.tasks_[index].holders.load(std::memory_order_relaxed), 0u) << "a look at a released link";
      return owner.tasks_[index].link;
    }
    void hold(std::uint32_t index) const { owner.tasks_[index].holders.fetch_add(1, std::memory_order_relaxed); }
    void release(std::uint32_t index) const {
      EXPECT_NE(owner.tasks_[index].holders.fetch_sub(1, std::memory_order_acq_rel), 0u) << "released twice";
    }
  };
  void visit(typename T::Link& link) {
    const auto is_it = [&](const Task& task) { return &task.link == &link; };
    visited.push_back(static_cast<std::uint32_t>(std::find_if(tasks_.begin(), tasks_.end(), is_it) - tasks_.begin()));
    if (retires) retire(visited.back());
  }

  typename T::Word word_{T::word_of(kVersion, 0)};
  std::vector<Task> tasks_;  // from 1
  int idle_ = 0;

 public:
  bool retires = true;  // a task retires in its visit
};

TEST(StreamTurns, SingleTaskGoesWhenItArrives) {
  Case<> one(1);
  one.enter(1);
  EXPECT_TRUE(one.visited.empty());
  one.arrive(1);
  EXPECT_TRUE(one.kept());
}

TEST(StreamTurns, LaterTaskWaitsForTheEarlierOne) {
  Case<> two(2);
  two.enter(1);
  two.enter(2);
  two.arrive(2);
  EXPECT_TRUE(two.visited.empty());
  two.arrive(1);
  EXPECT_TRUE(two.kept());
}

TEST(StreamTurns, EnterWithAnotherVersionDoesNothing) {
  using T = StreamTurns<>;
  struct Slab {
    T::Link& only;
    T::Link& link(std::uint32_t) const { return only; }
    void hold(std::uint32_t) const {}
    void release(std::uint32_t) const {}
  };
  T::Link link;
  T::prepare(link, false);
  T::Word word{T::word_of(4, 0)};
  EXPECT_FALSE(T::try_enter(word, 2, 1, Slab{link}));
  EXPECT_TRUE(T::in_use(word.load(std::memory_order_relaxed)));
  EXPECT_TRUE(T::take_out_of_use(word));
  EXPECT_FALSE(T::in_use(word.load(std::memory_order_relaxed)));
  EXPECT_FALSE(T::try_enter(word, 4, 1, Slab{link}));
  EXPECT_EQ(word.load(std::memory_order_relaxed), T::word_of(5, 0));
}

TEST(StreamTurns, BusyStreamIsNotTakenOutOfUse) {
  StreamTurns<>::Word word{StreamTurns<>::word_of(4, 17)};
  EXPECT_FALSE(StreamTurns<>::take_out_of_use(word));
  EXPECT_EQ(word.load(std::memory_order_relaxed), StreamTurns<>::word_of(4, 17));
}

/// Goes through every order of enters (1, 2, 3 …) and arrivals (each after its enter).
std::size_t every_sequence(std::uint32_t count, std::vector<int>& steps, std::uint32_t entered,
                           std::set<std::uint32_t>& here) {
  if (entered == count && here.empty()) {
    Case<> all(count);
    for (const int step : steps) {
      if (step < 0)
        all.arrive(static_cast<std::uint32_t>(-step));
      else
        all.enter(static_cast<std::uint32_t>(step));
    }
    EXPECT_TRUE(all.kept()) << testing::PrintToString(steps);
    return 1;
  }
  std::size_t sequences = 0;
  if (entered < count) {
    here.insert(entered + 1);
    steps.push_back(static_cast<int>(entered + 1));
    sequences += every_sequence(count, steps, entered + 1, here);
    steps.pop_back();
    here.erase(entered + 1);
  }
  for (const std::uint32_t task : std::set<std::uint32_t>(here)) {
    here.erase(task);
    steps.push_back(-static_cast<int>(task));
    sequences += every_sequence(count, steps, entered, here);
    steps.pop_back();
    here.insert(task);
  }
  return sequences;
}

TEST(StreamTurns, EverySequenceOfEntersAndArrivalsKeepsTheOrder) {
  std::vector<int> steps;
  std::set<std::uint32_t> here;
  EXPECT_EQ(every_sequence(2, steps, 0, here), 3u);
  EXPECT_EQ(every_sequence(5, steps, 0, here), 945u);  // 9·7·5·3
}

TEST(StreamTurns, EveryInterleavingOfAnArrivalWithASuccessor) {
  const std::size_t orders = Stepped::every_order([](const Stepped::Choose& choose) {
    Case<test::SteppedAtom> two(2);
    two.enter(1);
    Stepped::run({[&] { two.arrive(1); }, [&] { two.enter(2); }}, choose);
    two.arrive(2);
    ASSERT_TRUE(two.kept());
  });
  EXPECT_GT(orders, 50u);
}

// The tasks enter in one actor and arrive in another, shuffled among those that have entered; retirements are its own.
TEST(StreamTurns, RandomInterleavingsKeepTheOrder) {
  constexpr std::uint32_t kCount = 8;
  const std::size_t rounds = Stepped::random_orders(100'000, 0, [](const Stepped::Choose& choose) {
    Case<test::SteppedAtom> all(kCount);
    all.retires = false;
    test::SteppedAtom<std::uint32_t> entered{0}, visits{0};
    Stepped::run({[&] {
                    for (std::uint32_t i = 1; i <= kCount; ++i) {
                      all.enter(i);
                      entered.fetch_add(1, std::memory_order_release);
                      entered.notify_all();
                    }
                  },
                  [&] {
                    std::vector<std::uint32_t> here;
                    for (std::uint32_t seen = 0, left = kCount; left > 0; --left) {
                      if (here.empty()) entered.wait(seen, std::memory_order_acquire);
                      for (const std::uint32_t upto = entered.load(std::memory_order_acquire); seen < upto;)
                        here.push_back(++seen);
                      std::swap(here[here.size() == 1 ? 0 : choose(here.size())], here.back());
                      all.arrive(here.back());
                      here.pop_back();
                      visits.store(static_cast<std::uint32_t>(all.visited.size()), std::memory_order_release);
                      visits.notify_all();
                    }
                  },
                  [&] {
                    for (std::uint32_t retired = 0; retired < kCount; ++retired) {
                      visits.wait(retired, std::memory_order_acquire);
                      all.retire(all.visited[retired]);
                    }
                  }},
                 choose);
    ASSERT_TRUE(all.kept());
  });
  EXPECT_GT(rounds, 0u);
}

// One stream of ten million tasks through few slots: a producer, and a thread that lets them arrive, shuffled, and
// retires them.
TEST(StreamTurns, OneStreamOfTenMillionTasksKeepsItsOrder) {
  using T = StreamTurns<>;
#if defined(__SANITIZE_THREAD__)
  constexpr std::size_t kCount = 1'000'000;  // enough for the sanitizer, at a twentieth of the speed
#else
  constexpr std::size_t kCount = 10'000'000;
#endif
  constexpr std::uint32_t kSlots = 1024;
  const std::uint64_t seed = test::test_seed();
  struct Slot : T::Link {
    std::atomic<std::uint32_t> holders{0};
    std::size_t number = 0;
  };
  std::vector<Slot> slots(kSlots + 1);
  struct Slab {
    std::vector<Slot>& all;
    T::Link& link(std::uint32_t index) const { return all[index]; }
    void hold(std::uint32_t index) const { all[index].holders.fetch_add(1, std::memory_order_relaxed); }
    void release(std::uint32_t index) const { all[index].holders.fetch_sub(1, std::memory_order_acq_rel); }
  } slab{slots};
  T::Word word{T::word_of(2, 0)};
  std::atomic<std::size_t> entered{0};
  std::thread producer([&] {
    for (std::size_t i = 0; i < kCount; ++i) {
      const auto index = static_cast<std::uint32_t>(i % kSlots) + 1;
      Slot& slot = slots[index];
      while (slot.holders.load(std::memory_order_acquire) != 0) std::this_thread::yield();
      slot.holders.store(1, std::memory_order_relaxed);
      slot.number = i;
      T::prepare(slot, false);
      if (!T::try_enter(word, 2, index, slab)) std::abort();
      entered.store(i + 1, std::memory_order_release);
    }
  });
  std::minstd_rand random(static_cast<std::uint32_t>(seed));
  std::vector<std::uint32_t> here;
  std::size_t seen = 0, visited = 0, wrong = 0;
  while (visited < kCount) {
    for (const std::size_t upto = entered.load(std::memory_order_acquire); seen < upto; ++seen)
      here.push_back(static_cast<std::uint32_t>(seen % kSlots) + 1);
    if (here.empty()) std::this_thread::yield();
    for (std::size_t left = (here.size() + 1) / 2; left > 0; --left) {
      std::swap(here[random() % here.size()], here.back());
      const std::uint32_t index = here.back();
      here.pop_back();
      T::arrive(word, index, slab, [&](T::Link& link) {
        Slot* slot = static_cast<Slot*>(&link);
        wrong += slot->number != visited++;
        slab.release(static_cast<std::uint32_t>(slot - slots.data()));
      });
    }
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(word.load(std::memory_order_relaxed), T::word_of(2, 0));
}

}  // namespace
}  // namespace pawl
