// What a server says of its limits, what a body says of its cost, and how rates are kept.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "json_glance.h"
#include "limit_headers.h"
#include "rate_bucket.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::chrono::system_clock::time_point kToday{seconds(1'800'000'000)};
std::chrono::system_clock::time_point today() { return kToday; }

TEST(ParseReset, ReadsEveryForm) {
  const std::vector<std::pair<std::string, milliseconds>> cases = {
      {"6m0s", minutes(6)},       {"1s", seconds(1)},
      {"20ms", milliseconds(20)}, {"2m59.56s", milliseconds(179'560)},
      {"1h2m3s", seconds(3723)},  {"0", milliseconds(0)},
      {"120", seconds(120)},      {"1.5", milliseconds(1500)},
      {" 7 ", seconds(7)},        {"1800000030", seconds(30)},
      {"1700000000", seconds(0)},  // dates, to come and gone
      {"100us", milliseconds(1)}, {"1d", std::chrono::hours(24)},
  };
  for (const auto& [text, wanted] : cases) EXPECT_EQ(parse_reset(text, kToday), wanted) << text;
  for (const char* text : {"", "soon", "-1", "1x", "1s2", "s", "1 s", "nan", "1e3"}) {
    EXPECT_EQ(parse_reset(text, kToday), std::nullopt) << text;
  }
  EXPECT_EQ(parse_reset("999999999999h", kToday), std::chrono::hours(24 * 366));
}

struct Line {
  const char* name;
  const char* value;
};

LimitHeaders read(const std::vector<Line>& lines) {
  LimitHeaders headers;
  for (const auto& [name, value] : lines) EXPECT_TRUE(headers.take(name, value, &today)) << name;
  return headers;
}

TEST(LimitHeaders, ReadTheOnesOfModelServers) {
  const auto headers = read({{"x-ratelimit-limit-requests", "60"},
                             {"X-RateLimit-Remaining-Requests", "59"},
                             {"x-ratelimit-reset-requests", "1s"},
                             {"x-ratelimit-limit-tokens", "150000"},
                             {"x-ratelimit-remaining-tokens", "0"},
                             {"x-ratelimit-reset-tokens", "6m0s"}});
  EXPECT_EQ(headers.requests().limit, 60u);
  EXPECT_EQ(headers.requests().remaining, 59u);
  EXPECT_EQ(headers.requests().reset, seconds(1));
  EXPECT_EQ(headers.tokens().remaining, 0u);
  EXPECT_EQ(headers.tokens().reset, minutes(6));
}

TEST(LimitHeaders, ReadEachVersionOfTheDraft) {
  const auto three =
      read({{"RateLimit-Limit", "100, 100;w=60"}, {"RateLimit-Remaining", "5"}, {"RateLimit-Reset", "30"}});
  EXPECT_EQ(three.requests().limit, 100u);
  EXPECT_EQ(three.requests().remaining, 5u);
  EXPECT_EQ(three.requests().reset, seconds(30));
  const auto named = read({{"ratelimit", "limit=100, remaining=50, reset=7"}});
  EXPECT_EQ(named.requests().limit, 100u);
  EXPECT_EQ(named.requests().remaining, 50u);
  EXPECT_EQ(named.requests().reset, seconds(7));
  const auto structured = read({{"RateLimit-Policy", "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400"},
                                {"RateLimit", "\"daily\";r=1;t=36000, \"burst\";r=50;t=30"}});
  EXPECT_EQ(structured.requests().limit, 1000u);
  EXPECT_EQ(structured.requests().remaining, 1u);
  EXPECT_EQ(structured.requests().reset, seconds(36000));
  const auto without_time = read({{"RateLimit", "\"a\";r=0"}, {"RateLimit-Policy", "\"a\";q=10;w=60"}});
  EXPECT_EQ(without_time.requests().reset, seconds(60));
  const auto of_bytes =
      read({{"RateLimit", "\"a\";r=0;t=60"}, {"RateLimit-Policy", "\"a\";q=10;w=60;qu=\"content-bytes\""}});
  EXPECT_FALSE(of_bytes.requests().known());
}

TEST(LimitHeaders, PlainOnesMayNameADate) {
  const auto headers = read({{"X-RateLimit-Remaining", "0"}, {"X-RateLimit-Reset", "1800000060"}});
  EXPECT_EQ(headers.requests().remaining, 0u);
  EXPECT_EQ(headers.requests().reset, minutes(1));
}

TEST(LimitHeaders, NonsenseSaysNothing) {
  LimitHeaders headers;
  EXPECT_FALSE(headers.take("content-type", "a/b", &today));
  EXPECT_FALSE(headers.take("x-request-id", "7", &today));
  EXPECT_FALSE(headers.take("server", "ratelimit", &today));
  const auto odd = read({{"x-ratelimit-remaining-requests", "none"},
                         {"x-ratelimit-reset-requests", "later"},
                         {"x-ratelimit-remaining-images", "0"},
                         {"RateLimit", "\"a\";r=;t=x;;;\"\",=,"},
                         {"RateLimit-Policy", ";;\"\"\"=,,"}});
  EXPECT_FALSE(odd.requests().known());
  EXPECT_FALSE(odd.tokens().known());
}

TEST(LimitHeaders, AreForgottenByClear) {
  LimitHeaders headers = read({{"RateLimit", "\"a\";r=0;t=60"}, {"x-ratelimit-remaining-tokens", "0"}});
  headers.clear();
  EXPECT_FALSE(headers.requests().remaining.has_value());
  EXPECT_FALSE(headers.tokens().remaining.has_value());
}

TEST(FactsOf, FindsTheModelWhereverItStands) {
  EXPECT_EQ(facts_of(R"({"model":"gpt-4o","messages":[]})", Glance::model).model, "gpt-4o");
  EXPECT_EQ(
      facts_of(R"( { "messages" : [ {"model":"inner"} , "}" ] , "x":{"model":"no"}, "model" : "m" })", Glance::model)
          .model,
      "m");
  EXPECT_EQ(facts_of(R"({"a":"\"model\":\"no\"\\","model":"yes"})", Glance::model).model, "yes");
  EXPECT_EQ(facts_of(R"({"model":7,"a":1,"model":"late"})", Glance::model).model, "late");
  EXPECT_EQ(facts_of(R"({"model":"a\"b"})", Glance::model).model, R"(a\"b)");
}

TEST(FactsOf, KnowsNothingOfOtherBodies) {
  for (const char* body :
       {"", "{", "{}", "[]", R"(["model","x"])", R"({"model")", R"({"model":)", R"({"model":"x)", R"({"a":"model"})",
        "model", "\xff\xfe", R"({"a":[1,{"model":"x"}]})", R"({"a" "model":"x"})"}) {
    EXPECT_EQ(facts_of(body, Glance::tokens).model, "") << body;
  }
}

