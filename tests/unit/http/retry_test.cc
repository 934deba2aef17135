#include "retry.h"

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "retry_queue.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr RetryPolicy kPolicy{.retry_max = 5, .delay = milliseconds(1000), .delay_max = milliseconds(60'000)};
constexpr double kAlmostOne = 0x1.fffffffffffffp-1;

TEST(RetryDelay, FollowsStatusAndFailureClass) {
  struct Case {
    int status;
    Failure failure;
    bool retried;
  };
  const std::vector<Case> cases = {
      {200, Failure::none, false},
      {204, Failure::none, false},
      {301, Failure::none, false},
      {304, Failure::none, false},
      {400, Failure::none, false},
      {401, Failure::none, false},
      {404, Failure::none, false},
      {408, Failure::none, true},
      {409, Failure::none, false},
      {429, Failure::none, true},
      {500, Failure::none, true},
      {501, Failure::none, false},
      {502, Failure::none, true},
      {503, Failure::none, true},
      {504, Failure::none, true},
      {505, Failure::none, false},
      {522, Failure::none, true},
      {524, Failure::none, true},
      {0, Failure::dns_failed, true},
      {0, Failure::connect_failed, true},
      {0, Failure::connection_reset, true},
      {0, Failure::timeout, true},
      {0, Failure::tls_failed, true},
      {0, Failure::truncated, true},
      {0, Failure::proxy_failed, true},
      {0, Failure::certificate_invalid, false},
      {0, Failure::tls_setup_failed, false},
      {0, Failure::bad_response, false},
      {0, Failure::response_too_large, false},
      {0, Failure::too_many_redirects, false},
      {0, Failure::bad_redirect, false},
      {0, Failure::bad_url, false},
      {0, Failure::bad_request, false},
      {0, Failure::call_failed, false},
  };
  for (const auto& c : cases) {
    const Attempt attempt{.number = 1, .failure = c.failure, .status = c.status};
    EXPECT_EQ(retry_delay(kPolicy, attempt, 0.5).has_value(), c.retried) << c.status << ' ' << code_of(c.failure);
  }
}

TEST(RetryDelay, ServersWordOverridesErrorStatusesOnly) {
  EXPECT_TRUE(retry_delay(kPolicy, {.status = 409, .should_retry = true}, 0).has_value());
  EXPECT_FALSE(retry_delay(kPolicy, {.status = 503, .should_retry = false}, 0).has_value());
  EXPECT_FALSE(retry_delay(kPolicy, {.status = 200, .should_retry = true}, 0).has_value());
  EXPECT_FALSE(retry_delay(kPolicy, {.failure = Failure::certificate_invalid, .should_retry = true}, 0).has_value());
}

