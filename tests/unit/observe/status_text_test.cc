#include <gtest/gtest.h>

#include <string>

#include "json_fields.h"
#include "view_fixture.h"

namespace pawl::observe {
namespace {

TEST(ParseStatus, ReadsWhatToJsonWrote) {
  RunView view = busy_view();
  view.phase = Phase::draining;
  view.bytes_read = 17;
  view.bytes_total = 99;
  view.recovered = 3;
  view.bad_lines = 4;
  view.paused = true;
  view.lanes = {{.origin = "https://a.example:443", .model = "m", .limit = 8, .breaker = "open", .paused = {}}, {}};
  view.errors = {{.text = "down, \"very\" [down]", .count = 3, .last_ago = std::chrono::milliseconds{5}}};
  view.streams = {{.stream = "s", .id = "t", .waits_for = "saving", .waiting = std::chrono::milliseconds{9}}};
  view.budget.time_max = std::chrono::minutes{1};
  view.budget.time = std::chrono::seconds{7};
  view.note = "a \"note\"\n\x01 caf\xC3\xA9 \xF0\x9F\x99\x82";
  const std::string json = to_json(view);
  const auto parsed = parse_status(json);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().context;
  EXPECT_EQ(to_json(*parsed), json);
  EXPECT_EQ(parsed->note, view.note);
}

TEST(ParseStatus, RefusesEveryCutOffObject) {
  const std::string json = to_json(busy_view());
  for (std::size_t length = 0; length < json.size(); ++length) {
    const auto parsed = parse_status(std::string_view(json).substr(0, length));
    ASSERT_FALSE(parsed.has_value()) << length;
    EXPECT_EQ(parsed.error().code, ErrorCode::input);
  }
}

TEST(ParseStatus, RefusesOtherVersionsAndImpossibleCounts) {
  EXPECT_FALSE(parse_status(R"({"version":2})").has_value());
  EXPECT_FALSE(parse_status(R"({})").has_value());
  EXPECT_FALSE(parse_status(R"({"version":1,"tasks":{"retired":5}})").has_value());
}

TEST(ParseStatus, PassesOverFieldsItDoesNotKnow) {
  const auto parsed = parse_status(R"({ "version": 1, "new": {"a": {"b": true}}, "retried": 7 })");
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->retried, 7u);
}

TEST(JsonFields, BoundsDepthAndRefusesFaultyText) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += R"({"a":)";
  EXPECT_FALSE(json_fields(deep));
  for (const char* text : {R"({"a":1}x)", R"({"a":[1})", R"({"a":[1,]})", R"({"a":1,})", R"({"a":"\ud800"})",
                           R"({"a":"\x"})", R"({"a":nul})", R"({"a" 1})", "{\"a\":\"\n\"}"}) {
    EXPECT_FALSE(json_fields(text)) << text;
  }
  deep.clear();
  for (int i = 0; i < 100'000; ++i) deep += R"({"a":[)";
  EXPECT_FALSE(json_fields(deep));
  const auto list = json_fields(R"({"a":[ {"b":1} , {"b":"x"},[true ]],"c":[],"d":2})");
  EXPECT_EQ(list, (JsonFields{{"a.0.b", "1"}, {"a.1.b", "x"}, {"a.2.0", "true"}, {"d", "2"}}));
  EXPECT_EQ(json_fields(R"({"a":"\u00e9\ufffd\t"})")->at("a"), "\xC3\xA9\xEF\xBF\xBD\t");
}

TEST(RenderStatus, IsForAPerson) {
  RunView view = busy_view();
  view.note = "rate limited";
  EXPECT_EQ(
      render_status(to_json(view), {}).value_or(""),
      "running for 2.10 s: [##########..........] waiting 812, calling 256, ordering 31, committed 4,096, failed 2, "
      "1,930/s, ETA 0:41\nrate limited");
  EXPECT_FALSE(render_status("nonsense", {}).has_value());
}

}  // namespace
}  // namespace pawl::observe
