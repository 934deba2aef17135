#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "text.h"
#include "view_fixture.h"

namespace pawl::observe {
namespace {

constexpr Style kAscii{};
constexpr Style kUtf8{.utf8 = true};

TEST(RunView, CountsOfTasksInFlightAddUpWhateverTheGaugeSays) {
  RunView view = busy_view();
  EXPECT_EQ(view.waiting(), 812u);
  EXPECT_EQ(view.calling(), 256u);
  EXPECT_EQ(view.ordering(), 31u);
  view.status.call.active = 1'000'000;
  EXPECT_EQ(view.waiting() + view.calling() + view.ordering(), view.status.in_flight());
}

TEST(RunView, EstimatesTheTotalFromBytesRead) {
  RunView view;
  EXPECT_FALSE(view.total());
  view.bytes_total = 1000;
  EXPECT_FALSE(view.total()) << "nothing read yet";
  view.bytes_read = 250;
  view.inputs_read = 5;
  EXPECT_EQ(view.total(), 20u);
  view.recovered = 7;
  EXPECT_EQ(view.total(), 27u);
  view.bytes_read = 1000;
  EXPECT_EQ(view.total(), 12u) << "everything is read: exact";
}

TEST(RunView, TotalIsNeverLessThanWhatIsThere) {
  RunView view;
  view.tasks_total = 3;
  view.status.admitted = 8;
  view.status.retired = 5;
  view.skipped = 1;
  EXPECT_EQ(view.total(), 9u);
  EXPECT_DOUBLE_EQ(*view.fraction(), 6.0 / 9.0);
}

TEST(RenderLine, ShowsEverythingWhereThereIsRoom) {
  EXPECT_EQ(render_line(busy_view(), 120, kUtf8),
            "[██████████          ] waiting 812 · calling 256 · ordering 31 · committed 4,096 · failed 2 · 1,930/s · "
            "ETA 0:41");
  EXPECT_EQ(
      render_line(busy_view(), 120, kAscii),
      "[##########..........] waiting 812, calling 256, ordering 31, committed 4,096, failed 2, 1,930/s, ETA 0:41");
}

TEST(RenderLine, FillsTheBarInEighths) {
  RunView view = busy_view();
  view.tasks_total = 83960;
  EXPECT_TRUE(render_line(view, 120, kUtf8).starts_with("[█                   ]"));
  view.tasks_total = 66000;
  EXPECT_TRUE(render_line(view, 120, kUtf8).starts_with("[█▎                  ]")) << render_line(view, 120, kUtf8);
}

TEST(RenderLine, HasNoBarAndNoTimeLeftWhenTheEndIsUnknown) {
  RunView view = busy_view();
  view.tasks_total.reset();
  view.eta.reset();
  EXPECT_EQ(render_line(view, 120, kUtf8),
            "waiting 812 · calling 256 · ordering 31 · committed 4,096 · failed 2 · 1,930/s");
}

TEST(RenderLine, LeavesOutTheLessImportantWhenNarrow) {
  EXPECT_EQ(render_line(busy_view(), 80, kAscii),
            "[###....] waiting 812, calling 256, committed 4,096, failed 2, 1,930/s, ETA 0:41");
  EXPECT_EQ(render_line(busy_view(), 60, kAscii), "[####.....] calling 256, committed 4,096, failed 2, ETA 0:41");
  EXPECT_EQ(render_line(busy_view(), 30, kAscii), "committed 4,096, failed 2");
  EXPECT_EQ(render_line(busy_view(), 9, kUtf8), "committe…");
}

TEST(RenderLine, NeverExceedsTheColumns) {
  for (std::size_t columns = 0; columns < 140; ++columns) {
    for (const Style style : {kAscii, kUtf8}) {
      EXPECT_LE(columns_of(render_line(busy_view(), columns, style)), columns) << columns;
    }
  }
}

TEST(RenderLine, SaysThatItIsFinishing) {
  RunView view = busy_view();
  view.phase = Phase::draining;
  EXPECT_NE(render_line(view, 120, kUtf8).find("] finishing · waiting"), std::string::npos);
  view.phase = Phase::stopping;
  EXPECT_NE(render_line(view, 120, kUtf8).find("] stopping · waiting"), std::string::npos);
}

TEST(RenderLine, ColoursFailuresOnlyIfThereAreAnyAndColourIsWanted) {
  RunView view = busy_view();
  const Style colour{.utf8 = true, .colour = true};
  EXPECT_NE(render_line(view, 120, colour).find("\x1b[31mfailed 2\x1b[0m"), std::string::npos);
  EXPECT_EQ(render_line(view, 120, kUtf8).find('\x1b'), std::string::npos);
  view.status.failed = 0;
  EXPECT_EQ(render_line(view, 120, colour).find('\x1b'), std::string::npos);
}

TEST(RenderNote, IsOneSafeLineThatFits) {
  RunView view;
  EXPECT_EQ(render_note(view, 80, kUtf8), "");
  view.note = "api.example.com refuses connections\x1b[2J\nretrying in 4 s";
  EXPECT_EQ(render_note(view, 80, kUtf8), "api.example.com refuses connections?[2J retrying in 4 s");
  EXPECT_EQ(render_note(view, 20, kUtf8), "api.example.com ref…");
  EXPECT_EQ(render_note(view, 20, {.utf8 = true, .colour = true}), "\x1b[33mapi.example.com ref…\x1b[0m");
}

TEST(RenderPlain, IsTheLineForLogs) {
  RunView view = busy_view();
  view.note = "rate limited until 12:04:10";
  EXPECT_EQ(render_plain(view, kAscii),
            "pawl: 50%, waiting 812, calling 256, ordering 31, committed 4,096, failed 2, 1,930/s, ETA 0:41 (rate "
            "limited until 12:04:10)");
}

class StyleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR"}) ::unsetenv(name);
  }
};

TEST_F(StyleTest, TakesTheFirstLocaleThatIsSet) {
  EXPECT_FALSE(Style::of_environment(-1).utf8);
  ::setenv("LANG", "de_DE.UTF-8", 1);
  EXPECT_TRUE(Style::of_environment(-1).utf8);
  ::setenv("LC_ALL", "C", 1);
  EXPECT_FALSE(Style::of_environment(-1).utf8);
  ::setenv("LC_ALL", "C.utf8", 1);
  EXPECT_TRUE(Style::of_environment(-1).utf8);
}

TEST_F(StyleTest, HasNoColourWithoutATerminal) { EXPECT_FALSE(Style::of_environment(-1).colour); }

}  // namespace
}  // namespace pawl::observe
