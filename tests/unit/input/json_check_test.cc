#include "json_check.h"

#include <string>

#include <gtest/gtest.h>

namespace pawl::input {
namespace {

struct Case {
  std::string_view text;
  std::size_t offset;
  std::string_view what;  // behind "not valid JSON: expected "
};

TEST(JsonCheck, AcceptsWhatRfc8259Accepts) {
  for (const std::string_view text :
       {"0", "-0", "12.5E-3", "1e+9", "\"\"", "\"\\u12aF\\n\\/\"", "true", " null ", "[]", "[ 1 , [ ] ]", "{}",
        "{\"a\":{\"b\":[{}]},\"c\":\"\"}", "\"\\ud800\"", "99999999999999999999999999"}) {
    const auto fault = find_json_fault(text);
    EXPECT_FALSE(fault.has_value()) << text << ": " << (fault ? fault->what : "");
  }
}

TEST(JsonCheck, SaysWhereAndWhy) {
  const Case cases[] = {
      {"", 0, "a value, got the end of the line"},
      {"{", 1, "a field name in quotes, got the end of the line"},
      {"{1:2}", 1, "a field name in quotes, got '1'"},
      {"{\"a\" 1}", 5, "':', got '1'"},
      {"{\"a\":}", 5, "a value, got '}'"},
      {"{\"a\":1,}", 7, "a field name in quotes, got '}'"},
      {"{\"a\":1]", 6, "',' or '}', got ']'"},
      {"[1,]", 3, "a value, got ']'"},
      {"[1 2]", 3, "',' or ']', got '2'"},
      {"[1", 2, "',' or ']', got the end of the line"},
      {"1 2", 2, "the end of the line, got '2'"},
      {"-", 1, "a digit, got the end of the line"},
      {"1.", 2, "a digit, got the end of the line"},
      {"1e+", 3, "a digit, got the end of the line"},
      {"00", 1, "the end of the line, got '0'"},
      {"+1", 0, "a value, got '+'"},
      {"nul", 3, "null, got the end of the line"},
      {"\"a", 2, "'\"' at the end of the string, got the end of the line"},
      {"\"\\", 2, "an escape of JSON, got the end of the line"},
      {"\"\\x\"", 2, "an escape of JSON, got 'x'"},
      {"\"\\u12g4\"", 5, "four hexadecimal digits, got 'g'"},
      {"\"a\tb\"", 2, "an escape for the control character, got byte 0x09"},
  };
  for (const Case& c : cases) {
    const auto fault = find_json_fault(c.text);
    ASSERT_TRUE(fault.has_value()) << c.text;
    EXPECT_EQ(fault->offset, c.offset) << c.text;
    EXPECT_EQ(fault->what, "not valid JSON: expected " + std::string(c.what)) << c.text;
  }
}

}  // namespace
}  // namespace pawl::input
