#include <array>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/inbox.h>

#include "stepped.h"

namespace pawl {
namespace {

using test::kOrders;
using test::Stepped;
using test::SteppedAtom;

struct Node {
  Node* link = nullptr;
  std::size_t from = 0, number = 0;
};

TEST(Inbox, KeepsTheOrderOfOnePushAndOfSeveral) {
  Inbox<Node> inbox;
  std::array<Node, 5> nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i) nodes[i].number = i;
  const std::array<Node*, 3> first{&nodes[0], &nodes[1], &nodes[2]};
  const std::array<Node*, 2> second{&nodes[3], &nodes[4]};
  EXPECT_TRUE(inbox.push(first));
  EXPECT_FALSE(inbox.push(second));
  EXPECT_FALSE(inbox.empty());
  std::size_t expected = 0;
  for (Node* node = inbox.take_all(); node != nullptr; node = node->link) EXPECT_EQ(node->number, expected++);
  EXPECT_EQ(expected, 5u);
  EXPECT_TRUE(inbox.empty());
  EXPECT_EQ(inbox.take_all(), nullptr);
}

TEST(Inbox, PushOfNothingIsNothing) {
  Inbox<Node> inbox;
  EXPECT_FALSE(inbox.push({}));
  EXPECT_TRUE(inbox.empty());
}

TEST(Inbox, WaitReturnsAtTheDeadline) {
  Inbox<Node> inbox;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  while (std::chrono::steady_clock::now() < deadline) inbox.wait(deadline);
  EXPECT_TRUE(inbox.empty());
}

TEST(Inbox, RingBeforeWaitIsNotLost) {
  Inbox<Node> inbox;
  inbox.ring();
  inbox.wait(std::chrono::steady_clock::time_point::max());
}

TEST(Inbox, ManyProducersLoseNothingAndKeepTheirOwnOrder) {
  constexpr std::size_t kProducers = 3, kEach = 30'000;
  Inbox<Node> inbox;
  std::vector<std::vector<Node>> nodes(kProducers, std::vector<Node>(kEach));
  std::vector<std::thread> producers;
  for (std::size_t p = 0; p < kProducers; ++p)
    producers.emplace_back([&, p] {
      for (std::size_t i = 0; i < kEach; i += 3) {
        std::array<Node*, 3> lot;
        for (std::size_t k = 0; k < 3; ++k) {
          nodes[p][i + k].from = p;
          nodes[p][i + k].number = i + k;
          lot[k] = &nodes[p][i + k];
        }
        inbox.push(lot);
      }
    });
  std::array<std::size_t, kProducers> next{};
  for (std::size_t taken = 0; taken < kProducers * kEach;) {
    for (Node* node = inbox.take_all(); node != nullptr; node = node->link, ++taken)
      ASSERT_EQ(node->number, next[node->from]++);
    if (taken < kProducers * kEach) inbox.wait(std::chrono::steady_clock::time_point::max());
  }
  for (auto& producer : producers) producer.join();
}

using SteppedInbox = Inbox<Node, SteppedAtom>;
constexpr auto kForEver = std::chrono::steady_clock::time_point::max();

/// Producers that each push a chain of two and then a single node, and a consumer that takes all and sleeps in between.
template <class AnyInbox>
struct Delivery {
  static constexpr std::size_t kEach = 3;
  explicit Delivery(std::size_t producers) : nodes(producers), next(producers) {
    for (std::size_t p = 0; p < producers; ++p) bodies.push_back([this, p] { produce(p); });
    bodies.push_back([this] { consume(); });
  }
  void produce(std::size_t from) {
    std::array<Node, kEach>& mine = nodes[from];
    for (std::size_t i = 0; i < kEach; ++i) mine[i] = {.link = nullptr, .from = from, .number = i};
    inbox.push(std::array<Node*, 2>{&mine[0], &mine[1]});
    inbox.push(std::array<Node*, 1>{&mine[2]});
  }
  void consume() {
    while (taken < nodes.size() * kEach) {
      for (Node* node = inbox.take_all(); node != nullptr; node = node->link, ++taken)
        in_order = in_order && node->number == next[node->from]++;
      if (taken < nodes.size() * kEach) inbox.wait(kForEver);
    }
  }

