#include <vector>

#include <gtest/gtest.h>

#include <pawl/latency.h>

namespace pawl {
namespace {

using std::chrono::microseconds;

TEST(LatencyHistogram, PercentilesAreAtMostFourPercentTooHigh) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.look().p50_ms, 0);
  for (int i = 1; i <= 100'000; ++i) histogram.record(microseconds(i));
  const Latency seen = histogram.look();
  for (const auto& [exact, told] :
       {std::pair{50.0, seen.p50_ms}, {90.0, seen.p90_ms}, {99.0, seen.p99_ms}, {99.9, seen.p999_ms}}) {
    EXPECT_GE(told, exact);
    EXPECT_LE(told, exact * 1.04);
  }
  EXPECT_EQ(seen.max_ms, 100);
  EXPECT_EQ(seen.count, 100'000u);
  EXPECT_NEAR(seen.sum_s, 5000.05, 1e-6);
  EXPECT_LE(seen.at_most[2], 500u) << "within 0.5 ms";
  EXPECT_GE(seen.at_most[2], 480u);
  EXPECT_EQ(seen.at_most.back(), 100'000u);
}

TEST(LatencyHistogram, TakesTheShortestAndTheLongest) {
  LatencyHistogram histogram;
  histogram.record(microseconds(-5), 2);
  histogram.record(std::chrono::hours(24 * 365));
  EXPECT_EQ(histogram.look().p50_ms, 0);
  EXPECT_GT(histogram.look().p99_ms, 1000.0 * 3600 * 24);
  EXPECT_EQ(histogram.look().at_most.back(), 2u);
}

TEST(LatencyHistogram, CountsEachOfABatchAndSeveralTogether) {
  const auto now = LatencyHistogram::Clock::now();
  const std::vector<microseconds> ages = {microseconds{900}, microseconds{900}, microseconds{20}, microseconds{900}};
  std::array<LatencyHistogram, 2> histograms;
  histograms[0].record_batch(ages, now, [now](microseconds age) { return now - age; });
  histograms[0].record_batch(std::vector<microseconds>{}, now, [now](microseconds age) { return now - age; });
  histograms[1].record(microseconds{20}, 4);
  const std::array<const LatencyHistogram*, 2> both = {&histograms[0], &histograms[1]};
  const Latency seen = LatencyHistogram::look_at(both);
  EXPECT_EQ(seen.count, 8u);
  EXPECT_EQ(seen.at_most[0], 5u);
  EXPECT_NEAR(seen.sum_s, 0.0028, 1e-9);
  EXPECT_EQ(seen.max_ms, 0.9);
}

}  // namespace
}  // namespace pawl
