// A data race planted in the body of a graph node. ThreadSanitizer must report it, with the suppressions that the other
// tests run under: else their silence says nothing. CTest looks for the report; the exit code does not count.
#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include <pawl/engine.h>

#include "stage_doubles.h"

namespace pawl::test {
namespace {

/// Two workers meet in encode(), so that both are at the planted race, and neither has told the other anything.
class RacyEncoder final : public Encoder {
 public:
  explicit RacyEncoder(std::atomic<int>& inside) : inside_(inside) {}
  void encode(Task& task) noexcept override {
    inside_.fetch_add(1, std::memory_order_relaxed);  // relaxed here and below: the meeting must order nothing
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (inside_.load(std::memory_order_relaxed) < 2 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    count_unguarded();
    plain_.encode(task);
  }

 private:
  [[gnu::noinline]] void count_unguarded() noexcept { count_ = count_ + 1; }

  PlainEncoder plain_;
  std::atomic<int>& inside_;
  int count_ = 0;
};

TEST(PlantedRace, IsReported) {
  std::atomic<int> inside{0};
  auto encoder = std::make_unique<RacyEncoder>(inside);
  auto made = Engine::make({.encode_threads = 4},
                           {std::make_unique<MemorySave>(), std::make_unique<DelayedCall>(), std::move(encoder),
                            std::make_unique<MemoryCommit>()},
                           [](const Task&) {});
  ASSERT_TRUE(made);
  Engine& engine = **made;
  Producer producer = engine.producer();
  for (int i = 0; i < 2; ++i) {
    Request request;
    request.stream = "s" + std::to_string(i);
    request.id = "x";
    ASSERT_EQ(producer.submit(request), Admission::accepted);
    // One at a time, or both could come in one batch, which one worker encodes.
    while (inside.load(std::memory_order_relaxed) <= i) std::this_thread::yield();
  }
  engine.flush();
  EXPECT_EQ(engine.status().retired, 2u);
}

}  // namespace
}  // namespace pawl::test
