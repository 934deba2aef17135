// The whole engine between doubles: random producers, flushes that check their promise, and a close, drain or abort
// that races with submits. Everything that was accepted must have retired exactly once, in order, when close returns.
#include <array>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/engine.h>

#include "stress_time.h"

namespace pawl::test {
namespace {

constexpr std::size_t kProducers = 3;

/// What retired, by producer and stream. note() is called by one thread at a time.
class Ledger {
 public:
  explicit Ledger(std::size_t streams) : next_(streams) {}
  void note(const Task& task) {
    const auto who = static_cast<std::size_t>(task.request.task_id.run);
    if (task.committed) {  // what is unfinished passes the commit stage by
      std::uint64_t& next = next_[task.request.task_id.ordinal][who];
      if (task.request.position != next) wrong_.fetch_add(1);
      next = task.request.position + 1;
    }
    retired_[who].fetch_add(1);
    all_.fetch_add(1);
  }
  [[nodiscard]] std::uint64_t retired(std::size_t who) const { return retired_[who].load(); }
  [[nodiscard]] std::uint64_t all() const { return all_.load(); }
  [[nodiscard]] std::uint64_t wrong() const { return wrong_.load(); }

 private:
  std::vector<std::array<std::uint64_t, kProducers>> next_;
  std::array<std::atomic<std::uint64_t>, kProducers> retired_{};
  std::atomic<std::uint64_t> all_{0}, wrong_{0};
};

struct Cycle {
  std::uint64_t seed;
  std::size_t streams;
  Engine& engine;
  Ledger& ledger;
  std::atomic<std::uint64_t> accepted{0}, flushes{0}, broken_promises{0};

  void produce(std::size_t who) {
    std::mt19937_64 random(seed + who);
    Producer producer = engine.producer();
    std::vector<std::uint64_t> next(streams, 0);
    std::array<Request, 3> lot;
    std::uint64_t mine = 0;
    for (;;) {
      const std::size_t stream = random() % streams;
      const std::size_t size = random() % 5 == 0 ? lot.size() : 1;
      for (std::size_t i = 0; i < size; ++i) {
        lot[i].stream = "s" + std::to_string(stream);
        lot[i].id = "x";
        lot[i].task_id = {who, stream};
        lot[i].position = next[stream] + i;
        lot[i].body.assign(random() % 100, 'b');
      }
      std::size_t sent = size == 1 ? 0 : producer.submit_bulk({lot.data(), size});
      if (sent == 0) {
        if (producer.submit(lot[0]) == Admission::closed) return;
        sent = 1;
      }
      next[stream] += sent;
      mine += sent;
      accepted.fetch_add(sent);
      if (random() % 2000 != 0) continue;
      engine.flush();
      flushes.fetch_add(1);
      if (ledger.retired(who) != mine) broken_promises.fetch_add(1);
    }
  }
};

TEST(EngineStress, RandomProducersFlushesAndStopsLoseNothing) {
  const std::uint64_t seed = test_seed();
  const auto end = stress_end();
  std::uint64_t cycles = 0, tasks = 0, flushes = 0;
  do {
    std::mt19937_64 random(seed + cycles);
    const std::size_t streams = cycles % 3 == 1 ? 1 : 1 + random() % 200;
    Ledger ledger(streams);
    auto call = std::make_unique<DelayedCall>(
        DelayedCall::Options{.seed = random(), .window = 1 + random() % 500, .answer = [](const Task& task) {
                               return task.request.position % 1000 == 999 ? Answer::unfinished : Answer::ok;
                             }});
    auto made = Engine::make({.tasks_in_flight = static_cast<std::uint32_t>(1 + random() % 3000),
                              .bytes_in_flight = 1 << 20,
                              .encode_threads = static_cast<std::uint32_t>(1 + random() % 3)},
                             {std::make_unique<MemorySave>(MemorySave::Options{.on_caller = random() % 2 == 0}),
                              std::move(call), std::make_unique<PlainEncoder>(),
                              std::make_unique<MemoryCommit>(MemoryCommit::Options{.on_caller = random() % 2 == 0})},
                             [&](const Task& task) { ledger.note(task); });
    ASSERT_TRUE(made);
    std::unique_ptr<Engine> engine = std::move(*made);
    Cycle cycle{.seed = random(), .streams = streams, .engine = *engine, .ledger = ledger};
    std::vector<std::thread> producers;
    for (std::size_t who = 0; who < kProducers; ++who) producers.emplace_back([&, who] { cycle.produce(who); });
    const std::uint64_t enough = random() % 30'000;
    while (cycle.accepted.load() < enough) std::this_thread::yield();
    switch (cycles % 3) {
      case 0: break;
      case 1: engine->drain(); break;
      default: engine->abort(); break;
    }
    engine->close();
    const std::uint64_t at_close = ledger.all();
    for (auto& producer : producers) producer.join();
    SCOPED_TRACE(testing::Message() << "cycle " << cycles);
    ASSERT_EQ(ledger.all(), at_close) << "retired after close()";
    ASSERT_EQ(ledger.all(), cycle.accepted.load());
    ASSERT_EQ(ledger.wrong(), 0u);
    ASSERT_EQ(cycle.broken_promises.load(), 0u);
    const Status status = engine->status();
    ASSERT_EQ(status.admitted, at_close);
    ASSERT_EQ(status.retired, at_close);
    ASSERT_EQ(status.bytes_in_flight, 0u);
    ++cycles;
    tasks += at_close;
    flushes += cycle.flushes.load();
  } while (std::chrono::steady_clock::now() < end);
  std::cout << cycles << " cycles, " << tasks << " tasks, " << flushes << " flushes\n";
}

}  // namespace
}  // namespace pawl::test
