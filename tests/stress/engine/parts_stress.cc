// The engine's structures together on plain threads: producers take credits, are admitted to an epoch, take their
// place in a stream and queue; workers pass on out of order; one thread orders, checks the order, retires and gives the
// credits back.
#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "epoch/epochs.h"
#include "order/streams.h"
#include "queue/credits.h"
#include "queue/doorbell.h"
#include "queue/task_queue.h"
#include "stress_time.h"

namespace pawl {
namespace {

constexpr std::size_t kProducers = 3, kWorkers = 2;
constexpr std::uint32_t kIdleStreams = 4;  // few, so that streams are taken back and used again all the time

class PlainPipeline {
 public:
  PlainPipeline(std::uint32_t slots, std::size_t streams, std::uint64_t seed)
      : credits_({.tasks_in_flight = slots}),
        streams_({.tasks_in_flight = slots, .idle_streams = kIdleStreams, .buckets_min = 1}),
        intake_(slots),
        arrived_(slots),
        next_(streams) {
    for (std::size_t i = 0; i < kWorkers; ++i) workers_.emplace_back([this, seed, i] { work(seed + i); });
    orderer_ = std::thread([this] { order(); });
  }
  ~PlainPipeline() { stop(); }

  /// Ends the threads. After a flush, a slot may still be on its way back.
  void stop() {
    if (!orderer_.joinable()) return;
    over_.store(true);
    intake_bell_.ring_always();
    for (auto& worker : workers_) worker.join();
    all_arrived_.store(true);
    arrived_bell_.ring_always();
    orderer_.join();
  }