  AnyInbox inbox;
  std::vector<std::array<Node, kEach>> nodes;
  std::vector<std::size_t> next;
  std::size_t taken = 0;
  bool in_order = true;
  Stepped::Bodies bodies;
};

TEST(Inbox, EveryInterleavingOfAPushWithAConsumerThatSleeps) {
  const std::size_t orders = Stepped::every_order([](const Stepped::Choose& choose) {
    SteppedInbox inbox;
    Node node;
    Node* taken = nullptr;
    Stepped::run({[&] { inbox.push(std::array<Node*, 1>{&node}); },
                  [&] {
                    while ((taken = inbox.take_all()) == nullptr) inbox.wait(kForEver);
                  }},
                 choose, Stepped::Memory::store_buffers);
    ASSERT_EQ(taken, &node);
  });
  EXPECT_GT(orders, 100u);
}

TEST(Inbox, RandomInterleavingsOfThreeProducersAndAConsumerThatSleeps) {
  Stepped::random_orders(kOrders, 0, [](const Stepped::Choose& choose) {
    Delivery<SteppedInbox> three(3);
    Stepped::run(three.bodies, choose, Stepped::Memory::store_buffers);
    ASSERT_EQ(three.taken, 9u);
    ASSERT_TRUE(three.in_order);
  });
}

TEST(Inbox, RandomInterleavingsOfAStopWithAConsumerThatSleeps) {
  Stepped::random_orders(kOrders, 0, [](const Stepped::Choose& choose) {
    SteppedInbox inbox;
    SteppedAtom<bool> stopping{false};
    std::array<Node, 2> nodes;
    std::size_t taken = 0;
    Stepped::run({[&] {
                    inbox.push(std::array<Node*, 1>{&nodes[0]});
                    inbox.push(std::array<Node*, 1>{&nodes[1]});
                    stopping.store(true, std::memory_order_release);
                    inbox.ring();
                  },
                  [&] {
                    for (;;) {
                      const bool last_look = stopping.load(std::memory_order_acquire);
                      const std::size_t before = taken;
                      for (Node* n = inbox.take_all(); n != nullptr; n = n->link) ++taken;
                      if (taken != before) continue;
                      if (last_look) return;
                      inbox.wait(kForEver);
                    }
                  },
                  [&] { inbox.ring(); }},
                 choose, Stepped::Memory::store_buffers);
    ASSERT_EQ(taken, 2u);
  });
}

// The scheduler must find what these do wrong, or the tests above show nothing.

/// Reads the bell after it has seen that the inbox is empty.
struct InboxThatHearsTooLate {
  void push(std::span<Node* const> nodes) {
    if (!inner.push(nodes)) return;
    bell.fetch_add(1, std::memory_order_release);
    wake_all(bell);
  }
  Node* take_all() { return inner.take_all(); }
  void wait(std::chrono::steady_clock::time_point deadline) {
    if (!inner.empty()) return;
    wait_on(bell, bell.load(std::memory_order_acquire), deadline);
  }
  SteppedInbox inner;
  SteppedAtom<std::uint32_t> bell{0};
};
/// Rings before the push.
struct InboxThatRingsTooEarly : SteppedInbox {
  void push(std::span<Node* const> nodes) {
    if (empty()) ring();
    quiet.push(nodes);
  }
  Node* take_all() { return quiet.take_all(); }
  SteppedInbox quiet;
};
/// Adds nodes with a load and a store.
struct InboxThatOverwrites {
  void push(std::span<Node* const> nodes) {
    for (Node* node : nodes) {
      node->link = head.load(std::memory_order_acquire);
      head.store(node, std::memory_order_release);
    }
    bell.ring();
  }
  Node* take_all() {
    std::vector<Node*> all;
    for (Node* node = head.exchange(nullptr, std::memory_order_acquire); node != nullptr; node = node->link)
      all.push_back(node);
    for (std::size_t i = 0; i < all.size(); ++i) all[i]->link = i > 0 ? all[i - 1] : nullptr;
    return all.empty() ? nullptr : all.back();
  }
  void wait(std::chrono::steady_clock::time_point deadline) { bell.wait(deadline); }
  SteppedAtom<Node*> head{nullptr};
  SteppedInbox bell;
};

template <class AnyInbox>
std::size_t rounds_to_lose_a_node() {
  return Stepped::rounds_to_find(kOrders, 0, [](const Stepped::Choose& choose) {
    Delivery<AnyInbox> three(3);
    return !Stepped::try_run(three.bodies, choose).empty() || !three.in_order;
  });
}

TEST(Inbox, SchedulerFindsThePlantedErrors) {
  EXPECT_GT(rounds_to_lose_a_node<InboxThatHearsTooLate>(), 0u);
  EXPECT_GT(rounds_to_lose_a_node<InboxThatRingsTooEarly>(), 0u);
  EXPECT_GT(rounds_to_lose_a_node<InboxThatOverwrites>(), 0u);
}

}  // namespace
}  // namespace pawl
