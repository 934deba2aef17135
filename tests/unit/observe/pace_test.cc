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
