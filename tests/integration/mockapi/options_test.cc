#include <gtest/gtest.h>

#include <pawl/mockapi.h>

namespace pawl::mockapi {
namespace {

TEST(Latency, ReadsItsThreeForms) {
  EXPECT_DOUBLE_EQ(Latency::parse("50ms")->mean_ms, 50);
  EXPECT_DOUBLE_EQ(Latency::parse("1.5s")->mean_ms, 1500);
  EXPECT_DOUBLE_EQ(Latency::parse("250us")->mean_ms, 0.25);
  EXPECT_DOUBLE_EQ(Latency::parse("0")->mean_ms, 0);
  const auto uniform = Latency::parse("uniform:10ms-90ms");
  ASSERT_TRUE(uniform);
  EXPECT_EQ(uniform->kind, Latency::Kind::uniform);
  EXPECT_DOUBLE_EQ(uniform->mean_ms, 50);
  EXPECT_DOUBLE_EQ(uniform->spread, 40);
  const auto lognormal = Latency::parse("lognormal:50ms,0.5");
  ASSERT_TRUE(lognormal);
  EXPECT_EQ(lognormal->kind, Latency::Kind::lognormal);
  EXPECT_DOUBLE_EQ(lognormal->mean_ms, 50);
  EXPECT_DOUBLE_EQ(lognormal->spread, 0.5);
}

TEST(Latency, RefusesTheRest) {
  for (const char* text : {"", "50", "ms", "-5ms", "50 ms", "1e3ms", "nanms", "infs", "25h", "90000s",
                           "uniform:", "uniform:10ms", "uniform:90ms-10ms", "uniform:10-20", "lognormal:50ms",
                           "lognormal:50ms,", "lognormal:50ms,9", "lognormal:50ms,-1", "normal:1ms"}) {
    const auto latency = Latency::parse(text);
    ASSERT_FALSE(latency) << text;
    EXPECT_EQ(latency.error().code, ErrorCode::usage);
  }
}

TEST(Options, SayWhichIsWrong) {
  EXPECT_TRUE(Options{}.validate());
  const auto wrong = [](auto change) {
    Options options;
    change(options);
    const auto checked = options.validate();
    return checked ? std::string() : checked.error().context;
  };
  EXPECT_NE(wrong([](Options& o) { o.error_rate = 1.1; }).find("error rate"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.drop_rate = -0.1; }).find("drop rate"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.drop_rate = o.slow_rate = 0.6; }).find("together"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.error_codes = {}; }).find("error code"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.error_codes = {200}; }).find("200"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.rate_limit_per_s = -1; }).find("rate limit"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.retry_after = std::chrono::milliseconds(-1); }).find("retry"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.slow_ms = -1; }).find("slow"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.body_bytes = 1ull << 31; }).find("GiB"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.latency = {Latency::Kind::uniform, 1, 2}; }).find("uniform"), std::string::npos);
}

}  // namespace
}  // namespace pawl::mockapi
