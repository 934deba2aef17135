#include "text.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

namespace pawl::observe {
namespace {

TEST(Text, GroupsDigitsByThree) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(4096), "4,096");
  EXPECT_EQ(grouped(123456), "123,456");
  EXPECT_EQ(grouped(18446744073709551615ull), "18,446,744,073,709,551,615");
}

TEST(Text, WritesTimesAsAClockDoes) {
  EXPECT_EQ(clock_time(std::chrono::seconds{41}), "0:41");
  EXPECT_EQ(clock_time(std::chrono::seconds{600}), "10:00");
  EXPECT_EQ(clock_time(std::chrono::seconds{3723}), "1:02:03");
  EXPECT_EQ(clock_time(std::chrono::hours{99}), "99:00:00");
  EXPECT_EQ(clock_time(std::chrono::hours{100}), "4 d");
}

TEST(Text, ChoosesTheUnitOfDurationsAndRates) {
  EXPECT_EQ(short_ms(0.42), "0.4 ms");
  EXPECT_EQ(short_ms(52.1), "52 ms");
  EXPECT_EQ(short_ms(999.6), "1.00 s");
  EXPECT_EQ(short_ms(1240), "1.24 s");
  EXPECT_EQ(short_ms(61000), "61.0 s");
  EXPECT_EQ(spoken_time(std::chrono::milliseconds{190'000}), "3:10");
  EXPECT_EQ(rate_text(0), "0/s");
  EXPECT_EQ(rate_text(0.44), "0.4/s");
  EXPECT_EQ(rate_text(1930.4), "1,930/s");
}

TEST(Text, ReplacesWhatCouldSteerATerminal) {
  EXPECT_EQ(clean_line("a\x1b[2Jb\r\nc\td", Charset::utf8), "a?[2Jb  c d");
  EXPECT_EQ(clean_line("\xC2\x9B"
                       "31m",
                       Charset::utf8),
            "?31m")
      << "the one-character form of ESC [";
  EXPECT_EQ(clean_line("x\xE2\x80\xAEy", Charset::utf8), "x?y") << "right-to-left override";
  EXPECT_EQ(clean_line("caf\xC3\xA9", Charset::utf8), "caf\xC3\xA9");
  EXPECT_EQ(clean_line("caf\xC3\xA9", Charset::ascii), "caf?");
  EXPECT_EQ(clean_line("\xFF\xC0\xAF\xED\xA0\x80", Charset::utf8), "??????") << "invalid, overlong, surrogate";
}

TEST(Text, CountsColumnsNotBytes) {
  EXPECT_EQ(columns_of("caf\xC3\xA9"), 4u);
  EXPECT_EQ(columns_of("日本"), 4u);
  EXPECT_EQ(columns_of("e\xCC\x81"), 1u);
}

TEST(Text, CutsBetweenCharacters) {
  EXPECT_EQ(cut_to("abcdef", 6, Charset::utf8), "abcdef");
  EXPECT_EQ(cut_to("abcdefg", 6, Charset::utf8), "abcde…");
  EXPECT_EQ(cut_to("abcdefg", 6, Charset::ascii), "abc...");
  EXPECT_EQ(cut_to("日本語", 4, Charset::utf8), "日…") << "half a wide character is not shown";
  EXPECT_EQ(cut_to("abcdefg", 2, Charset::ascii), "..");
  EXPECT_EQ(cut_to("abcdefg", 0, Charset::utf8), "");
}

TEST(Text, AnyBytesBecomeOneSafeLineThatFits) {
  const char* given = std::getenv("PAWL_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 60, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 3 == 0 ? 0x20 + random() % 0x60 : random());
    const std::size_t columns = random() % 40;
    const std::string line = cut_to(clean_line(bytes, Charset::utf8), columns, Charset::utf8);
    EXPECT_LE(columns_of(line), columns);
    EXPECT_EQ(clean_line(line, Charset::utf8), line);
    for (const char byte : clean_line(bytes, Charset::ascii)) EXPECT_TRUE(byte >= 0x20 && byte < 0x7F);
  }
}

}  // namespace
}  // namespace pawl::observe
