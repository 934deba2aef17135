#include "json_text.h"

#include <simdjson.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base64.h"
#include "random_bytes.h"

namespace pawl::git {
namespace {

std::string literal(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

TEST(AppendString, EscapesWhatJsonDemands) {
  EXPECT_EQ(literal(""), R"("")");
  EXPECT_EQ(literal("plain text, longer than eight"), R"("plain text, longer than eight")");
  EXPECT_EQ(literal("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(literal("\n\r\t\b\f"), R"("\n\r\t\b\f")");
  EXPECT_EQ(literal(std::string_view("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
  EXPECT_EQ(literal("ä😀"), "\"ä😀\"");
}

TEST(AppendString, IsReadBackByAParserForAnyText) {
  test::Random random;
  simdjson::dom::parser parser;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random.bytes(40);
    if (!is_utf8(text)) continue;
    std::string_view back;
    ASSERT_EQ(parser.parse(literal(text)).get_string().get(back), simdjson::SUCCESS);
    ASSERT_EQ(back, text);
  }
}

TEST(IsJson, AcceptsJson) {
  for (const char* text :
       {"0", "-0", "1.5e+10", "1e999", "123456789012345678901234567890", "true", "false", "null", R"("")",
        R"("\u00e4")", R"("\ud83d\ude00")", "{}", "[]", "[ ]", "{ }", R"({"a":1,"b":[1,2,{"c":null}]})",
        "[1 , 2\t,\n3\r]", R"({ "a" : { "b" : [] } })", "[[],[[]],{}]"}) {
    EXPECT_TRUE(is_json(text)) << text;
  }
}

TEST(IsJson, RefusesWhatIsNot) {
  for (const char* text : {"",
                           " ",
                           "1 ",
                           " 1",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "-",
                           "1e",
                           "tru",
                           "truex",
                           "nul",
                           "'a'",
                           "\"",
                           "\"\n\"",
                           R"("\x")",
                           R"("\u12g4")",
                           R"("\ud800")",
                           R"("\udc00")",
                           R"("\ud800x")",
                           R"("\ud800\u0041")",
                           "\"\\",
                           "[",
                           "]",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{",
                           "}",
                           "{1:2}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{,}",
                           "[}",
                           "{]",
                           "[1}",
                           "{\"a\":1]",
                           "[]]",
                           "[] []",
                           "1 2",
                           "NaN",
                           "Infinity",
                           "\"\\u",
                           "\"\\u00",
                           "{\"a\":1"}) {
    EXPECT_FALSE(is_json(text)) << text;
  }
  EXPECT_FALSE(is_json(std::string_view("\"a\0b\"", 5)));
  EXPECT_FALSE(is_json(std::string_view("[1\0]", 4)));
}

TEST(IsJson, StopsAtItsDepth) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_TRUE(is_json(nested(kMaxJsonDepth)));
  EXPECT_FALSE(is_json("[" + nested(kMaxJsonDepth - 1) + ",[" + nested(kMaxJsonDepth) + "]]"));
  EXPECT_FALSE(is_json(std::string(1'000'000, '[')));
}

// A parser and the scanner must agree about every small change to JSON, but for numbers too large for the parser.
TEST(IsJson, AgreesWithAParserAboutDamagedJson) {
  const std::vector<std::string> samples = {
      R"({"id":"x","n":[1,-2.5e3,0],"o":{"t":true,"f":false,"z":null},"s":"a\"\\\/\b\f\n\r\t\u00e4 ä 😀"})",
      R"([[],{},[{}],"\ud83d\ude00",{"a":{"b":{"c":[0.1,1E5,-0]}}}])", R"( {"spaced" : [ 1 , 2 ] , "e" : { } } )"};
  constexpr std::string_view kAlphabet = "{}[]\",:\\u0123456789eE+-. \ntrfalsn";
  test::Random random;
  simdjson::dom::parser parser;
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = samples[random.below(samples.size())];
    for (std::uint64_t edits = random.below(3) + 1; edits > 0 && !text.empty(); --edits) {
      const std::size_t at = random.below(text.size());
      const char c = kAlphabet[random.below(kAlphabet.size())];
      switch (random.below(3)) {
        case 0: text[at] = c; break;
        case 1: text.erase(at, 1 + random.below(3)); break;
        default: text.insert(at, 1, c);
      }
    }
    if (!is_utf8(text)) continue;
    const auto code = parser.parse(text).error();
    if (code == simdjson::NUMBER_ERROR) continue;  // also what it cannot represent
    ASSERT_EQ(is_json(trimmed(text)), code == simdjson::SUCCESS) << text << "\n" << code;
    accepted += code == simdjson::SUCCESS ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000);
}

TEST(Base64, FollowsTheVectorsOfRfc4648) {
  const std::vector<std::pair<std::string, std::string>> vectors = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    std::string out;
    append_base64(out, bytes);
    EXPECT_EQ(out, text);
    EXPECT_EQ(decode_base64(text), bytes);
  }
  for (const char* wrong : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9v\n", "Zg=a"}) {
    EXPECT_FALSE(decode_base64(wrong).has_value()) << wrong;
  }
}

TEST(Base64, GivesAnyBytesBack) {
  test::Random random;
  for (int i = 0; i < 5'000; ++i) {
    const std::string bytes = random.bytes(100);
    std::string text;
    append_base64(text, bytes);
    ASSERT_EQ(decode_base64(text), bytes);
  }
}

}  // namespace
}  // namespace pawl::git
