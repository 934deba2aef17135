#include <mutex>
#include <random>
#include <thread>

#include "engine_rig.h"

namespace pawl::test {
namespace {

TEST(Engine, CommitsOneTask) {
  Rig rig;
  Producer producer = rig.engine->producer();
  submit(producer, "s", "0");
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(1));
  EXPECT_EQ(rig.save->saved(), 1u);
  EXPECT_EQ(rig.save->answers(), 1u);
  EXPECT_EQ(rig.save->released(), 1u);
  EXPECT_EQ(rig.save->wrong_releases(), 0u);
}

TEST(Engine, NeedsSaveCallAndCommit) {
  const auto made = Engine::make({}, {}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::usage);
}

TEST(Engine, RefusesWrongLimits) {
  const auto made = Engine::make({.tasks_in_flight = 0}, {}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::usage);
  EXPECT_NE(made.error().context.find("tasks in flight"), std::string::npos);
}

// The model: per stream, what is committed is what was submitted, in that order. Streams of one producer are compared
// as a whole; in streams that producers share, each producer's own tasks.
struct Plan {
  std::size_t producers, own_streams, tasks_each;
  bool bulk;
};

void submit_planned(Rig& rig, const Plan& plan, std::size_t who, std::uint64_t seed,
                    std::map<std::string, std::vector<std::string>>& model) {
  std::mt19937_64 random(seed);
  Producer producer = rig.engine->producer();
  std::vector<Request> lot;
  for (std::size_t i = 0; i < plan.tasks_each;) {
    lot.clear();
    const std::size_t size = plan.bulk ? 1 + random() % 100 : 1;
    for (std::size_t k = 0; k < size && i < plan.tasks_each; ++k, ++i) {
      const std::size_t pick = random() % (plan.own_streams + 1);
      const std::string stream =
          pick == plan.own_streams ? "shared" : "p" + std::to_string(who) + "." + std::to_string(pick);
      const std::string id = std::to_string(who) + "/" + std::to_string(i);
      lot.push_back(request(stream, id));
      model[stream].push_back(id);
    }
    std::span<Request> rest(lot);
    while (!rest.empty()) {
      const std::size_t sent = producer.submit_bulk(rest);
      rest = rest.subspan(sent);
      if (sent != 0) continue;
      ASSERT_EQ(producer.submit(rest.front()), Admission::accepted);
      rest = rest.subspan(1);
    }
  }
}

void check_order_of(const Plan& plan, std::uint64_t seed) {
  Rig rig({.limits = {.tasks_in_flight = static_cast<std::uint32_t>(1 + seed % 700),
                      .bytes_in_flight = 1 << 20,
                      .encode_threads = static_cast<std::uint32_t>(1 + seed % 3)},
           .save = {.on_caller = seed % 2 == 0},
           .call = {.seed = seed, .window = 1 + seed % 200},
           .commit = {.on_caller = seed % 3 == 0}});
  std::vector<std::map<std::string, std::vector<std::string>>> models(plan.producers);
  std::vector<std::thread> threads;
  for (std::size_t who = 0; who < plan.producers; ++who)
    threads.emplace_back([&, who] { submit_planned(rig, plan, who, seed + who, models[who]); });
  for (auto& thread : threads) thread.join();
  rig.engine->flush();
  const auto committed = rig.committed();
  for (std::size_t who = 0; who < plan.producers; ++who) {
    for (const auto& [stream, expected] : models[who]) {
      std::vector<std::string> mine;
      for (const auto& id : committed.at(stream))
        if (id.starts_with(std::to_string(who) + "/")) mine.push_back(id);
      ASSERT_EQ(mine, expected) << stream;
    }
  }
  EXPECT_EQ(rig.engine->status().committed, plan.producers * plan.tasks_each);
}

TEST(Engine, CommitsEachStreamInSubmitOrderWhateverTheCallsDo) {
  const std::uint64_t seed = test_seed();
  for (std::uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    check_order_of(
        {.producers = 1 + round % 3, .own_streams = 1 + round * 3, .tasks_each = 1500, .bulk = round % 2 == 1},
        seed + round);
    if (HasFatalFailure()) return;
  }
}

TEST(Engine, CommitsInOrderWhenForeignThreadsCompleteTheCalls) {
  Rig rig({.limits = {.tasks_in_flight = 200}, .call = {.seed = test_seed(), .window = 100, .foreign_thread = true}});
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(500)) submit(producer, "s", id);
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(500));
}

// Threads take turns with one producer; first come tasks that the journal gave back, which are not saved again.
TEST(Engine, GivesTheCallStageWhatOneProducerSubmitsInThatOrder) {
  std::vector<std::string> called;  // the call stage's thread, until the flush
  Rig rig({.call = {.window = 8, .on_begin = [&](const Task& task) { called.push_back(task.request.id); }}});
  Producer producer = rig.engine->producer();
  constexpr std::size_t kRecovered = 3000, kTasks = 12'000;
  for (std::size_t i = 0; i < kRecovered; ++i) {
    Recovered recovered;
    recovered.request = request("s" + std::to_string(i % 7), std::to_string(i));
    recovered.save_mark = 1;
    ASSERT_EQ(producer.submit_recovered(recovered), Admission::accepted);
  }
  std::mutex turn;
  std::size_t next = kRecovered;
  std::vector<std::thread> threads;
  for (int who = 0; who < 3; ++who)
    threads.emplace_back([&] {
      for (;;) {
        const std::lock_guard lock(turn);
        if (next == kTasks) return;
        submit(producer, "s" + std::to_string(next % 7), std::to_string(next));
        ++next;
      }
    });
  for (auto& thread : threads) thread.join();
  rig.engine->flush();
  EXPECT_EQ(called, ids(kTasks));
}

// Both kinds in one batch, many times: those that pass the save stage by reach the call stage first, though the save
// stage's thread may be done with the others before the graph's has gone on.
TEST(Engine, TasksThatPassTheSaveStageByAreNotOvertaken) {
  std::vector<std::string> called;  // the call stage's thread, until the flush
  Rig rig({.call = {.window = 8, .on_begin = [&](const Task& task) { called.push_back(task.request.id); }}});
  Producer producer = rig.engine->producer();
  constexpr std::size_t kRounds = 2000, kRecovered = 2, kFresh = 2;
  std::size_t next = 0;
  for (std::size_t round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kRecovered; ++i) {
      Recovered recovered;
      recovered.request = request("s", std::to_string(next++));
      recovered.save_mark = 1;
      ASSERT_EQ(producer.submit_recovered(recovered), Admission::accepted);
    }
    for (std::size_t i = 0; i < kFresh; ++i) submit(producer, "s", std::to_string(next++));
    rig.engine->flush();
  }
  EXPECT_EQ(called, ids(next));
}

TEST(Engine, StreamIsIdleAndBusyManyTimes) {
  Rig rig;
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(300)) {
    submit(producer, "s", id);
    rig.engine->flush();
  }
  EXPECT_EQ(rig.committed()["s"], ids(300));
}

}  // namespace
}  // namespace pawl::test
