// Latency and faults: their distribution from the planner itself, their look from a client.
#include <chrono>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "faults.h"
#include "raw_client.h"

namespace pawl::mockapi::test {
namespace {

using std::chrono::milliseconds;

struct Moments {
  double mean = 0;
  double deviation = 0;
  double least = 1e300;
  double most = 0;
};

Moments moments_of(Latency latency, std::uint64_t seed) {
  Options options;
  options.latency = latency;
  options.seed = seed;
  FaultPlanner planner(options);
  constexpr int kDraws = 200'000;
  double sum = 0;
  double squares = 0;
  Moments moments;
  for (int i = 0; i < kDraws; ++i) {
    const double delay = planner.next(Clock::time_point{}).delay_ms;
    sum += delay;
    squares += delay * delay;
    moments.least = std::min(moments.least, delay);
    moments.most = std::max(moments.most, delay);
  }
  moments.mean = sum / kDraws;
  moments.deviation = std::sqrt(squares / kDraws - moments.mean * moments.mean);
  return moments;
}

TEST(FaultPlanner, DrawsLatenciesAsDistributed) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  const Moments fixed = moments_of({Latency::Kind::fixed, 50, 0}, seed);
  EXPECT_EQ(fixed.least, 50);
  EXPECT_EQ(fixed.most, 50);
  const Moments uniform = moments_of({Latency::Kind::uniform, 50, 40}, seed);
  EXPECT_NEAR(uniform.mean, 50, 0.5);
  EXPECT_NEAR(uniform.deviation, 80 / std::sqrt(12.0), 0.5);
  EXPECT_GE(uniform.least, 10);
  EXPECT_LE(uniform.most, 90);
  const Moments lognormal = moments_of({Latency::Kind::lognormal, 50, 0.5}, seed);
  EXPECT_NEAR(lognormal.mean, 50, 0.6);
  EXPECT_NEAR(lognormal.deviation, 50 * std::sqrt(std::exp(0.25) - 1), 1.5);
  EXPECT_GT(lognormal.least, 0);
}

TEST(FaultPlanner, GivesEachFaultItsShare) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  Options options;
  options.seed = seed;
  options.drop_rate = 0.1;
  options.error_rate = 0.2;
  options.truncate_rate = 0.3;
  options.slow_rate = 0.15;
  options.error_codes = {500, 503};
  FaultPlanner planner(options);
  constexpr int kDraws = 100'000;
  std::map<Fault, int> seen;
  int of_503 = 0;
  for (int i = 0; i < kDraws; ++i) {
    const Plan plan = planner.next(Clock::time_point{});
    ++seen[plan.fault];
    if (plan.fault == Fault::error && plan.error_code == 503) ++of_503;
  }
  EXPECT_NEAR(seen[Fault::dropped], 0.1 * kDraws, 1000);
  EXPECT_NEAR(seen[Fault::error], 0.2 * kDraws, 1000);
  EXPECT_NEAR(seen[Fault::truncated], 0.3 * kDraws, 1000);
  EXPECT_NEAR(seen[Fault::slow], 0.15 * kDraws, 1000);
  EXPECT_NEAR(seen[Fault::none], 0.25 * kDraws, 1000);
  EXPECT_NEAR(of_503, 0.1 * kDraws, 1000);
}

TEST(FaultPlanner, SameSeedSamePlans) {
  Options options;
  options.seed = 42;
  options.error_rate = 0.5;
  options.latency = {Latency::Kind::lognormal, 10, 1};
  FaultPlanner one(options);
  FaultPlanner two(options);
  options.seed = 43;
  FaultPlanner other(options);
  int differing = 0;
  for (int i = 0; i < 1000; ++i) {
    const Plan plan = one.next(Clock::time_point{});
    const Plan same = two.next(Clock::time_point{});
    EXPECT_EQ(plan.fault, same.fault);
    EXPECT_EQ(plan.delay_ms, same.delay_ms);
    if (plan.delay_ms != other.next(Clock::time_point{}).delay_ms) ++differing;
  }
  EXPECT_GT(differing, 990);
}

TEST(FaultPlanner, LimitsTheRateByTheTimeGiven) {
  Options options;
  options.rate_limit_per_s = 10;
  FaultPlanner planner(options);
  const Clock::time_point begin{std::chrono::hours(1)};
  const auto limited = [&](Clock::time_point now) { return planner.next(now).fault == Fault::rate_limited; };
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(limited(begin)) << i;
  const Plan beyond = planner.next(begin);
  EXPECT_EQ(beyond.fault, Fault::rate_limited);
  EXPECT_EQ(beyond.retry_after, milliseconds(100));
  EXPECT_TRUE(limited(begin + milliseconds(99)));
  EXPECT_FALSE(limited(begin + milliseconds(101)));
  EXPECT_TRUE(limited(begin + milliseconds(102)));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(limited(begin + std::chrono::seconds(60))) << i;
  EXPECT_TRUE(limited(begin + std::chrono::seconds(60)));
}

