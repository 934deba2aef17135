// JSON in one spelling.
#include "json_format.h"

#include <array>
#include <cstdlib>
#include <iostream>
#include <random>

#include <gtest/gtest.h>

#include "json_text.h"

namespace pawl::test {
namespace {

using git::format_json;

std::string formatted(std::string_view text) {
  std::string out = "old";
  return format_json(text, out) ? out : "not JSON, and '" + out + "'";
}

TEST(JsonFormat, SortsKeysAndPutsEachOnALine) {
  EXPECT_EQ(formatted(R"( {"b":[1,{"z":null,"a":"x"}],"a":{} ,"c":[ ]} )"),
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    {\n      \"a\": \"x\",\n      \"z\": null\n    }\n  ],\n"
            "  \"c\": []\n}\n");
}

TEST(JsonFormat, KeepsTheSpellingOfNumbersAndStrings) {
  EXPECT_EQ(formatted(R"([1e400, 0.10, 123456789012345678901234567890, "\u0041\/\"}", "é", true])"),
            "[\n  1e400,\n  0.10,\n  123456789012345678901234567890,\n  \"\\u0041\\/\\\"}\",\n  \"é\",\n  true\n]\n");
  EXPECT_EQ(formatted("7"), "7\n");
  EXPECT_EQ(formatted("\"a, b\""), "\"a, b\"\n");
}

TEST(JsonFormat, SortsByTheNameAlone) {
  EXPECT_EQ(formatted(R"({"a!":1,"a":2,"":3,"a":4})"), "{\n  \"\": 3,\n  \"a\": 2,\n  \"a\": 4,\n  \"a!\": 1\n}\n");
}

TEST(JsonFormat, RefusesWhatIsNoJson) {
  for (const char* text : {"", " ", "{", "{\"a\":1,}", "[1 2]", "<html>", "\xff", "{\"a\":1} x", "nul"}) {
    EXPECT_EQ(formatted(text), "not JSON, and ''") << text;
  }
}

/// A random value, with `space` where white space may be.
std::string random_json(std::mt19937_64& random, int depth, const std::string& space) {
  constexpr std::array<const char*, 6> kScalars = {"null", "-1.5e3", "\"a\\\\\"", "\"]}\"", "true", "\"\""};
  const std::size_t kind = random() % (depth > 4 ? 1 : 3);
  if (kind == 0) return kScalars[random() % kScalars.size()];
  std::string text = kind == 1 ? "[" : "{";
  const std::size_t count = random() % 4;
  for (std::size_t i = 0; i < count; ++i) {
    text += (i == 0 ? "" : ",") + space;
    if (kind == 2) text += "\"k" + std::to_string(random() % 5) + std::to_string(i) + "\"" + space + ":" + space;
    text += random_json(random, depth + 1, space) + space;
  }
  return text + (kind == 1 ? "]" : "}");
}

TEST(JsonFormat, GivesOneSpellingWhateverTheWhiteSpace) {
  const char* given = std::getenv("PAWL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << '\n';
  for (std::uint64_t i = 0; i < 2000; ++i) {
    std::mt19937_64 first(seed + i);
    std::mt19937_64 second(seed + i);
    const std::string tight = formatted(random_json(first, 0, ""));
    ASSERT_EQ(tight, formatted(random_json(second, 0, " \n\t")));
    ASSERT_TRUE(git::is_json(git::trimmed(tight))) << tight;
    ASSERT_EQ(formatted(tight), tight);
  }
}

}  // namespace
}  // namespace pawl::test
