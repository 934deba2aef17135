#include <atomic>
#include <thread>

#include "engine_rig.h"

namespace pawl::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

/// An engine in which every task hangs in its call until it is aborted.
RigOptions hanging(std::uint32_t tasks, std::uint64_t bytes = 512 * kMiB) {
  RigOptions options;
  options.limits.tasks_in_flight = tasks;
  options.limits.bytes_in_flight = bytes;
  options.call.window = 1 << 20;
  options.call.answer = [](const Task&) { return Answer::never; };
  return options;
}

TEST(Engine, TrySubmitTakesAsManyAsThereAreCredits) {
  Rig rig(hanging(10));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(10)) {
    Request made = request("s", id);
    ASSERT_EQ(producer.try_submit(made), Admission::accepted);
  }
  Request refused = request("s", "10");
  EXPECT_EQ(producer.try_submit(refused), Admission::full);
  EXPECT_EQ(rig.engine->status().admitted, 10u);
}

TEST(Engine, RefusedRequestIsUntouched) {
  Rig rig(hanging(1));
  Producer producer = rig.engine->producer();
  submit(producer, "s", "0");
  Request made = request("stream", "id", "the body");
  made.headers = {"A: b"};
  made.position = 7;
  const auto untouched = [&] {
    return made.stream == "stream" && made.id == "id" && made.body == "the body" && made.position == 7 &&
           made.headers == std::vector<std::string>{"A: b"};
  };
  ASSERT_EQ(producer.try_submit(made), Admission::full);
  EXPECT_TRUE(untouched());
  EXPECT_EQ(producer.submit_bulk({&made, 1}), 0u);
  EXPECT_TRUE(untouched());
  rig.engine->stop_admission();
  ASSERT_EQ(producer.try_submit(made), Admission::closed);
  ASSERT_EQ(producer.submit(made), Admission::closed);
  EXPECT_EQ(producer.submit_bulk({&made, 1}), 0u);
  Recovered recovered{.request = made, .outcome = {}};
  ASSERT_EQ(producer.submit_recovered(recovered), Admission::closed);
  EXPECT_EQ(recovered.request.body, "the body");
  EXPECT_TRUE(untouched());
}

TEST(Engine, AcceptedRequestIsSwappedAgainstUsedBuffers) {
  RigOptions options;
  options.limits.tasks_in_flight = 1;
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  Request made = request("s", "0", std::string(100'000, 'x'));
  ASSERT_EQ(producer.submit(made), Admission::accepted);
  EXPECT_LT(made.body.capacity(), 100'000u);
  rig.engine->flush();
  made = request("s", "1");
  ASSERT_EQ(producer.submit(made), Admission::accepted);
  EXPECT_GE(made.body.capacity(), 100'000u);  // the buffer of the first comes back
  rig.engine->flush();
}

TEST(Engine, SubmitWaitsForACreditAndGoesOn) {
  RigOptions options;
  options.limits.tasks_in_flight = 2;
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(2000)) submit(producer, "s", id);
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(2000));
}

TEST(Engine, OneCreditIsEnoughForTwoProducers) {
  RigOptions options;
  options.limits.tasks_in_flight = 1;
  Rig rig(std::move(options));
  std::vector<std::thread> threads;
  for (const char* stream : {"a", "b"})
    threads.emplace_back([&, stream] {
      Producer producer = rig.engine->producer();
      for (const auto& id : ids(1000)) submit(producer, stream, id);
    });
  for (auto& thread : threads) thread.join();
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["a"], ids(1000));
  EXPECT_EQ(rig.committed()["b"], ids(1000));
}

TEST(Engine, ManyIdleProducersLeaveCreditsForOneMore) {
  RigOptions options;
  options.limits.tasks_in_flight = 256;
  Rig rig(std::move(options));
  std::vector<Producer> idle;
  for (int i = 0; i < 300; ++i) {
    idle.push_back(rig.engine->producer());
    submit(idle.back(), "s", std::to_string(i));  // leaves what it took ahead with it
  }
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(300));
}

TEST(Engine, SubmitBulkTakesThePrefixThatCreditsAllow) {
  Rig rig(hanging(5));
  Producer producer = rig.engine->producer();
  std::vector<Request> requests;
  for (const auto& id : ids(8)) requests.push_back(request("s", id));
  std::span<Request> rest(requests);
  std::size_t sent = 0;
  for (std::size_t now; (now = producer.submit_bulk(rest.subspan(sent))) != 0;) sent += now;
  EXPECT_EQ(sent, 5u);
  EXPECT_EQ(requests[5].id, "5");
  EXPECT_EQ(requests[7].id, "7");
  EXPECT_EQ(producer.submit_bulk({}), 0u);
}

