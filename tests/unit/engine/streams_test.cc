#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "order/streams.h"
#include "queue/free_stack.h"
#include "stage_doubles.h"
#include "stepped.h"
#include "streams_rig.h"

namespace pawl {
namespace {

using test::Stepped;
using test::StreamsRig;

/// Streams and numbered tasks of one thread.
class OneThread {
 public:
  using S = Streams<>;
  explicit OneThread(const StreamLimits& limits, std::uint32_t slots = 64) : streams(limits), links_(slots + 1) {}

  S::Stream& enter(std::string_view name, std::uint32_t index) {
    return streams.enter(handle, S::key_of(name), index, Slab{*this});
  }
  void look_ahead(std::string_view name) {
    streams.prefetch(S::key_of(name));
    streams.look_ahead(handle, S::key_of(name), Slab{*this});
  }
  void arrive(S::Stream& stream, std::uint32_t index) {
    streams.arrive(stream, index, Slab{*this},
                   [this](S::Link& link) { visited.push_back(static_cast<std::uint32_t>(&link - links_.data())); });
  }
  /// A task that comes and goes.
  S::Stream& pass(std::string_view name) {
    S::Stream& stream = enter(name, 1);
    arrive(stream, 1);
    return stream;
  }

  S streams;
  S::Handle handle;
  std::vector<std::uint32_t> visited;