TEST(FactsOf, CutsLongModelsAndGivesUpOnEndlessBodies) {
  const std::string name(10'000, 'm');
  EXPECT_EQ(facts_of(R"({"model":")" + name + R"("})", Glance::model).model.size(), kModelBytesMax);
  const std::string deep = R"({"a":)" + std::string(10 << 20, '[') + R"(,"model":"x"})";
  EXPECT_EQ(facts_of(deep, Glance::model).model, "");
  const std::string quotes = R"({"a":")" + std::string(10 << 20, '\\') + R"(","model":"x"})";
  EXPECT_EQ(facts_of(quotes, Glance::model).model, "x");
  // A picture in a string does not hide the model behind it.
  const std::string picture = R"({"image":")" + std::string(10 << 20, 'A') + R"(","model":"x"})";
  EXPECT_EQ(facts_of(picture, Glance::model).model, "x");
}

TEST(FactsOf, AddsUpTheTokensOfTheAnswer) {
  EXPECT_EQ(facts_of(R"({"max_tokens":100,"model":"m"})", Glance::tokens).answer_tokens, 100u);
  EXPECT_EQ(facts_of(R"({"model":"m","n":3,"max_completion_tokens":100})", Glance::tokens).answer_tokens, 300u);
  EXPECT_EQ(facts_of(R"({"model":"m","max_output_tokens":1.5e2})", Glance::tokens).answer_tokens, 150u);
  for (const char* odd :
       {R"({"max_tokens":-5})", R"({"max_tokens":"9"})", R"({"max_tokens":null})", R"({"max_tokens":[9]})"}) {
    EXPECT_EQ(facts_of(odd, Glance::tokens).answer_tokens, 0u) << odd;
  }
}

using Time = RateBucket::Time;
constexpr Time kStart{seconds(1000)};

TEST(RateBucket, HoldsItsBurstAndFillsEvenly) {
  RateBucket bucket(Rate{.count = 10, .per = seconds(1), .burst = 3});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(bucket.ready_at(1, kStart), kStart);
    bucket.take(1, kStart);
  }
  EXPECT_EQ(bucket.ready_at(1, kStart), kStart + milliseconds(100));
  EXPECT_EQ(bucket.ready_at(2, kStart), kStart + milliseconds(200));
  EXPECT_EQ(bucket.ready_at(1, kStart + seconds(9)), kStart + seconds(9));
}

TEST(RateBucket, NeverLetsMoreThroughThanRateAndBurst) {
  RateBucket bucket(Rate{.count = 600, .per = minutes(1)});  // 10 a second, so 10 at once
  Time now = kStart;
  int taken = 0;
  while (now < kStart + seconds(60)) {
    now = bucket.ready_at(1, now);
    bucket.take(1, now);
    ++taken;
  }
  EXPECT_GE(taken, 600);
  EXPECT_LE(taken, 611);
}

TEST(RateBucket, LetsLargeOnesThroughWhenFullAndThenOwes) {
  RateBucket bucket(Rate{.count = 100, .per = seconds(1), .burst = 50});
  EXPECT_EQ(bucket.ready_at(500, kStart), kStart);
  bucket.take(500, kStart);
  EXPECT_EQ(bucket.ready_at(1, kStart), kStart + milliseconds(4510));
  bucket.correct(-400, kStart);
  EXPECT_EQ(bucket.ready_at(1, kStart), kStart + milliseconds(510));
  bucket.correct(100, kStart);
  EXPECT_EQ(bucket.ready_at(1, kStart), kStart + milliseconds(1510));
}

TEST(RateBucket, WithoutARateLimitsNothing) {
  RateBucket bucket;
  bucket.take(1e300, kStart);
  EXPECT_FALSE(bucket.limited());
  EXPECT_EQ(bucket.ready_at(1e300, kStart), kStart);
  RateBucket slow(Rate{.count = 1, .per = std::chrono::hours(24)});
  slow.take(1e300, kStart);
  EXPECT_LE(slow.ready_at(1, kStart), kStart + RateBucket::kDebtMax + std::chrono::hours(24));
}

}  // namespace
}  // namespace pawl::http