TEST(Engine, BytesOfRequestsAreBounded) {
  Rig rig(hanging(100, kMiB));
  Producer producer = rig.engine->producer();
  const std::string third(400 * 1024, 'x');
  submit(producer, "s", "0", third);
  submit(producer, "s", "1", third);
  Request refused = request("s", "2", third);
  EXPECT_EQ(producer.try_submit(refused), Admission::full);
  EXPECT_EQ(refused.body.size(), third.size());
  Request small = request("s", "3");
  EXPECT_EQ(producer.try_submit(small), Admission::accepted);
  const std::uint64_t held = rig.engine->status().bytes_in_flight;
  EXPECT_GE(held, 2 * third.size());
  EXPECT_LE(held, kMiB);
}

TEST(Engine, SubmitBulkKeepsTheByteLimitThoughEachTaskFits) {
  RigOptions options;
  options.limits.tasks_in_flight = 8192;  // lots of 64 slots
  options.limits.bytes_in_flight = 1 << 20;
  options.call.answer = never_if_id_starts_with('n');
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  std::vector<Request> requests;
  for (int i = 0; i < 64; ++i) requests.push_back(request("s", "n" + std::to_string(i), std::string(400'000, 'b')));
  EXPECT_EQ(producer.submit_bulk(requests), 2u);
  EXPECT_LE(rig.engine->status().bytes_in_flight, 1u << 20);
  EXPECT_EQ(producer.submit_bulk(std::span(requests).subspan(2)), 0u);
  rig.engine->abort();
}

TEST(Engine, OversizedTaskIsAdmittedAlone) {
  Rig rig(hanging(100, kMiB));
  Producer producer = rig.engine->producer();
  Request large = request("s", "large", std::string(3 * kMiB, 'x'));
  ASSERT_EQ(producer.try_submit(large), Admission::accepted);
  Request small = request("s", "small");
  EXPECT_EQ(producer.try_submit(small), Admission::full);
}

TEST(Engine, OversizedTasksGoThroughOneAfterTheOther) {
  RigOptions options;
  options.limits.bytes_in_flight = kMiB;
  std::atomic<std::uint64_t> most{0};
  Engine* engine = nullptr;
  options.on_retire = [&](const Task&) { most = std::max(most.load(), engine->status().in_flight()); };
  Rig rig(std::move(options));
  engine = rig.engine.get();
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(20)) submit(producer, "s", id, std::string(2 * kMiB, 'x'));
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(20));
  EXPECT_EQ(most.load(), 1u);
  EXPECT_EQ(rig.engine->status().bytes_in_flight, 0u);
}

TEST(Engine, BytesOfResponsesCount) {
  RigOptions options;
  options.limits.bytes_in_flight = kMiB;
  options.call.response_bytes = 2 * kMiB;
  std::uint64_t held = 0;
  Engine* engine = nullptr;
  options.on_retire = [&](const Task&) { held = std::max(held, engine->status().bytes_in_flight); };
  Rig rig(std::move(options));
  engine = rig.engine.get();
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(10)) submit(producer, "s", id);
  rig.engine->flush();
  EXPECT_GE(held, 2 * kMiB);
  EXPECT_EQ(rig.engine->status().bytes_in_flight, 0u);
  EXPECT_EQ(rig.committed()["s"], ids(10));
}

TEST(Engine, ProducersThatWaitForBytesAreAllServed) {
  RigOptions options;
  options.limits.bytes_in_flight = kMiB;
  Rig rig(std::move(options));
  std::vector<std::thread> threads;
  for (const char* stream : {"a", "b", "c"})
    threads.emplace_back([&, stream] {
      Producer producer = rig.engine->producer();
      for (const auto& id : ids(100)) submit(producer, stream, id, std::string(700 * 1024, 'x'));
    });
  for (auto& thread : threads) thread.join();
  rig.engine->flush();
  for (const char* stream : {"a", "b", "c"}) EXPECT_EQ(rig.committed()[stream], ids(100));
}

TEST(Engine, WaitingSubmitsReturnClosedWhenAdmissionStops) {
  Rig rig(hanging(1));
  Producer first = rig.engine->producer();
  submit(first, "s", "0");
  std::atomic<int> closed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      Producer producer = rig.engine->producer();
      Request made = request("s", "late");
      if (producer.submit(made) == Admission::closed && made.id == "late") closed.fetch_add(1);
    });
  rig.engine->stop_admission();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(closed.load(), 3);
}

TEST(Producer, CanBeMovedAndReplaced) {
  Rig rig;
  Producer producer = rig.engine->producer();
  submit(producer, "s", "0");
  Producer moved = std::move(producer);
  submit(moved, "s", "1");
  moved = rig.engine->producer();
  submit(moved, "s", "2");
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(3));
}

}  // namespace
}  // namespace pawl::test
