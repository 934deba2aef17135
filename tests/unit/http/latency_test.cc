#include "latency.h"

#include <gtest/gtest.h>

namespace pawl::http {
namespace {

using std::chrono::microseconds;

TEST(LatencyHistogram, PercentilesAreAtMostFourPercentTooHigh) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.percentile_ms(0.5), 0);
  for (int i = 1; i <= 100'000; ++i) histogram.record(microseconds(i));
  for (const double share : {0.01, 0.5, 0.9, 0.99}) {
    const double exact = share * 100;
    EXPECT_GE(histogram.percentile_ms(share), exact);
    EXPECT_LE(histogram.percentile_ms(share), exact * 1.04);
  }
  EXPECT_EQ(histogram.max_ms(), 100);
  EXPECT_EQ(histogram.percentile_ms(1), 100);
}

TEST(LatencyHistogram, TakesTheShortestAndTheLongest) {
  LatencyHistogram histogram;
  histogram.record(microseconds(-5));
  histogram.record(std::chrono::hours(24 * 365));
  EXPECT_EQ(histogram.percentile_ms(0), 0);
  EXPECT_GT(histogram.percentile_ms(1), 1000.0 * 3600 * 24);
}

}  // namespace
}  // namespace pawl::http
