#include <gtest/gtest.h>

#include "view_fixture.h"

namespace pawl::observe {
namespace {

TEST(RenderSummary, SaysWhatHappenedAndWhatToTypeNext) {
  RunView view = busy_view();
  view.bad_lines = 1;
  view.recovered = 12;
  EXPECT_EQ(render_summary(view, {.result = "results, branch main",
                                  .next_command = "git -C results log --stat",
                                  .style = {.utf8 = true}}),
            "pawl: committed 4,096 tasks in 2.10 s (1,950/s)\n"
            "  tasks     5,297 read · 12 recovered · 100 skipped (committed before) · 1 bad line left out\n"
            "  answers   4,094 with 2xx (99.95 %) · 2 failed\n"
            "  left      2 tasks unfinished, saved\n"
            "  retried   17 calls\n"
            "  latency   p50 52 ms · p90 110 ms · p99 240 ms · max 413 ms\n"
            "  results   results, branch main\n"
            "  next      git -C results log --stat\n");
}

TEST(RenderSummary, OfARunThatDidNothingIsShort) {
  EXPECT_EQ(render_summary(RunView{}, {}), "pawl: committed 0 tasks in 0.0 ms (0/s)\n  tasks     0 read\n");
}

TEST(RenderSummary, NeverRoundsAFailureAway) {
  RunView view;
  view.status.committed = 1'000'000;
  view.status.failed = 1;
  EXPECT_NE(render_summary(view, {}).find("999,999 with 2xx (99.99 %), 1 failed"), std::string::npos);
}

}  // namespace
}  // namespace pawl::observe
