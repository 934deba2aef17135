#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "queue/credits.h"

namespace pawl {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

Limits limits_of(std::uint32_t tasks, std::uint64_t bytes = kMiB) {
  return {.tasks_in_flight = tasks, .bytes_in_flight = bytes, .encode_threads = 1};
}

TEST(Credits, HoldAsManySlotsAsTheLimit) {
  Credits credits(limits_of(5));
  std::vector<Slot*> slots(8);
  EXPECT_EQ(credits.take_slots(slots.data(), 8), 5u);
  EXPECT_EQ(credits.take_slots(slots.data(), 8), 0u);
  credits.give_slots(slots.data(), 5);
  EXPECT_EQ(credits.take_slots(slots.data(), 8), 5u);
  credits.give_slots(slots.data(), 5);
}

TEST(Credits, BytesAreRefusedOverTheLimitAndARefusalLeavesNoTrace) {
  Credits credits(limits_of(5));
  EXPECT_TRUE(credits.take_bytes(kMiB - 10));
  EXPECT_FALSE(credits.take_bytes(11));
  EXPECT_EQ(credits.bytes(), kMiB - 10);
  EXPECT_TRUE(credits.take_bytes(10));
  credits.give_bytes(kMiB);
  EXPECT_EQ(credits.bytes(), 0u);
}

TEST(Credits, OversizedTaskIsLetInOnlyAlone) {
  Credits credits(limits_of(5));
  EXPECT_TRUE(credits.take_bytes(1));
  EXPECT_FALSE(credits.take_bytes(2 * kMiB));
  credits.give_bytes(1);
  EXPECT_TRUE(credits.take_bytes(2 * kMiB));
  EXPECT_FALSE(credits.take_bytes(1));
  credits.give_bytes(2 * kMiB);
}

TEST(Credits, ResponsesAreNeverRefused) {
  Credits credits(limits_of(5));
  EXPECT_TRUE(credits.take_bytes(kMiB));
  credits.add_bytes(5 * kMiB);
  EXPECT_EQ(credits.bytes(), 6 * kMiB);
  EXPECT_FALSE(credits.take_bytes(1));
}

TEST(Credits, ProducersTakeOneAtATimeWhenThereAreFewSlots) {
  Credits credits(limits_of(64));
  EXPECT_EQ(credits.join(), 1u);
}

TEST(Credits, IdleProducersTogetherNeverHoldMoreThanHalf) {
  Credits credits(limits_of(8192));
  std::size_t ahead = 0;
  std::vector<std::size_t> lots;
  for (int i = 0; i < 1000; ++i) {
    lots.push_back(credits.join());
    ahead += lots.back() - 1;
  }
  EXPECT_EQ(lots.front(), 64u);
  EXPECT_EQ(lots.back(), 1u);
  EXPECT_LE(ahead, 4096u);
  for (const std::size_t lot : lots) credits.leave(lot);
  EXPECT_EQ(credits.join(), 64u);
}

TEST(Credits, WaitReturnsAtOnceWhenCreditIsThereOrStopped) {
  Credits credits(limits_of(1));
  credits.wait(10, [] { return false; });
  Slot* slot = nullptr;
  ASSERT_EQ(credits.take_slots(&slot, 1), 1u);
  credits.wait(10, [] { return true; });
  credits.give_slots(&slot, 1);
}

TEST(Credits, WaitersForSlotsAndForBytesAreWoken) {
  Credits credits(limits_of(1));
  Slot* slot = nullptr;
  ASSERT_EQ(credits.take_slots(&slot, 1), 1u);
  ASSERT_TRUE(credits.take_bytes(kMiB));
  std::thread waiter([&] { credits.wait(10, [] { return false; }); });
  credits.give_slots(&slot, 1);  // a slot alone is not enough
  credits.give_bytes(kMiB);
  credits.give_slots(nullptr, 0);
  waiter.join();
}

TEST(Credits, WakeWaitersLetsAllWaitersSeeTheStop) {
  Credits credits(limits_of(1));
  Slot* slot = nullptr;
  ASSERT_EQ(credits.take_slots(&slot, 1), 1u);
  std::atomic<bool> stop{false};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 4; ++i) waiters.emplace_back([&] { credits.wait(10, [&] { return stop.load(); }); });
  stop.store(true);
  credits.wake_waiters();
  for (auto& waiter : waiters) waiter.join();
  credits.give_slots(&slot, 1);
}

}  // namespace
}  // namespace pawl
