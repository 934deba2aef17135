// What the server says about what it was asked.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "raw_client.h"
#include "timer_heap.h"

namespace pawl::mockapi::test {
namespace {

using testing::HasSubstr;

TEST(MockApiStats, CountsCallsPerKey) {
  const auto server = start();
  RawClient client(server->port());
  for (const char* key : {"a", "b", "a", "a", "c"})
    client.call(chat("x", "Idempotency-Key: " + std::string(key) + "\r\n"));
  client.call(get("/status/500", "idempotency-key: b\r\n"));
  client.call(chat("no key"));
  const Stats stats = server->stats();
  EXPECT_EQ(stats.calls, 7u);
  EXPECT_EQ(stats.answered, 7u);
  EXPECT_EQ(stats.by_status.at(200), 6u);
  EXPECT_EQ(stats.by_status.at(500), 1u);
  EXPECT_EQ(stats.keys, 3u);
  EXPECT_EQ(stats.key_calls_max, 3u);
  EXPECT_EQ(stats.keys_answered_2xx_more_than_once, 1u);
  const auto lines = client.call(get("/stats/keys"));
  EXPECT_EQ(lines->body.size(), std::string("a 3 3\nb 2 1\nc 1 1\n").size());
  for (const char* line : {"a 3 3\n", "b 2 1\n", "c 1 1\n"}) EXPECT_THAT(lines->body, HasSubstr(line));
}

TEST(MockApiStats, KeysCanBeLeftUncounted) {
  Options options;
  options.stats_per_key = false;
  const auto server = start(options);
  RawClient client(server->port());
  client.call(chat("x", "Idempotency-Key: a\r\n"));
  EXPECT_EQ(server->stats().keys, 0u);
  EXPECT_EQ(server->stats().calls, 1u);
}

TEST(MockApiStats, SaysTheSameInJsonAndCountsNoControlRequests) {
  const auto server = start();
  RawClient client(server->port());
  client.call(chat("x", "Idempotency-Key: a\r\n"));
  client.call(get("/stats"));
  const auto reply = client.call(get("/stats"));
  simdjson::dom::parser parser;
  const auto json = parser.parse(reply->body);
  EXPECT_EQ(json["calls"].get_uint64().value(), 1u);
  EXPECT_EQ(json["answered"].get_uint64().value(), 1u);
  EXPECT_EQ(json["by_status"]["200"].get_uint64().value(), 1u);
  EXPECT_EQ(json["connections_open"].get_uint64().value(), 1u);
  EXPECT_EQ(json["keys"].get_uint64().value(), 1u);
  EXPECT_EQ(json["in_flight"].get_uint64().value(), 0u);
  EXPECT_EQ(json["in_flight_peak"].get_uint64().value(), 1u);
}

TEST(MockApiStats, ResetForgetsAllButWhatIsNow) {
  const auto server = start();
  RawClient waiting(server->port());
  RawClient client(server->port());
  client.call(chat("before", "Idempotency-Key: a\r\n"));
  // In flight until it is read: an echo of more than the sockets' buffers hold.
  const int small = 64 * 1024;
  ASSERT_EQ(::setsockopt(waiting.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
  ASSERT_TRUE(waiting.send(post("/echo", std::string(16 << 20, 'e'), "Idempotency-Key: b\r\n")));
  while (server->stats().in_flight == 0) ::poll(nullptr, 0, 1);
  EXPECT_EQ(client.call(post("/stats/reset", ""))->status, 200);
  Stats stats = server->stats();
  EXPECT_EQ(stats.calls, 0u);
  EXPECT_EQ(stats.keys, 0u);
  EXPECT_EQ(stats.in_flight, 1u);
  EXPECT_EQ(stats.connections_open, 2u);
  ASSERT_TRUE(waiting.read());
  stats = server->stats();
  EXPECT_EQ(stats.in_flight, 0u);
  EXPECT_EQ(stats.answered, 1u);
  EXPECT_TRUE(server->key_stats().empty());
}

TEST(MockApiStats, CountsClientsThatGoAway) {
  Options options;
  options.latency = {Latency::Kind::fixed, 3'600'000, 0};
  const auto server = start(options);
  RawClient client(server->port());
  ASSERT_TRUE(client.send(chat("x")));
  while (server->stats().in_flight == 0) ::poll(nullptr, 0, 1);
  const linger reset{1, 0};
  ::setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  client.close();
  while (server->stats().connections_open != 0) ::poll(nullptr, 0, 1);
  EXPECT_EQ(server->stats().abandoned, 1u);
  EXPECT_EQ(server->stats().in_flight, 0u);
}

struct Alarm {
  Timer<Alarm> timer{*this};
};

TEST(TimerHeap, GivesTimersInOrderAfterRandomCancels) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  std::srand(static_cast<unsigned>(seed));
  TimerHeap<Alarm> heap;
  std::vector<Alarm> alarms(2000);  // never resized: timers point at their owners
  std::size_t set = 0;
  for (Alarm& alarm : alarms) {
    heap.set(alarm.timer, std::chrono::steady_clock::time_point(std::chrono::milliseconds(std::rand() % 500)));
    ++set;
    Alarm& victim = alarms[static_cast<std::size_t>(std::rand()) % alarms.size()];
    if (std::rand() % 3 == 0 && victim.timer.place != Timer<Alarm>::kIdle) {
      heap.cancel(victim.timer);
      --set;
    }
  }
  EXPECT_EQ(heap.size(), set);
  auto last = std::chrono::steady_clock::time_point::min();
  while (!heap.empty()) {
    Timer<Alarm>& first = heap.first();
    EXPECT_GE(first.due, last);
    last = first.due;
    heap.cancel(first);
    --set;
  }
  EXPECT_EQ(set, 0u);
}

}  // namespace
}  // namespace pawl::mockapi::test
