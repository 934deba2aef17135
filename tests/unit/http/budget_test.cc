#include "budget.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "json_number.h"
#include "token_meter.h"

namespace pawl::http {
namespace {

using Answer = Budget::Answer;

Options bounds(std::uint64_t calls, std::uint64_t tokens) {
  Options options;
  options.budget_calls = calls;
  options.budget_tokens = tokens;
  return options;
}

TEST(Budget, WithoutBoundsNothingIsEverSpent) {
  Budget budget(bounds(0, 0));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(budget.ask(), Answer::go);
    budget.begin();
  }
  for (int i = 0; i < 1000; ++i) budget.end(true);
  EXPECT_TRUE(budget.take(7, 200));
  EXPECT_EQ(budget.sent(), 1000u);
  EXPECT_EQ(budget.tokens(), 0u) << "not counted without a bound";
}

TEST(Budget, NeverLetsMoreCallsBeginThanMayLeave) {
  Budget budget(bounds(3, 0));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(budget.ask(), Answer::go);
    budget.begin();
  }
  EXPECT_EQ(budget.ask(), Answer::wait) << "all may have left";
  budget.end(true);
  EXPECT_EQ(budget.ask(), Answer::wait);
  budget.end(false);
  ASSERT_EQ(budget.ask(), Answer::go) << "one did not leave";
  budget.begin();
  budget.end(true);
  EXPECT_EQ(budget.ask(), Answer::wait);
  budget.end(true);
  EXPECT_EQ(budget.ask(), Answer::spent);
  EXPECT_EQ(budget.what(), Spent::What::calls);
  EXPECT_EQ(budget.sent(), 3u);
}

TEST(Budget, CountsTheTokensThatAnswersTell) {
  Budget budget(bounds(0, 10));
  EXPECT_TRUE(budget.take(9, 200));
  EXPECT_EQ(budget.ask(), Answer::go);
  EXPECT_FALSE(budget.take(std::nullopt, 200)) << "a success that does not say";
  EXPECT_TRUE(budget.take(std::nullopt, 503)) << "failures need not";
  EXPECT_EQ(budget.ask(), Answer::go);
  EXPECT_TRUE(budget.take(UINT64_MAX, 200));
  EXPECT_EQ(budget.ask(), Answer::spent);
  EXPECT_EQ(budget.what(), Spent::What::tokens);
  EXPECT_EQ(budget.tokens(), UINT64_MAX) << "it does not wrap";
}

TEST(TokenMeter, ReadsWhatBudgetAndRateAskFor) {
  constexpr std::string_view kBody = R"({"usage":{"prompt_tokens":3,"total_tokens":9}})";
  Options options;
  EXPECT_EQ(TokenMeter(options).read(kBody).cost, std::nullopt);
  EXPECT_EQ(TokenMeter(options).read(kBody).used, std::nullopt);
  EXPECT_EQ(TokenMeter(options).expected(kBody, 100), 0);
  options.budget_tokens = 10;
  EXPECT_EQ(TokenMeter(options).read(kBody).cost, 9u);
  EXPECT_EQ(TokenMeter(options).read(kBody).used, std::nullopt);
  options.rate_tokens = {.count = 100, .per = std::chrono::seconds(1)};
  EXPECT_EQ(TokenMeter(options).read(kBody).cost, 9u);
  EXPECT_EQ(TokenMeter(options).read(kBody).used, 9u);
  options.budget_tokens_at = "/usage/prompt_tokens";
  EXPECT_EQ(TokenMeter(options).read(kBody).cost, 3u);
  EXPECT_EQ(TokenMeter(options).read(kBody).used, 9u) << "a rate is of all tokens";
  EXPECT_EQ(TokenMeter(options).read("busy").used, std::nullopt);
  EXPECT_EQ(TokenMeter(options).expected(std::string(400, 'x'), 20), 120) << "four bytes a token";
  options.tokens_by = "/usage/prompt_tokens";
  EXPECT_FALSE(TokenMeter(options).estimates());
  EXPECT_EQ(TokenMeter(options).expected(kBody, 100), 3);
  EXPECT_EQ(TokenMeter(options).expected("{}", 100), 0);
}

std::optional<std::uint64_t> number(std::string_view json, std::string_view pointer = "/usage/total_tokens") {
  return JsonNumber(pointer).find(json);
}

TEST(JsonNumber, FindsWhatThePointerNames) {
  EXPECT_EQ(number(R"({"id":"x","choices":[{"a":"}{\"usage\":1"},[]],"usage":{"n":{},"total_tokens":42}})"), 42u);
  EXPECT_EQ(number("{ \"usage\" :\n{ \"total_tokens\"\t: 7 } }"), 7u);
  EXPECT_EQ(number(R"({"usage":{"total_tokens":12.9e1}})"), 129u);
  EXPECT_EQ(number(R"({"usage":{"total_tokens":18446744073709551615}})"), UINT64_MAX);
  EXPECT_EQ(number(R"({"a":[{"n":1},[5,6,{"n":3}]]})", "/a/1/2/n"), 3u);
  EXPECT_EQ(number(R"([[],"x",9])", "/2"), 9u);
  EXPECT_EQ(number(R"({"a/b":{"~":4}})", "/a~1b/~0"), 4u);
  EXPECT_EQ(number(R"({"":{"":5}})", "//"), 5u);
  EXPECT_EQ(number("{\"\\u00fcb\\u0065r\\ud83d\\ude00\":8}", "/über😀"), 8u);
  EXPECT_EQ(number(R"({"tot\"al":8})", "/tot\"al"), 8u);
}

TEST(JsonNumber, FindsNothingWhereThereIsNone) {
  for (const char* json :
       {"", "nope", "null", "[]", "{}", R"({"usage":null})", R"({"usage":[1]})", R"({"usage":{"total_tokens":null}})",
        R"({"usage":{"total_tokens":"5"}})", R"({"usage":{"total_tokens":-5}})", R"({"usage":{"total_tokens":1e30}})",
        R"({"usage":{"total_tokens":99999999999999999999}})", R"({"usage":{"total)", R"({"a":"\)", R"({"a":"x)",
        R"({"a":[[[[{)", R"({"a":]})", R"({"a")", R"({"a":1 "usage":{"total_tokens":1}})"})
    EXPECT_EQ(number(json), std::nullopt) << json;
  EXPECT_EQ(number("[1,2]", "/2"), std::nullopt);
  EXPECT_EQ(number("[1,2]", "/-"), std::nullopt);
  EXPECT_EQ(number("[1,2]", "/"), std::nullopt);
  EXPECT_EQ(number(std::string(1'000'000, '[')), std::nullopt);
  EXPECT_EQ(
      number("{\"a\":" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + R"(,"usage":{"total_tokens":3}})"),
      3u);
}

TEST(JsonNumber, TellsWhatIsWrongWithAPointer) {
  EXPECT_EQ(JsonNumber::pointer_fault("/usage/total_tokens"), "");
  EXPECT_EQ(JsonNumber::pointer_fault("/a~0~1"), "");
  for (const char* pointer : {"", "usage", "/a~", "/a~2"}) EXPECT_NE(JsonNumber::pointer_fault(pointer), "") << pointer;
}

}  // namespace
}  // namespace pawl::http