 private:
  struct Slab {
    OneThread& owner;
    S::Link& link(std::uint32_t index) const { return owner.links_[index]; }
    void hold(std::uint32_t) const { ADD_FAILURE() << "one thread always finds its successor"; }
    void release(std::uint32_t) const { ADD_FAILURE() << "one thread always finds its successor"; }
  };
  std::vector<S::Link> links_;
};

std::string_view number(std::uint64_t value, std::array<char, 24>& space) {
  return {space.data(), std::to_chars(space.data(), space.data() + space.size(), value).ptr};
}

TEST(Streams, SameNameIsTheSameStream) {
  OneThread one({});
  auto& first = one.enter("alpha", 1);
  EXPECT_EQ(&one.enter("beta", 2), &one.enter("beta", 3));
  EXPECT_EQ(&one.enter("alpha", 4), &first);
  EXPECT_FALSE(first.broken);
}

TEST(Streams, DifferentNamesAreDifferentStreamsInOneBucketToo) {
  OneThread one({.tasks_in_flight = 1, .idle_streams = 0, .buckets_min = 1}, 500);
  std::set<OneThread::S::Stream*> seen;
  std::array<char, 24> space;
  for (std::uint32_t i = 1; i <= 500; ++i) seen.insert(&one.enter(number(i, space), i));
  EXPECT_EQ(seen.size(), 500u);
}

TEST(Streams, NamesMayHoldAnyByte) {
  const std::string with_zero("a\0b", 3);
  EXPECT_NE(Streams<>::key_of(with_zero), Streams<>::key_of("a"));
  EXPECT_NE(Streams<>::key_of(with_zero), Streams<>::key_of(std::string("a\0c", 3)));
}

TEST(Streams, TasksOfAStreamGoInTheOrderTheyEntered) {
  OneThread one({});
  auto& alpha = one.enter("alpha", 1);
  auto& beta = one.enter("beta", 2);
  (void)one.enter("alpha", 3);
  (void)one.enter("alpha", 4);
  one.arrive(alpha, 4);
  one.arrive(alpha, 3);
  EXPECT_TRUE(one.visited.empty());
  one.arrive(beta, 2);
  one.arrive(alpha, 1);
  EXPECT_EQ(one.visited, (std::vector<std::uint32_t>{2, 1, 3, 4}));
}

TEST(Streams, IdleStreamIsFoundAgainUpToTheBound) {
  OneThread one({.idle_streams = 2});
  auto& alpha = one.pass("alpha");
  auto& beta = one.pass("beta");
  EXPECT_EQ(&one.pass("alpha"), &alpha);
  EXPECT_EQ(&one.pass("beta"), &beta);
  EXPECT_EQ(one.streams.idle(), 2u);
  EXPECT_EQ(one.streams.made(), 2u);
}

TEST(Streams, BeyondTheBoundTheOldestIdleOneIsUsedAgain) {
  OneThread one({.idle_streams = 2});
  auto& alpha = one.pass("alpha");
  one.pass("beta");
  one.pass("gamma");  // takes alpha back
  EXPECT_EQ(one.streams.idle(), 2u);
  EXPECT_EQ(&one.enter("delta", 2), &alpha);
  EXPECT_NE(&one.enter("alpha", 3), &alpha);
  EXPECT_EQ(one.streams.made(), 4u);
}

TEST(Streams, HandleOfAStreamTakenBackDoesNotEnterItsSuccessor) {
  OneThread one({.idle_streams = 0});
  auto& first = one.pass("alpha");
  OneThread::S::Handle of_alpha = one.handle;
  auto& beta = one.enter("beta", 2);
  ASSERT_EQ(&beta, &first) << "the stream was not used again";
  one.handle = of_alpha;
  auto& alpha = one.enter("alpha", 3);
  EXPECT_NE(&alpha, &beta);
  one.arrive(alpha, 3);
  EXPECT_EQ(one.visited, (std::vector<std::uint32_t>{1, 3}));
}

TEST(Streams, LookAheadFindsTheStreamAndIsFoundOutIfItIsTakenBackThen) {
  OneThread one({.idle_streams = 0});
  one.look_ahead("alpha");  // not there yet
  auto& alpha = one.enter("alpha", 1);
  one.handle = {};
  one.look_ahead("alpha");
  EXPECT_EQ(&one.enter("alpha", 2), &alpha);
  one.arrive(alpha, 1);
  one.arrive(alpha, 2);
  one.look_ahead("alpha");
  const OneThread::S::Handle of_alpha = one.handle;
  ASSERT_EQ(&one.pass("beta"), &alpha) << "the stream was not used again";
  one.handle = of_alpha;
  one.enter("alpha", 3);
  EXPECT_EQ(one.visited, (std::vector<std::uint32_t>{1, 2, 1}));
}

TEST(Streams, BusyStreamIsNotTakenBackAndIsLater) {
  OneThread one({.idle_streams = 1});
  one.pass("alpha");
  auto& alpha = one.enter("alpha", 2);
  one.pass("beta");  // alpha is the oldest in the queue, but busy
  EXPECT_EQ(&one.enter("alpha", 3), &alpha);
  EXPECT_EQ(one.streams.idle(), 1u);
  one.arrive(alpha, 2);
  one.arrive(alpha, 3);  // takes beta back
  EXPECT_EQ(one.streams.idle(), 1u);
  EXPECT_EQ(&one.enter("alpha", 4), &alpha);
  EXPECT_EQ(one.streams.made(), 2u);
}

TEST(Streams, BrokenStreamIsKept) {
  OneThread one({.idle_streams = 0});
  auto& alpha = one.enter("alpha", 1);
  alpha.broken = true;
  one.arrive(alpha, 1);
  std::array<char, 24> space;
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_NE(&one.pass(number(i, space)), &alpha);
  EXPECT_EQ(&one.enter("alpha", 2), &alpha);
  EXPECT_TRUE(alpha.broken);
  EXPECT_EQ(one.streams.made(), 2u);
}

TEST(Streams, StreamThatBreaksWhileItIsQueuedIsKept) {
  OneThread one({.idle_streams = 1});
  one.pass("alpha");
  auto& alpha = one.enter("alpha", 1);
  alpha.broken = true;
  one.arrive(alpha, 1);
  one.pass("beta");
  one.pass("gamma");
  EXPECT_EQ(&one.enter("alpha", 2), &alpha);
  EXPECT_TRUE(alpha.broken);
}

TEST(Streams, TenMillionNamesOneAfterAnotherTakeNoMoreThanTheBound) {
#if defined(__SANITIZE_THREAD__)
  constexpr std::uint64_t kNames = 1'000'000;  // one thread: nothing for the sanitizer to see
#else
  constexpr std::uint64_t kNames = 10'000'000;
#endif
  constexpr std::uint32_t kWindow = 64, kIdle = 1000;
  OneThread one({.tasks_in_flight = kWindow, .idle_streams = kIdle}, kWindow);
  std::vector<OneThread::S::Stream*> at(kWindow + 1, nullptr);
  std::array<char, 24> space;
  std::uint64_t visited = 0;
  for (std::uint64_t i = 0; i < kNames; ++i) {
    const auto slot = static_cast<std::uint32_t>(i % kWindow) + 1;
    if (at[slot] != nullptr) one.arrive(*at[slot], slot);
    visited += one.visited.size();
    one.visited.clear();
    at[slot] = &one.enter(number(i, space), slot);
  }
  EXPECT_EQ(visited, kNames - kWindow);
  EXPECT_LE(one.streams.made(), kIdle + kWindow + 1);
  EXPECT_EQ(one.streams.idle(), kIdle);
}

TEST(Streams, AHundredThousandStreamsAtOnceKeepTheirOrder) {
  constexpr std::uint32_t kStreams = 100'000, kEach = 3;
  const std::uint64_t seed = test::test_seed();
  OneThread one({.tasks_in_flight = kStreams * kEach}, kStreams * kEach);
  std::vector<OneThread::S::Stream*> at(kStreams);
  std::array<char, 24> space;
  std::vector<std::uint32_t> slots;
  for (std::uint32_t i = 0; i < kStreams * kEach; ++i) {
    auto& stream = one.enter(number(i % kStreams, space), i + 1);
    if (i < kStreams) at[i] = &stream;
    ASSERT_EQ(at[i % kStreams], &stream);
    slots.push_back(i + 1);
  }
  std::shuffle(slots.begin(), slots.end(), std::mt19937_64(seed));
  for (const std::uint32_t slot : slots) one.arrive(*at[(slot - 1) % kStreams], slot);
  ASSERT_EQ(one.visited.size(), slots.size());
  std::vector<std::uint32_t> next(kStreams, 0);
  for (const std::uint32_t slot : one.visited) ASSERT_EQ((slot - 1) / kStreams, next[(slot - 1) % kStreams]++);
  EXPECT_EQ(one.streams.made(), kStreams);
  EXPECT_EQ(one.streams.idle(), StreamLimits{}.idle_streams);
}

/// Two or three producers, few keys in one bucket, an idle bound so low that streams are taken back all the time.
void random_streams(const Stepped::Choose& choose, std::uint64_t breaks, std::size_t handles = 1) {
  StreamsRig::Shape shape;
  shape.handles = handles;
  shape.slots = 2 + choose(3);
  shape.breaks = breaks;
  shape.limits.idle_streams = static_cast<std::uint32_t>(choose(3));
  const std::size_t producers = 2 + choose(2), keys = 1 + choose(3), each = 2 + choose(3);
  std::vector<std::vector<std::uint64_t>> submits(producers);
  for (auto& of_one : submits)
    for (std::size_t i = 0; i < each; ++i) of_one.push_back(choose(keys) * 1024);  // one bucket for all
  StreamsRig rig(shape, submits, choose);
  rig.run();
  ASSERT_TRUE(rig.kept());
}

TEST(Streams, RandomInterleavingsKeepOrderAndOneStreamPerKey) {
  const std::size_t rounds =
      Stepped::random_orders(100'000, 0, [](const Stepped::Choose& choose) { random_streams(choose, 0); });
  EXPECT_GT(rounds, 0u);
}

TEST(Streams, RandomInterleavingsWithLooksAheadKeepOrderAndOneStreamPerKey) {
  const std::size_t rounds =
      Stepped::random_orders(100'000, 0, [](const Stepped::Choose& choose) { random_streams(choose, 0, 2); });
  EXPECT_GT(rounds, 0u);
}

TEST(Streams, RandomInterleavingsForgetNoBrokenStream) {
  const std::size_t rounds =
      Stepped::random_orders(100'000, 0, [](const Stepped::Choose& choose) { random_streams(choose, 4); });
  EXPECT_GT(rounds, 0u);
}

// Every task is of a new stream, so that streams are made, freed and used again as often as can be.
TEST(Streams, RandomInterleavingsOfNewStreamsOnly) {
  const std::size_t rounds = Stepped::random_orders(100'000, 0, [](const Stepped::Choose& choose) {
    StreamsRig::Shape shape;
    shape.slots = 3 + choose(2);
    std::vector<std::vector<std::uint64_t>> submits(3);
    for (std::uint64_t key = 0; key < 12; ++key) submits[key % 3].push_back(key);
    StreamsRig rig(shape, submits, choose);
    rig.run();
    ASSERT_TRUE(rig.kept());
  });
  EXPECT_GT(rounds, 0u);
}

/// Threads: producers that submit to streams of their own and to common ones, and one that lets the tasks arrive,
/// shuffled, and retires them. Handed over without any lock, so that ThreadSanitizer sees the orderings of the streams.
class Race {
 public:
  static constexpr std::uint32_t kSlots = 256, kProducers = 3;
  static constexpr std::size_t kEach = 40'000;

  Race(std::uint64_t seed, std::uint32_t idle)
      : seed_(seed),
        streams_({.tasks_in_flight = kSlots, .idle_streams = idle, .buckets_min = 16}),
        slots_(kSlots + 1) {
    for (std::uint32_t index = 1; index <= kSlots; ++index) free_.give(&index, 1);
  }
  void run() {
    std::vector<std::thread> threads;
    for (std::uint32_t p = 0; p < kProducers; ++p) threads.emplace_back([this, p] { produce(p); });
    arrive_all();
    for (auto& thread : threads) thread.join();
  }
  void expect_kept() const {
    EXPECT_EQ(wrong_, 0u);
    std::uint32_t all[kSlots];
    EXPECT_EQ(const_cast<FreeStack<>&>(free_).take(all, kSlots), kSlots);
    EXPECT_LE(streams_.made(), streams_.idle() + kSlots + kProducers + 1);
  }

 private:
  using S = Streams<>;
  static constexpr std::uint64_t kKeys = 96;
  struct Slot : S::Link {
    std::atomic<std::uint32_t> holders{0};
    S::Stream* stream = nullptr;
    std::uint32_t producer = 0;
    std::uint64_t key = 0, nth = 0;  // of the producer's tasks with this key
  };
  struct Slab {
    Race& race;
    S::Link& link(std::uint32_t index) const { return race.slots_[index]; }
    void hold(std::uint32_t index) const { race.slots_[index].holders.fetch_add(1, std::memory_order_relaxed); }
    void release(std::uint32_t index) const {
      if (race.slots_[index].holders.fetch_sub(1, std::memory_order_acq_rel) == 1) race.free_.give(&index, 1);
    }
  };
  struct alignas(kCacheLine) Lane {
    std::vector<std::uint32_t> slots = std::vector<std::uint32_t>(kEach);
    std::atomic<std::size_t> filled{0};  // written by the producer; publishes slots
  };

  void produce(std::uint32_t p) {
    std::mt19937_64 random(seed_ + p);
    S::Handle handle;
    std::vector<std::uint64_t> nth(kKeys, 0);
    for (std::size_t i = 0; i < kEach; ++i) {
      std::uint32_t index = 0;
      while (free_.take(&index, 1) == 0) std::this_thread::yield();
      Slot& slot = slots_[index];
      slot.holders.store(1, std::memory_order_relaxed);
      slot.producer = p;
      slot.key = random() % kKeys;
      slot.nth = nth[slot.key]++;
      slot.stream = &streams_.enter(handle, slot.key, index, Slab{*this});
      lanes_[p].slots[i] = index;
      lanes_[p].filled.store(i + 1, std::memory_order_release);
    }
  }
  void arrive_all() {
    std::mt19937_64 random(seed_ + kProducers);
    std::vector<std::uint64_t> next(kKeys * kProducers, 0);
    std::vector<std::uint32_t> here;
    std::size_t seen[kProducers] = {}, visited = 0;
    while (visited < kEach * kProducers) {
      for (std::uint32_t p = 0; p < kProducers; ++p)
        for (const std::size_t upto = lanes_[p].filled.load(std::memory_order_acquire); seen[p] < upto;)
          here.push_back(lanes_[p].slots[seen[p]++]);
      if (here.empty()) std::this_thread::yield();
      for (std::size_t left = (here.size() + 1) / 2; left > 0; --left) {
        std::swap(here[random() % here.size()], here.back());
        const std::uint32_t index = here.back();
        here.pop_back();
        streams_.arrive(*slots_[index].stream, index, Slab{*this}, [&](S::Link& link) {
          ++visited;
          const Slot& slot = static_cast<const Slot&>(link);
          wrong_ += slot.nth != next[slot.key * kProducers + slot.producer]++;
          Slab{*this}.release(static_cast<std::uint32_t>(&slot - slots_.data()));
        });
      }
    }
  }

  const std::uint64_t seed_;
  S streams_;
  std::vector<Slot> slots_;
  FreeStack<> free_{kSlots};
  Lane lanes_[kProducers];
  std::size_t wrong_ = 0;
};

TEST(Streams, ThreadsThatRaceKeepTheOrder) {
  const std::uint64_t seed = test::test_seed();
  for (const std::uint32_t idle : {0u, 8u, 1000u}) {
    Race race(seed + idle, idle);
    race.run();
    race.expect_kept();
  }
}

}  // namespace
}  // namespace pawl
