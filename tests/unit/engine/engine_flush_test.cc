#include <atomic>
#include <thread>

#include "engine_rig.h"

namespace pawl::test {
namespace {

TEST(Engine, FlushOfAnIdleEngineReturns) {
  Rig rig;
  rig.engine->flush();
  rig.engine->flush();
  EXPECT_EQ(rig.engine->status().admitted, 0u);
}

TEST(Engine, FlushCoversWhatWasBeforeItWhileProducersGoOn) {
  std::atomic<std::uint64_t> retired[3]{};
  RigOptions options;
  options.limits.tasks_in_flight = 300;
  options.call.seed = test_seed();
  options.on_retire = [&](const Task& task) { retired[task.request.position].fetch_add(1); };
  Rig rig(std::move(options));
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (std::size_t who = 0; who < 2; ++who)  // never rest, never flush
    threads.emplace_back([&, who] {
      Producer producer = rig.engine->producer();
      while (!over.load()) {
        Request made = request("p" + std::to_string(who), "x");
        made.position = who;
        ASSERT_EQ(producer.submit(made), Admission::accepted);
      }
    });
  {
    Producer producer = rig.engine->producer();
    std::uint64_t mine = 0;
    for (int round = 0; round < 100; ++round) {
      for (int i = 0; i < 1 + round % 20; ++i, ++mine) {
        Request made = request("mine", "x");
        made.position = 2;
        ASSERT_EQ(producer.submit(made), Admission::accepted);
      }
      rig.engine->flush();
      EXPECT_EQ(retired[2].load(), mine);
    }
  }
  over.store(true);
  for (auto& thread : threads) thread.join();
  rig.engine->close();
  EXPECT_EQ(retired[0].load() + retired[1].load() + retired[2].load(), rig.engine->status().admitted);
}

TEST(Engine, ManyThreadsFlushAndCloseAtOnce) {
  for (int round = 0; round < 20; ++round) {
    Rig rig;
    std::atomic<std::uint64_t> accepted{0};
    std::vector<std::thread> threads;
    for (int who = 0; who < 6; ++who)
      threads.emplace_back([&, who] {
        {
          Producer producer = rig.engine->producer();
          for (int i = 0; i < 100; ++i) {
            Request made = request("s" + std::to_string(who), std::to_string(i));
            if (producer.submit(made) == Admission::accepted) accepted.fetch_add(1);
            if (i % 10 == 9) rig.engine->flush();
          }
        }
        rig.engine->close();
        EXPECT_EQ(rig.engine->status().in_flight(), 0u);
      });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(rig.commit->committed().size(), accepted.load());
  }
}

TEST(Engine, CloseIsIdempotentAndFlushAfterItReturns) {
  Rig rig;
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(50)) submit(producer, "s", id);
  rig.engine->close();
  EXPECT_EQ(rig.committed()["s"], ids(50));
  rig.engine->close();
  rig.engine->flush();
  rig.engine->drain();
  rig.engine->abort();
  rig.engine->close();
  Request late = request("s", "late");
  EXPECT_EQ(producer.submit(late), Admission::closed);
  EXPECT_EQ(rig.committed()["s"], ids(50));
}

TEST(Engine, RetireFnIsCalledOnceForEachAdmittedTask) {
  std::map<std::string, int> times;  // one call at a time, so no lock
  RigOptions options;
  options.on_retire = [&](const Task& task) { ++times[task.request.id]; };
  options.call.answer = [](const Task& task) {
    return task.request.position % 50 == 49 ? Answer::unfinished : Answer::ok;
  };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (std::size_t i = 0; i < 2000; ++i) {
    Request made = request("s" + std::to_string(i % 40), std::to_string(i));
    made.position = i / 40;
    ASSERT_EQ(producer.submit(made), Admission::accepted);
  }
  rig.engine->close();
  ASSERT_EQ(times.size(), 2000u);
  for (const auto& [id, count] : times) EXPECT_EQ(count, 1) << id;
}

TEST(Engine, StatusAddsUpWhileEverythingMoves) {
  RigOptions options;
  options.limits.tasks_in_flight = 500;
  options.call.seed = test_seed();
  options.call.answer = [](const Task& task) {
    if (task.request.position % 97 == 96) return Answer::unfinished;
    return task.request.position % 7 == 6 ? Answer::http_error : Answer::ok;
  };
  options.commit.unchanged = [](const Task& task) { return task.request.position % 5 == 4; };
  Rig rig(std::move(options));
  std::atomic<bool> over{false};
  std::uint64_t samples = 0;
  std::thread sampler([&] {
    Status last;
    while (!over.load()) {
      const Status now = rig.engine->status();
      ASSERT_TRUE(adds_up(now));
      ASSERT_GE(now.admitted, last.admitted);
      ASSERT_GE(now.retired, last.retired);
      last = now;
      ++samples;
    }
  });
  {
    Producer producer = rig.engine->producer();
    for (std::size_t i = 0; i < 40'000; ++i) {
      Request made = request("s" + std::to_string(i % 2000), std::to_string(i));
      made.position = i / 2000;
      ASSERT_EQ(producer.submit(made), Admission::accepted);
    }
  }
  rig.engine->close();
  over.store(true);
  sampler.join();
  EXPECT_GT(samples, 0u);
  const Status end = rig.engine->status();
  EXPECT_EQ(end.admitted, 40'000u);
  EXPECT_EQ(end.retired, 40'000u);
  EXPECT_EQ(end.saving() + end.in_call_stage() + end.ordering() + end.committing(), 0u);
  EXPECT_EQ(end.failed, 2u * 2000u);     // positions 6 and 13 of 20
  EXPECT_EQ(end.unchanged, 4u * 2000u);  // positions 4, 9, 14 and 19
  EXPECT_EQ(end.bytes_in_flight, 0u);
  EXPECT_EQ(end.save.waiting + end.call.waiting + end.call.active + end.commit.waiting, 0u);
}

}  // namespace
}  // namespace pawl::test
