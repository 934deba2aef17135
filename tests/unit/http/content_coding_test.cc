#include "content_coding.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "deflate.h"
#include "failure.h"
#include "memory.h"

namespace pawl::http {
namespace {

using test::packed;
using Verdict = ContentDecoder::Verdict;

struct Format {
  Coding coding;
  int window_bits;
};
constexpr Format kFormats[] = {
    {Coding::gzip, test::kGzip}, {Coding::deflate, test::kZlib}, {Coding::deflate, test::kBareDeflate}};

std::string some_text(std::mt19937_64& random, std::size_t size) {
  std::string text;
  while (text.size() < size) text += std::to_string(random() % 1000);
  return text;
}

TEST(ContentDecoder, DecodesInPiecesOfAnySizeAndKnowsWhenItIsWhole) {
  std::mt19937_64 random(7);
  for (const Format& format : kFormats) {
    for (const std::size_t size : {0u, 1u, 16'384u, 100'000u}) {
      const std::string plain = some_text(random, size);
      const std::string bytes = packed(plain, format.window_bits);
      ContentDecoder decoder(format.coding);
      EXPECT_TRUE(decoder.whole()) << "nothing was begun";
      std::string out;
      for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t piece = std::min<std::size_t>(1 + random() % 5'000, bytes.size() - at);
        ASSERT_EQ(decoder.feed(std::string_view(bytes).substr(at, piece), out, 1 << 30), Verdict::good);
        at += piece;
        EXPECT_EQ(decoder.whole(), at == bytes.size());
      }
      EXPECT_EQ(out, plain);
    }
  }
}

TEST(ContentDecoder, AnyCutIsNotWholeAndAnyFlippedBitDoesNoHarm) {
  std::mt19937_64 random(8);
  const std::string plain = some_text(random, 2'000);
  const std::string bytes = packed(plain);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    ContentDecoder decoder(Coding::gzip);
    std::string out;
    EXPECT_EQ(decoder.feed(std::string_view(bytes).substr(0, cut), out, 1 << 20), Verdict::good);
    EXPECT_FALSE(decoder.whole()) << cut;
  }
  // The body and the checksum behind it; bits of the header may say something harmless.
  for (std::size_t at = 10; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (random() % 8)));
    ContentDecoder decoder(Coding::gzip);
    std::string out;
    const Verdict verdict = decoder.feed(flipped, out, 1 << 20);
    EXPECT_TRUE(verdict != Verdict::good || !decoder.whole() || out == plain) << at;
  }
}

TEST(ContentDecoder, StopsAtTheBound) {
  const std::string bytes = packed(std::string(1'000'000, 'b'));
  for (const std::uint64_t most : {0u, 1u, 16'383u, 16'384u, 16'385u, 999'999u}) {
    ContentDecoder decoder(Coding::gzip);
    std::string out;
    EXPECT_EQ(decoder.feed(bytes, out, most), Verdict::full);
    EXPECT_EQ(out.size(), most);
  }
  ContentDecoder decoder(Coding::gzip);
  std::string out;
  EXPECT_EQ(decoder.feed(bytes, out, 1'000'000), Verdict::good);
  EXPECT_TRUE(decoder.whole());
}

TEST(ParseCoding, KnowsWhatIsAskedForAndNothingElse) {
  EXPECT_EQ(parse_coding(""), Coding::identity);
  EXPECT_EQ(parse_coding("Identity"), Coding::identity);
  EXPECT_EQ(parse_coding("GZip"), Coding::gzip);
  EXPECT_EQ(parse_coding("x-gzip"), Coding::gzip);
  EXPECT_EQ(parse_coding("deflate"), Coding::deflate);
  for (const char* other : {"br", "zstd", "utf-8", "gzip, gzip", "gzip;q=1"}) {
    EXPECT_EQ(parse_coding(other), Coding::unknown) << other;
  }
}

TEST(LibcurlMemory, AFailedAllocationIsNotedOnceAndOnThisThread) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's allocator ends the process instead of failing";
#endif
  EXPECT_FALSE(take_allocation_failure());
  void* const some = allocate_for_libcurl(100);
  EXPECT_NE(some, nullptr);
  std::free(some);
  EXPECT_FALSE(take_allocation_failure());
  EXPECT_EQ(allocate_for_libcurl(static_cast<std::size_t>(-1) / 4), nullptr);
  EXPECT_TRUE(take_allocation_failure());
  EXPECT_FALSE(take_allocation_failure());
}

TEST(Failure, EveryOneHasANameOfItsOwn) {
  std::vector<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Failure::call_failed); ++i) {
    const auto failure = static_cast<Failure>(i);
    if (failure != Failure::look_up_timeout) names.push_back(code_of(failure));  // a timeout to everybody but the line
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_TRUE(transient(Failure::out_of_memory));
  EXPECT_FALSE(transient(Failure::proxy_refused));
  EXPECT_EQ(classify(27), Failure::out_of_memory);  // CURLE_OUT_OF_MEMORY
  EXPECT_EQ(classify(100), Failure::bad_response);  // CURLE_TOO_LARGE
}

}  // namespace
}  // namespace pawl::http
