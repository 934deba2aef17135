#include <gtest/gtest.h>

#include "view_fixture.h"

namespace pawl::observe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RunView at(milliseconds elapsed, std::uint64_t retired) {
  RunView view;
  view.elapsed = elapsed;
  view.status.admitted = retired;
  view.status.retired = retired;
  view.tasks_total = 10'000;
  return view;
}

TEST(Pace, MeasuresFromTheBeginningAtFirst) {
  Pace pace;
  RunView view = at(milliseconds{2'000}, 1'000);
  pace.update(view);
  EXPECT_DOUBLE_EQ(view.rate_per_s, 500);
  EXPECT_EQ(view.eta, seconds{18});
}

TEST(Pace, ForgetsWhatIsOlderThanTheWindow) {
  Pace pace(seconds{10});
  RunView view;
  for (int tick = 0; tick <= 200; ++tick) {  // 20 s at 100/s
    view = at(milliseconds{100} * tick, static_cast<std::uint64_t>(10 * tick));
    pace.update(view);
  }
  EXPECT_NEAR(view.rate_per_s, 100, 1);
  for (int tick = 1; tick <= 120; ++tick) {  // 12 s at 10/s
    view = at(seconds{20} + milliseconds{100} * tick, static_cast<std::uint64_t>(2000 + tick));
    pace.update(view);
  }
  EXPECT_NEAR(view.rate_per_s, 10, 0.5);
}

TEST(Pace, HasNoTimeLeftWhileNothingMoves) {
  Pace pace(seconds{10});
  RunView view;
  for (int second = 0; second <= 40; ++second) {
    view = at(seconds{second}, 50);
    pace.update(view);
  }
  EXPECT_DOUBLE_EQ(view.rate_per_s, 0);
  EXPECT_FALSE(view.eta);
}

TEST(Pace, DividesByNoZero) {
  Pace pace;
  RunView view = at(milliseconds{0}, 0);
  pace.update(view);
  EXPECT_DOUBLE_EQ(view.rate_per_s, 0);
  EXPECT_FALSE(view.eta);
  view = at(milliseconds{0}, 5);
  pace.update(view);
  EXPECT_DOUBLE_EQ(view.rate_per_s, 0);
}

TEST(Pace, IsTheSurerOfTheTimeLeftTheSteadierTheRate) {
  Pace steady, swinging;
  RunView even, uneven;
  for (int second = 0; second <= 10; ++second) {
    even = at(seconds{second}, static_cast<std::uint64_t>(100 * second));
    steady.update(even);
    uneven = at(seconds{second}, static_cast<std::uint64_t>(200 * (second / 2)));  // 0 and 200 by turns
    swinging.update(uneven);
  }
  EXPECT_EQ(even.eta, seconds{90});
  EXPECT_EQ(even.eta_low, even.eta);
  EXPECT_EQ(even.eta_high, even.eta);
  EXPECT_EQ(uneven.eta, even.eta);
  // 10 slices of 100/s with a standard deviation of 105/s: 100/s ± 2 · 33/s.
  EXPECT_NEAR(static_cast<double>(uneven.eta_low->count()), 54, 1);
  EXPECT_NEAR(static_cast<double>(uneven.eta_high->count()), 270, 1);
}

TEST(Pace, IsNotSureOfTheTimeLeftAtOnce) {
  Pace pace;
  RunView view = at(seconds{1}, 500);
  pace.update(view);
  EXPECT_TRUE(view.eta);
  EXPECT_FALSE(view.eta_low);
  EXPECT_FALSE(view.eta_high);
}

TEST(Pace, KnowsTheRateOfEachStage) {
  Pace pace;
  RunView view = at(seconds{2}, 10);
  view.status.called = 20;
  view.status.saved = 40;
  pace.update(view);
  EXPECT_DOUBLE_EQ(view.save.rate_per_s, 20);
  EXPECT_DOUBLE_EQ(view.call.rate_per_s, 10);
  EXPECT_DOUBLE_EQ(view.commit.rate_per_s, 5);
}

TEST(Pace, HasNoTimeLeftWithoutATotal) {
  Pace pace;
  RunView view = at(seconds{1}, 5);
  view.tasks_total.reset();
  pace.update(view);
  EXPECT_DOUBLE_EQ(view.rate_per_s, 5);
  EXPECT_FALSE(view.eta);
}

}  // namespace
}  // namespace pawl::observe
