#include <atomic>
#include <set>
#include <thread>

#include "engine_rig.h"

namespace pawl::test {
namespace {

using Clock = std::chrono::steady_clock;

/// Retired tasks by id.
struct Retired {
  std::map<std::string, Fate> fates;
  std::map<std::string, ErrorCode> reasons;
  RetireFn fn() {
    return [this](const Task& task) {
      fates[task.request.id] = task.fate;
      if (task.error) reasons[task.request.id] = task.error->code;
    };
  }
};

TEST(Engine, DrainCommitsRunningCallsAndGivesBackQueuedOnes) {
  std::atomic<bool> hold{true};
  std::set<std::string> begun;
  Retired retired;
  RigOptions options;
  options.call.window = 5;
  options.call.on_begin = [&](const Task& task) {  // holds the calling thread at the first: at most five run
    begun.insert(task.request.id);
    hold.wait(true);
  };
  options.on_retire = retired.fn();
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(20)) submit(producer, "stream " + id, id);
  ASSERT_TRUE(eventually([&] { return rig.engine->status().saved == 20; }));
  ASSERT_TRUE(eventually([&] { return rig.engine->status().call.active > 0; }));
  rig.engine->drain();
  hold.store(false);
  hold.notify_all();
  rig.engine->close();
  ASSERT_EQ(retired.fates.size(), 20u);
  ASSERT_TRUE(begun.size() >= 1 && begun.size() <= 5) << begun.size();
  for (const auto& id : ids(20)) {
    if (begun.contains(id))
      EXPECT_EQ(retired.fates[id], Fate::live) << id;
    else
      EXPECT_EQ(retired.reasons[id], ErrorCode::cancelled) << id;
  }
  const Status status = rig.engine->status();
  EXPECT_EQ(status.committed, begun.size());
  EXPECT_EQ(status.unfinished, 20 - begun.size());
  EXPECT_EQ(rig.save->released(), begun.size());
}

TEST(Engine, AbortEndsCallsThatHangWithinASecond) {
  Retired retired;
  RigOptions options;
  options.call.answer = never_if_id_starts_with('h');
  options.on_retire = retired.fn();
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  submit(producer, "done", "0");
  rig.engine->flush();
  for (const auto& id : ids(200)) submit(producer, "s" + id, "h" + id);
  ASSERT_TRUE(eventually([&] { return rig.call->stuck() == 64; }));  // the window
  const auto start = Clock::now();
  rig.engine->abort();
  rig.engine->close();
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(retired.fates["0"], Fate::live);
  EXPECT_EQ(rig.engine->status().unfinished, 200u);
  for (const auto& id : ids(200)) EXPECT_EQ(retired.reasons["h" + id], ErrorCode::cancelled);
}

TEST(Engine, AbortMayFollowDrain) {
  RigOptions options;
  options.call.answer = never_if_id_starts_with('h');
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  submit(producer, "s", "h0");
  ASSERT_TRUE(eventually([&] { return rig.call->stuck() == 1; }));
  rig.engine->drain();
  EXPECT_EQ(rig.engine->status().in_flight(), 1u);  // drain lets it run
  rig.engine->abort();
  rig.engine->close();
  EXPECT_EQ(rig.engine->status().unfinished, 1u);
}

TEST(Engine, DestructorGivesBackWhatIsInFlight) {
  Retired retired;
  std::uint64_t accepted = 0;
  {
    RigOptions options;
    options.call.answer = never_if_id_starts_with('h');
    options.on_retire = retired.fn();
    Rig rig(std::move(options));
    Producer producer = rig.engine->producer();
    for (const auto& id : ids(500)) {
      submit(producer, "s" + id, (accepted % 2 == 0 ? "h" : "x") + id);
      ++accepted;
    }
  }
  EXPECT_EQ(retired.fates.size(), accepted);
}

TEST(Engine, DestructorOfAnUnusedEngine) {
  for (int i = 0; i < 20; ++i) Rig rig;
}

TEST(Engine, RetireFnMayStopTheEngine) {
  Engine* engine = nullptr;
  RigOptions options;
  options.limits.tasks_in_flight = 16;
  options.on_retire = [&](const Task& task) {
    if (task.request.id == "100") engine->drain();
    if (task.request.id == "110") engine->abort();
  };
  Rig rig(std::move(options));
  engine = rig.engine.get();
  Producer producer = rig.engine->producer();
  std::uint64_t accepted = 0;
  for (;; ++accepted) {
    Request made = request("s", std::to_string(accepted));
    if (producer.submit(made) == Admission::closed) break;
  }
  rig.engine->close();
  EXPECT_GE(accepted, 101u);
  EXPECT_EQ(rig.engine->status().retired, accepted);
}

TEST(Engine, CloseRacingWithSubmitsLosesNothing) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<std::uint64_t> retired{0}, accepted{0};
    RigOptions options;
    options.limits.tasks_in_flight = 64;
    options.on_retire = [&](const Task&) { retired.fetch_add(1); };
    Rig rig(std::move(options));
    std::vector<std::thread> threads;
    for (int who = 0; who < 2; ++who)
      threads.emplace_back([&, who] {
        Producer producer = rig.engine->producer();
        for (;;) {
          Request made = request("s" + std::to_string(who), "x");
          if (producer.submit(made) == Admission::closed) break;
          accepted.fetch_add(1);
        }
      });
    ASSERT_TRUE(eventually([&] { return accepted.load() > static_cast<std::uint64_t>(round) * 10; }));
    rig.engine->close();
    const std::uint64_t at_close = retired.load();
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(at_close, accepted.load());
    EXPECT_EQ(retired.load(), accepted.load());
  }
}

}  // namespace
}  // namespace pawl::test
