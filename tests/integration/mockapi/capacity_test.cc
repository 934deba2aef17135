// A bound on the calls worked on at once.
#include <chrono>
#include <deque>
#include <string>

#include <gtest/gtest.h>

#include "raw_client.h"

namespace pawl::mockapi::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::string put(const std::string& body) {
  return "PUT /capacity HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(MockApiCapacity, CallsBeyondItWaitInOrder) {
  Options options;
  options.latency.mean_ms = 20;
  options.capacity = 1;
  const auto server = start(options);
  const auto begin = Clock::now();
  std::deque<RawClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(server->port());
    ASSERT_TRUE(clients.back().send(chat(std::to_string(i))));
  }
  for (auto& client : clients) {
    const auto reply = client.read();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->status, 200);
  }
  EXPECT_GE(Clock::now() - begin, milliseconds(100));
  EXPECT_LE(server->stats().queued, 4u);
  EXPECT_EQ(server->stats().answered, 5u);
}

TEST(MockApiCapacity, ChangesWhileCallsWait) {
  Options options;
  options.latency.mean_ms = 3'600'000;  // nobody is answered in this test
  options.capacity = 1;
  const auto server = start(options);
  RawClient control(server->port());
  EXPECT_EQ(control.call(get("/capacity"))->body, "{\"capacity\":1}\n");
  std::deque<RawClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(server->port());
    ASSERT_TRUE(clients.back().send(chat("x")));
  }
  while (server->stats().queued < 3) {
    ASSERT_TRUE(control.call(get("/stats")).has_value());
  }
  EXPECT_EQ(control.call(put("0"))->body, "{\"capacity\":0}\n");
  clients.emplace_back(server->port());
  ASSERT_TRUE(clients.back().send(chat("x")));
  while (server->stats().calls < 5) {
    ASSERT_TRUE(control.call(get("/stats")).has_value());
  }
  EXPECT_EQ(server->stats().queued, 3u);
}

TEST(MockApiCapacity, PlacesOfClientsThatGoAwayAreFree) {
  Options options;
  options.latency.mean_ms = 1;
  options.capacity = 1;
  const auto server = start(options);
  for (int i = 0; i < 200; ++i) {
    RawClient leaves(server->port());
    leaves.send(chat("x"));
    leaves.close();
  }
  RawClient stays(server->port());
  EXPECT_EQ(stays.call(chat("x"))->status, 200);
}

TEST(MockApiCapacity, RefusesWhatIsNoNumber) {
  const auto server = start();
  RawClient client(server->port());
  for (const char* body : {"", "x", "-1", "1.5", "99999999", "1 "})
    EXPECT_EQ(client.call(put(body))->status, 400) << body;
  EXPECT_EQ(client.call("DELETE /capacity HTTP/1.1\r\nHost: x\r\n\r\n")->status, 405);
  Options options;
  options.capacity = 2'000'000;
  EXPECT_FALSE(options.validate().has_value());
}

}  // namespace
}  // namespace pawl::mockapi::test
