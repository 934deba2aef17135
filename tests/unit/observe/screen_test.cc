// What `pawl top` shows of a run, at every size.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include <pawl/observe_screen.h>

#include "text.h"
#include "view_fixture.h"

namespace pawl::observe {
namespace {

RunView full_view() {
  RunView view = busy_view();
  view.eta_low = std::chrono::seconds{36};
  view.eta_high = std::chrono::seconds{50};
  view.save = {2, 1950.2, {}};
  view.call = {1066, 1930.4, {52.1, 110.4, 240, 301.4, 412.7}};
  view.commit = {31, 1925, {}};
  view.lanes = {{"https://api.example.com:443", "gpt-4o", 32, 12, 64, "closed", {}},
                {"http://127.0.0.1:8080", "", 0, 700, 8, "open", std::chrono::milliseconds{2500}},
                {"http://other.example:80", "", 1, 3, 0, "half_open", {}}};
  view.errors = {{"503 from http://127.0.0.1:8080", 12, std::chrono::milliseconds{3000}},
                 {"connect_failed: refused\x1b[2J", 1, std::chrono::milliseconds{65000}}};
  view.streams = {{"stream-1", "task-17", "calling", std::chrono::milliseconds{9300}},
                  {"stream-2", "task-4", "ordering", std::chrono::milliseconds{8000}}};
  view.budget = {5120, 10000, 120000, 1000000, std::chrono::hours{2}, std::chrono::minutes{12}};
  return view;
}

std::string text_of(const ScreenLine& line) {
  std::string text;
  for (const Span& span : line) text += span.text;
  return text;
}

std::vector<std::string> shown(const RunView& view, ScreenSize size, ScreenOptions options) {
  std::vector<std::string> lines;
  for (const ScreenLine& line : render_screen(view, options, size)) lines.push_back(text_of(line));
  return lines;
}

const ScreenOptions kScreenOptions{.title = "results", .notice = {}, .keys = "q leaves", .utf8 = true};

TEST(Screen, ShowsAllOfARunAtEightyByTwentyFour) {
  const auto lines = shown(full_view(), {80, 24}, kScreenOptions);
  std::string all;
  for (const auto& line : lines) all += line + "|\n";
  EXPECT_TRUE(lines.at(0).starts_with("pawl results  ")) << all;
  EXPECT_TRUE(lines.at(0).ends_with("  running for 2.10 s · ETA 0:41 (0:36–0:50)")) << all;
  EXPECT_EQ(columns_of(lines.at(0)), 80u) << all;
  EXPECT_EQ(lines.size(), 24u) << all;
  EXPECT_EQ(lines.back(), "q leaves") << all;
  for (const char* wanted :
       {"committed 4,096 of 8,396 · failed 2 · 1,930/s", "calls 5,120 of 10,000 · tokens 120,000 of 1,000,000",
        "STAGE      DEPTH       RATE       P50       P90       P99       MAX",
        "call       1,066    1,930/s     52 ms    110 ms    240 ms    413 ms",
        "save           2    1,950/s         -         -         -         -", "https://api.example.com:443 gpt-4o",
        "down, 2.50 s", "asking", "stream-1", "9.30 s  calling      task-17", "503 from http://127.0.0.1:8080",
        "connect_failed: refused?[2J"})
    EXPECT_NE(all.find(wanted), std::string::npos) << wanted << "\nin\n" << all;
}

TEST(Screen, FitsEverySize) {
  const RunView view = full_view();
  for (const bool utf8 : {true, false}) {
    ScreenOptions options = kScreenOptions;
    options.utf8 = utf8;
    options.notice = "no answer from the run for 3 s";
    for (std::size_t rows = 0; rows <= 50; ++rows) {
      for (std::size_t columns = 0; columns <= 140; columns += columns < 12 ? 1 : 4) {
        const auto lines = shown(view, {columns, rows}, options);
        ASSERT_LE(lines.size(), rows);
        for (const auto& line : lines) ASSERT_LE(columns_of(line), columns) << columns << " x " << rows << ": " << line;
      }
    }
  }
}

TEST(Screen, KeepsAllListsBeforeOneGrows) {
  RunView view = full_view();
  for (int i = 0; i < 60; ++i) view.lanes.push_back({"http://host-" + std::to_string(i), "", 1, 0, 0, "closed", {}});
  std::string all;
  for (const auto& line : shown(view, {80, 24}, kScreenOptions)) all += line + "\n";
  for (const char* title : {"LANE", "SLOWEST STREAMS", "LAST ERRORS", "q leaves"})
    EXPECT_NE(all.find(title), std::string::npos) << title << "\nin\n" << all;
}

TEST(Screen, SaysThatItIsPausedAndThatNothingWasMeasured) {
  RunView view;
  view.paused = true;
  const auto lines = shown(view, {80, 24}, kScreenOptions);
  EXPECT_NE(lines.at(0).find("paused for"), std::string::npos) << lines.at(0);
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  EXPECT_EQ(all.find("ETA"), std::string::npos) << all;
  EXPECT_EQ(all.find("LANE"), std::string::npos) << "no list without entries\n" << all;
}

TEST(Screen, HasNoControlCharacterWhateverStrangersSay) {
  std::mt19937_64 random(7);
  RunView view = full_view();
  for (int round = 0; round < 200; ++round) {
    std::string noise;
    for (int i = 0; i < 60; ++i) noise += static_cast<char>(random() % 256);
    view.note = view.lanes[0].origin = view.errors[0].text = view.streams[0].stream = noise;
    for (const auto& line : shown(view, {80, 24}, kScreenOptions)) {
      ASSERT_LE(columns_of(line), 80u);
      for (std::string_view rest = line; !rest.empty();) {
        const CodePoint point = decode_first(rest);
        ASSERT_TRUE(point.valid);
        ASSERT_GE(static_cast<std::uint32_t>(point.value), 0x20u);
        rest.remove_prefix(point.bytes);
      }
    }
  }
}

}  // namespace
}  // namespace pawl::observe