  /// Submits one task of `who` to a stream; false when closed.
  bool submit(std::size_t who, std::size_t stream, std::uint64_t number) {
    Slot* slot = nullptr;
    while (credits_.take_slots(&slot, 1) == 0) {
      if (epochs_.closing()) return false;
      credits_.wait(1, [this] { return epochs_.closing(); });
    }
    const auto entry = Epochs<>::admit(epochs_.word(who), 1);
    if (!entry.admitted) {
      credits_.give_slots(&slot, 1);
      return false;
    }
    slot->request.position = number;
    slot->request.task_id = {who, stream};
    slot->parity = entry.parity;
    slot->holders.store(1, std::memory_order_relaxed);
    slot->stream =
        &streams_.enter(last_stream_[who], Streams<>::key_of(std::to_string(stream)), slot->index, Slab{this});
    intake_.put(&slot, 1);
    intake_bell_.ring();
    return true;
  }
  void flush() { epochs_.flush(); }
  void close() {
    epochs_.begin_close();
    credits_.wake_waiters();
    flush();
  }
  /// Of one producer in one stream; only after a flush.
  [[nodiscard]] std::uint64_t committed(std::size_t who, std::size_t stream) const { return next_[stream][who]; }
  [[nodiscard]] std::uint64_t retired(std::size_t who) const { return retired_[who].load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t order_errors() const { return order_errors_.load(); }
  [[nodiscard]] std::uint32_t streams_made() const { return streams_.made(); }
  [[nodiscard]] bool all_slots_free(std::size_t slots) {
    std::vector<Slot*> out(slots + 1);
    std::size_t count = 0;
    for (std::size_t now; (now = credits_.take_slots(out.data() + count, out.size() - count)) != 0;) count += now;
    return count == slots;
  }

 private:
  struct Slab {
    PlainPipeline* pipeline;
    [[nodiscard]] Streams<>::Link& link(std::uint32_t index) const { return pipeline->credits_.slot(index); }
    void hold(std::uint32_t index) const { pipeline->credits_.slot(index).hold(); }
    void release(std::uint32_t index) const { pipeline->let_go(pipeline->credits_.slot(index)); }
  };

  void work(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Slot*> held;
    for (;;) {
      Slot* fresh[32];
      const std::size_t count = intake_.take(fresh, 32);
      held.insert(held.end(), fresh, fresh + count);
      std::shuffle(held.begin(), held.end(), random);
      const std::size_t some = count == 0 ? held.size() : random() % (held.size() + 1);
      if (some != 0) {
        arrived_.put(held.data() + (held.size() - some), some);
        held.resize(held.size() - some);
        arrived_bell_.ring();
      }
      if (count != 0 || !held.empty()) continue;
      if (over_.load()) return;
      intake_bell_.sleep([this] { return over_.load() || !intake_.looks_empty(); });
    }
  }
  void order() {
    for (;;) {
      Slot* slots[32];
      const std::size_t count = arrived_.take(slots, 32);
      for (std::size_t i = 0; i < count; ++i)
        streams_.arrive(*slots[i]->stream, slots[i]->index, Slab{this},
                        [this](Streams<>::Link& link) { retire(static_cast<Slot&>(link)); });
      if (count != 0) continue;
      if (all_arrived_.load()) return;
      arrived_bell_.sleep([this] { return all_arrived_.load() || !arrived_.looks_empty(); });
    }
  }
  /// The turn of `slot` has come.
  void retire(Slot& slot) {
    const auto [who, stream] = std::pair(slot.request.task_id.run, slot.request.task_id.ordinal);
    std::uint64_t& next = next_[stream][who];
    if (slot.request.position != next) order_errors_.fetch_add(1);
    next = slot.request.position + 1;
    retired_[who].fetch_add(1, std::memory_order_relaxed);  // relaxed: retire() publishes
    const std::uint8_t parity = slot.parity;
    let_go(slot);
    epochs_.retire(parity, 1);
  }
  void let_go(Slot& slot) {
    Slot* one = &slot;
    if (slot.let_go()) credits_.give_slots(&one, 1);
  }

  Epochs<> epochs_;
  Credits credits_;
  Streams<> streams_;
  PointerQueue<Slot> intake_, arrived_;
  Doorbell intake_bell_, arrived_bell_;
  std::array<Streams<>::Handle, kProducers> last_stream_;    // each used by one producer
  std::vector<std::array<std::uint64_t, kProducers>> next_;  // by stream and producer; the ordering thread's
  std::array<std::atomic<std::uint64_t>, kProducers> retired_{};
  std::atomic<std::uint64_t> order_errors_{0};
  std::atomic<bool> over_{false}, all_arrived_{false};
  std::vector<std::thread> workers_;
  std::thread orderer_;
};

TEST(PartsStress, RandomProducersFlushesAndACloseLoseNothing) {
  const std::uint64_t seed = test::test_seed();
  const auto end = test::stress_end();
  std::uint64_t cycles = 0, tasks = 0, flushes = 0;
  do {
    const std::uint32_t slots = cycles % 3 == 0 ? 1 + static_cast<std::uint32_t>(cycles % 7) : 500;
    const std::size_t streams = cycles % 3 == 1 ? 1 : 20;
    auto pipeline = std::make_unique<PlainPipeline>(slots, streams, seed + cycles);
    std::atomic<std::uint64_t> broken_promises{0}, sent{0}, flushed{0};
    std::vector<std::vector<std::uint64_t>> accepted(kProducers, std::vector<std::uint64_t>(streams));
    std::vector<std::thread> producers;
    for (std::size_t who = 0; who < kProducers; ++who)
      producers.emplace_back([&, who] {
        std::mt19937_64 random(seed ^ (cycles * 64 + who));
        std::uint64_t mine = 0;
        for (;;) {
          const std::size_t stream = random() % streams;
          if (!pipeline->submit(who, stream, accepted[who][stream])) return;
          ++accepted[who][stream];
          ++mine;
          sent.fetch_add(1);
          if (random() % 300 != 0) continue;
          pipeline->flush();
          if (pipeline->retired(who) != mine) broken_promises.fetch_add(1);
          flushed.fetch_add(1);
        }
      });
    const std::uint64_t enough = 500 + (seed + cycles * 977) % 5000;
    while (sent.load() < enough) std::this_thread::yield();
    pipeline->close();
    pipeline->close();
    for (std::size_t who = 0; who < kProducers; ++who) producers[who].join();
    for (std::size_t who = 0; who < kProducers; ++who)
      for (std::size_t stream = 0; stream < streams; ++stream)
        ASSERT_EQ(pipeline->committed(who, stream), accepted[who][stream]) << "cycle " << cycles;
    ASSERT_EQ(pipeline->order_errors(), 0u);
    ASSERT_EQ(broken_promises.load(), 0u);
    pipeline->stop();
    ASSERT_TRUE(pipeline->all_slots_free(slots)) << "cycle " << cycles;
    ASSERT_LE(pipeline->streams_made(), kIdleStreams + slots + kProducers);
    ++cycles;
    tasks += sent.load();
    flushes += flushed.load();
  } while (std::chrono::steady_clock::now() < end);
  std::cout << cycles << " cycles, " << tasks << " tasks, " << flushes << " flushes\n";
}

struct Node {
  Node* link = nullptr;
  std::uint64_t number = 0;
  std::size_t from = 0;
};

TEST(PartsStress, InboxWithRestingConsumerLosesNothing) {
  const auto end = test::stress_end();
  constexpr std::size_t kEach = 2000;
  std::uint64_t cycles = 0;
  do {
    Inbox<Node> inbox;
    std::vector<std::vector<Node>> nodes(kProducers, std::vector<Node>(kEach));
    std::vector<std::thread> producers;
    for (std::size_t who = 0; who < kProducers; ++who)
      producers.emplace_back([&, who] {
        for (std::size_t i = 0; i < kEach; ++i) {
          nodes[who][i].number = i;
          nodes[who][i].from = who;
          Node* one = &nodes[who][i];
          inbox.push({&one, 1});
        }
      });
    std::array<std::uint64_t, kProducers> next{};
    for (std::size_t taken = 0; taken < kProducers * kEach;) {
      for (Node* node = inbox.take_all(); node != nullptr; node = node->link, ++taken)
        ASSERT_EQ(node->number, next[node->from]++);
      if (taken < kProducers * kEach) inbox.wait(std::chrono::steady_clock::time_point::max());
    }
    for (auto& producer : producers) producer.join();
    ++cycles;
  } while (std::chrono::steady_clock::now() < end);
  std::cout << cycles << " cycles\n";
}

}  // namespace
}  // namespace pawl