TEST(RetryDelay, DoublesItsBoundUpToTheCap) {
  const std::vector<std::int64_t> bounds = {1000, 2000, 4000, 8000, 16'000, 32'000, 60'000, 60'000};
  RetryPolicy policy = kPolicy;
  policy.retry_max = 1000;
  for (std::uint32_t number = 1; number <= bounds.size(); ++number) {
    const Attempt attempt{.number = number, .status = 503};
    EXPECT_EQ(retry_delay(policy, attempt, 0)->count(), 0);
    EXPECT_EQ(retry_delay(policy, attempt, 0.5)->count(), bounds[number - 1] / 2);
    EXPECT_EQ(retry_delay(policy, attempt, kAlmostOne)->count(), bounds[number - 1] - 1);
  }
  EXPECT_EQ(retry_delay(policy, {.number = 1000, .status = 503}, 0.5)->count(), 30'000);
}

TEST(RetryDelay, EndsAfterTheLastAttempt) {
  EXPECT_TRUE(retry_delay(kPolicy, {.number = 5, .status = 503}, 0).has_value());
  EXPECT_FALSE(retry_delay(kPolicy, {.number = 6, .status = 503}, 0).has_value());
  RetryPolicy never = kPolicy;
  never.retry_max = 0;
  EXPECT_FALSE(retry_delay(never, {.number = 1, .status = 503}, 0).has_value());
}

TEST(RetryDelay, NeverComesBeforeTheServerAsked) {
  std::uint64_t seed = 1;
  if (const char* text = std::getenv("PAWL_SEED")) seed = std::stoull(text);
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> unit(0, 1);
  for (int i = 0; i < 10'000; ++i) {
    const milliseconds wish(static_cast<std::int64_t>(random() % 900'000));
    const Attempt attempt{.number = static_cast<std::uint32_t>(1 + random() % 5), .status = 429, .retry_after = wish};
    const auto delay = retry_delay(kPolicy, attempt, unit(random));
    ASSERT_TRUE(delay.has_value());
    EXPECT_GE(*delay, std::min(wish, kRetryAfterMax));
    EXPECT_LE(*delay, std::max(kRetryAfterMax + kPolicy.delay, kPolicy.delay_max));
  }
}

TEST(RetryDelay, RefusalThatDoesNotCountWaitsForItsLaneOrBacksOffByRefusals) {
  const Attempt named{.number = 0, .status = 429, .retry_after = seconds(7), .free = true, .refusals = 3};
  EXPECT_TRUE(waits_for_lane(named));
  EXPECT_EQ(retry_delay(kPolicy, named, kAlmostOne), seconds(7));
  Attempt unnamed = named;
  unnamed.retry_after = std::nullopt;
  EXPECT_FALSE(waits_for_lane(unnamed));
  EXPECT_EQ(retry_delay(kPolicy, unnamed, 0.5), seconds(2));
  RetryPolicy policy = kPolicy;
  policy.time_max = seconds(6);
  EXPECT_EQ(retry_delay(policy, named, 0), std::nullopt);
}

TEST(RetryDelay, StaysWithinTheTimeForAllAttempts) {
  RetryPolicy policy = kPolicy;
  policy.time_max = seconds(10);
  EXPECT_TRUE(retry_delay(policy, {.status = 503, .elapsed = seconds(9)}, kAlmostOne).has_value());
  EXPECT_FALSE(retry_delay(policy, {.status = 503, .elapsed = milliseconds(9'500)}, kAlmostOne).has_value());
  EXPECT_FALSE(retry_delay(policy, {.status = 429, .retry_after = seconds(11)}, 0).has_value());
}

TEST(ParseRetryAfter, ReadsSecondsAndAllThreeDates) {
  const auto now = std::chrono::system_clock::from_time_t(784'111'777);  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(parse_retry_after("0", now), milliseconds(0));
  EXPECT_EQ(parse_retry_after("120", now), seconds(120));
  EXPECT_EQ(parse_retry_after("99999999999999999999999", now), std::chrono::hours(24 * 366));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), seconds(60));
  EXPECT_EQ(parse_retry_after("Sunday, 06-Nov-94 08:50:37 GMT", now), seconds(60));
  EXPECT_EQ(parse_retry_after("Sun Nov  6 08:50:37 1994", now), seconds(60));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), milliseconds(0));
}

TEST(ParseRetryAfter, RefusesEverythingElse) {
  const auto now = std::chrono::system_clock::now();
  for (const char* text : {"", "-5", "1.5", "soon", "12 s", "0x10", "Sun"}) {
    EXPECT_EQ(parse_retry_after(text, now), std::nullopt) << text;
  }
}

TEST(ParseRetryAfterMs, ReadsFractionsAndRefusesNonsense) {
  EXPECT_EQ(parse_retry_after_ms("250"), milliseconds(250));
  EXPECT_EQ(parse_retry_after_ms("0.2"), milliseconds(1));
  EXPECT_EQ(parse_retry_after_ms("1e300"), seconds(366LL * 24 * 3600));
  for (const char* text : {"", "-1", "nan", "inf", "12ms", "1e999"}) {
    EXPECT_EQ(parse_retry_after_ms(text), std::nullopt) << text;
  }
}

TEST(RetryQueue, GivesEarliestFirstAndEqualTimesInOrder) {
  using Time = RetryQueue<int>::Time;
  RetryQueue<int> queue;
  const Time start{};
  EXPECT_EQ(queue.next_due(), std::nullopt);
  queue.push(start + seconds(3), 3);
  queue.push(start + seconds(1), 1);
  queue.push(start + seconds(2), 20);
  queue.push(start + seconds(2), 21);
  EXPECT_EQ(queue.next_due(), start + seconds(1));
  EXPECT_EQ(queue.pop(start), std::nullopt);
  EXPECT_EQ(queue.pop(start + seconds(2)), 1);
  EXPECT_EQ(queue.pop(start + seconds(2)), 20);
  EXPECT_EQ(queue.pop(start + seconds(2)), 21);
  EXPECT_EQ(queue.pop(start + seconds(2)), std::nullopt);
  EXPECT_EQ(queue.size(), 1u);
}

}  // namespace
}  // namespace pawl::http
