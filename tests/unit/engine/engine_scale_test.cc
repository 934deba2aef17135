// Sizes that show what grows where it should not.
#include "engine_rig.h"

namespace pawl::test {
namespace {

TEST(Engine, OneStreamOfAMillionTasks) {
  constexpr std::uint64_t kCount = 1'000'000;
  std::uint64_t next = 0, wrong = 0;
  RigOptions options;
  options.limits.tasks_in_flight = 8192;
  options.call.window = 2000;
  options.on_retire = [&](const Task& task) { wrong += task.request.position != next++ || !task.committed; };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  Request made;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    made.stream = "s";
    made.id = "x";
    made.position = i;
    ASSERT_EQ(producer.submit(made), Admission::accepted);
  }
  rig.engine->flush();
  EXPECT_EQ(next, kCount);
  EXPECT_EQ(wrong, 0u);
}

TEST(Engine, AHundredThousandStreams) {
  constexpr std::uint64_t kStreams = 100'000, kEach = 3;
  std::vector<std::uint8_t> next(kStreams, 0);
  std::uint64_t wrong = 0;
  RigOptions options;
  options.limits.tasks_in_flight = 8192;
  options.call.window = 2000;
  options.on_retire = [&](const Task& task) {
    auto& expected = next[std::stoull(task.request.stream)];
    wrong += task.request.position != expected++;
  };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  Request made;
  for (std::uint64_t i = 0; i < kStreams * kEach; ++i) {
    made.stream = std::to_string(i % kStreams);
    made.id = "x";
    made.position = i / kStreams;
    ASSERT_EQ(producer.submit(made), Admission::accepted);
  }
  rig.engine->flush();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(std::count(next.begin(), next.end(), kEach), static_cast<std::ptrdiff_t>(kStreams));
}

}  // namespace
}  // namespace pawl::test