TEST(MockApiFaults, NeverAnswersBeforeTheLatency) {
  Options options;
  options.latency = {Latency::Kind::fixed, 30, 0};
  const auto server = start(options);
  RawClient client(server->port());
  for (int i = 0; i < 5; ++i) {
    const auto begin = Clock::now();
    ASSERT_TRUE(client.call(chat("slow")));
    EXPECT_GE(Clock::now() - begin, milliseconds(30));
  }
  const Stats stats = server->stats();
  EXPECT_EQ(stats.delayed, 5u);
  EXPECT_DOUBLE_EQ(stats.delay_ms_sum, 150);
  EXPECT_DOUBLE_EQ(stats.delay_ms_max, 30);
}

TEST(MockApiFaults, DropsConnections) {
  Options options;
  options.drop_rate = 1;
  const auto server = start(options);
  RawClient client(server->port());
  EXPECT_FALSE(client.call(chat("gone", "Idempotency-Key: k\r\n")));
  const Stats stats = server->stats();
  EXPECT_EQ(stats.dropped, 1u);
  EXPECT_EQ(stats.answered, 0u);
  EXPECT_EQ(stats.in_flight, 0u);
  EXPECT_EQ(stats.abandoned, 0u);
  ASSERT_EQ(server->key_stats().size(), 1u);
  EXPECT_EQ(server->key_stats()[0].answered_2xx, 0u);
}

TEST(MockApiFaults, TruncatesBodies) {
  Options options;
  options.truncate_rate = 1;
  const auto server = start(options);
  RawClient client(server->port());
  const auto reply = client.call(chat("cut"));
  ASSERT_TRUE(reply);
  EXPECT_FALSE(reply->whole);
  RawClient again(server->port());
  ASSERT_TRUE(again.send(post("/echo", "0123456789")));
  again.half_close();
  const auto half = again.read();
  ASSERT_TRUE(half);
  EXPECT_EQ(half->header("content-length"), "10");
  EXPECT_EQ(half->body, "01234");
  const Stats stats = server->stats();
  EXPECT_EQ(stats.truncated, 2u);
  EXPECT_EQ(stats.answered, 0u);
  EXPECT_EQ(stats.in_flight, 0u);
}

TEST(MockApiFaults, DripsBodies) {
  Options options;
  options.slow_rate = 1;
  options.slow_ms = 160;
  const auto server = start(options);
  RawClient client(server->port());
  for (const std::size_t size : {1u, 7u, 1000u}) {
    const std::string body(size, 'd');
    const auto begin = Clock::now();
    const auto reply = client.call(post("/echo", body));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, body);
    EXPECT_GE(Clock::now() - begin, milliseconds(160));
  }
  EXPECT_EQ(server->stats().slowed, 3u);
  EXPECT_EQ(client.call("HEAD /echo HTTP/1.1\r\nHost: t\r\n\r\n", true)->status, 200);
}

TEST(MockApiFaults, AnswersErrors) {
  Options options;
  options.error_rate = 1;
  options.error_codes = {503};
  options.retry_after = milliseconds(1500);
  const auto server = start(options);
  RawClient client(server->port());
  const auto reply = client.call(chat("no"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 503);
  EXPECT_EQ(reply->header("retry-after"), "2");
  EXPECT_EQ(reply->header("retry-after-ms"), "1500");
  EXPECT_EQ(server->stats().errors_injected, 1u);
}

TEST(MockApiFaults, LimitsTheRate) {
  Options options;
  options.rate_limit_per_s = 0.001;  // one call, then none for a quarter of an hour
  options.latency = {Latency::Kind::fixed, 1, 0};
  const auto server = start(options);
  RawClient client(server->port());
  EXPECT_EQ(client.call(chat("first"))->status, 200);
  const auto limited = client.call(chat("second"));
  EXPECT_EQ(limited->status, 429);
  EXPECT_GT(std::stoi(limited->header("retry-after")), 900);
  EXPECT_GT(std::stoi(limited->header("retry-after-ms")), 900'000);
  EXPECT_EQ(client.call(get("/stats"))->status, 200);
  EXPECT_EQ(server->stats().rate_limited, 1u);
}

}  // namespace
}  // namespace pawl::mockapi::test
