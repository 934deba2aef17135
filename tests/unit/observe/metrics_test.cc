#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <pawl/web.h>

#include "view_fixture.h"

namespace pawl::observe {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Metrics, NameWhatIsCountedAndItsUnit) {
  RunView view = busy_view();
  view.call.depth = 1066;
  view.save.latency = {0.5, 0.9, 1.5, 1.8, 2};
  view.call.times = {{{0.05, 4000}, {0.1, 4100}}, 4129, 210.5};
  view.commit.times = {{{0.1, 90}}, 100, 9.5};
  const std::string text = to_prometheus(view);
  EXPECT_THAT(text, HasSubstr("# TYPE pawl_tasks_total counter\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_tasks_total{stage=\"admit\"} 5197\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_tasks_total{stage=\"retire\"} 4098\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_tasks_retired_total{result=\"succeeded\"} 4094\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_tasks_retired_total{result=\"failed\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_tasks_retired_total{result=\"unfinished\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_stage_tasks{stage=\"call\"} 1066\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_stage_latency_seconds{stage=\"save\",percentile=\"99\"} 0.0015\n"));
  EXPECT_THAT(text, Not(HasSubstr("pawl_stage_latency_seconds{stage=\"commit\""))) << "nothing measured is no 0";
  EXPECT_THAT(text, HasSubstr("\npawl_in_flight_bytes 1228800\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE pawl_call_duration_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_call_duration_seconds_bucket{le=\"0.1\"} 4100\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_call_duration_seconds_bucket{le=\"+Inf\"} 4129\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_call_duration_seconds_sum 210.5\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE pawl_stage_duration_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_stage_duration_seconds_bucket{stage=\"commit\",le=\"0.1\"} 90\n"));
  EXPECT_THAT(text, HasSubstr("\npawl_run_phase{state=\"running\"} 1\n"));
}

TEST(Metrics, KeepLabelsFewAndWholeWhateverAModelIsCalled) {
  RunView view = busy_view();
  for (int i = 0; i < 200; ++i) {
    LaneView lane;
    lane.origin = "https://api.example.com:443";
    lane.model = "m" + std::to_string(i) + "\"\n\xff" + std::string(5000, 'x');
    lane.breaker = "open";
    view.lanes.push_back(lane);
  }
  const std::string text = to_prometheus(view);
  std::size_t lanes = 0;
  for (auto at = text.find("\npawl_lane_calls_in_flight{"); at != std::string::npos;
       at = text.find("\npawl_lane_calls_in_flight{", at + 1))
    ++lanes;
  EXPECT_EQ(lanes, kLanesShown);
  EXPECT_LT(text.size(), 200'000u);
  EXPECT_THAT(text, HasSubstr("{origin=\"https://api.example.com:443\",model=\"m0\\\" ?xxx"));
}

}  // namespace
}  // namespace pawl::observe
