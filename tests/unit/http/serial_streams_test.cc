#include "serial_streams.h"

#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace pawl::http {
namespace {

class SerialStreamsTest : public ::testing::Test {
 protected:
  using Entry = SerialStreams::Entry;
  Call& call(const std::string& stream) {
    Task& task = tasks_.emplace_back();
    task.request.stream = stream;
    Call& made = calls_.emplace_back();
    made.task = &task;
    return made;
  }
  std::deque<Task> tasks_;
  std::deque<Call> calls_;
};

TEST_F(SerialStreamsTest, LetsOneCallOfAStreamGoAtATimeInTheOrderTheyCame) {
  SerialStreams serial(StreamCalls::serial);
  EXPECT_EQ(serial.enter(call("a")), Entry::go);
  Call& second = call("a");
  Call& third = call("a");
  EXPECT_EQ(serial.enter(second), Entry::parked);
  EXPECT_EQ(serial.enter(third), Entry::parked);
  EXPECT_EQ(serial.enter(call("b")), Entry::go) << "another stream";
  EXPECT_EQ(serial.parked(), 2u);
  EXPECT_EQ(serial.leave("a"), &second);
  EXPECT_EQ(serial.leave("a"), &third);
  EXPECT_EQ(serial.leave("a"), nullptr);
  EXPECT_EQ(serial.parked(), 0u);
  EXPECT_EQ(serial.enter(call("a")), Entry::go) << "idle again";
}

TEST_F(SerialStreamsTest, RemembersLiveStreamsOnly) {
  SerialStreams serial(StreamCalls::serial);
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = "stream-" + std::to_string(i);
    Call& one = call(name);
    ASSERT_EQ(serial.enter(one), Entry::go);
    ASSERT_EQ(serial.size(), 1u);
    ASSERT_EQ(serial.leave(name), nullptr);
    ASSERT_EQ(serial.size(), 0u);
  }
}

TEST_F(SerialStreamsTest, OnceClosedAStreamLetsThoseGoThatWaitedAndNobodyElse) {
  SerialStreams serial(StreamCalls::serial);
  Call& waited = call("a");
  ASSERT_EQ(serial.enter(call("a")), Entry::go);
  ASSERT_EQ(serial.enter(waited), Entry::parked);
  serial.close("a");
  EXPECT_EQ(serial.enter(call("a")), Entry::closed);
  EXPECT_EQ(serial.leave("a"), &waited);
  EXPECT_EQ(serial.leave("a"), nullptr);
  EXPECT_EQ(serial.enter(call("a")), Entry::closed) << "also when it is idle";
  serial.close("never seen");
  EXPECT_EQ(serial.enter(call("never seen")), Entry::closed);
  EXPECT_EQ(serial.enter(call("b")), Entry::go);
}

TEST_F(SerialStreamsTest, DrainTakesOutAllThatWait) {
  SerialStreams serial(StreamCalls::serial);
  std::map<std::string, std::vector<Call*>> waiting, drained;
  for (int i = 0; i < 60; ++i) {
    Call& one = call("stream-" + std::to_string(i % 7));
    if (serial.enter(one) == Entry::parked) waiting[one.task->request.stream].push_back(&one);
  }
  EXPECT_EQ(serial.parked(), 53u);
  serial.drain([&](Call& one) { drained[one.task->request.stream].push_back(&one); });
  EXPECT_EQ(drained, waiting);
  EXPECT_EQ(serial.parked(), 0u);
  EXPECT_EQ(serial.leave("stream-0"), nullptr);
}

TEST_F(SerialStreamsTest, SwitchedOffItLetsAllGo) {
  SerialStreams serial(StreamCalls::overlap);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(serial.enter(call("a")), Entry::go);
  serial.close("a");
  EXPECT_EQ(serial.enter(call("a")), Entry::go);
  EXPECT_EQ(serial.leave("a"), nullptr);
  EXPECT_EQ(serial.size(), 0u);
}

// Against a model: a queue for each stream, of which the first may be on its way.
TEST_F(SerialStreamsTest, RandomComingsAndGoingsAgreeWithQueues) {
  std::mt19937_64 random(7);
  SerialStreams serial(StreamCalls::serial);
  std::map<std::string, std::deque<Call*>> model;
  for (int step = 0; step < 20'000; ++step) {
    const std::string name = std::to_string(random() % 20);
    auto& queue = model[name];
    if (random() % 2 == 0) {
      Call& one = call(name);
      ASSERT_EQ(serial.enter(one), queue.empty() ? Entry::go : Entry::parked);
      queue.push_back(&one);
    } else if (!queue.empty()) {
      queue.pop_front();
      ASSERT_EQ(serial.leave(name), queue.empty() ? nullptr : queue.front());
    }
  }
}

}  // namespace
}  // namespace pawl::http
