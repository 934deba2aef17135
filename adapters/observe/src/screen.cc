#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include <pawl/observe_screen.h>

#include "table.h"
#include "text.h"

namespace pawl::observe {

namespace {

class ScreenMaker {
 public:
  ScreenMaker(const RunView& view, const ScreenOptions& options, ScreenSize size)
      : view_(view),
        options_(options),
        size_(size),
        charset_(options.utf8 ? Charset::utf8 : Charset::ascii),
        separator_(options.utf8 ? " · " : ", ") {}

  std::vector<ScreenLine> make();

 private:
  struct Panel {
    std::vector<ScreenLine> lines;  // a title and what it is the title of
    std::size_t shown = 0;          // of lines
  };

  [[nodiscard]] ScreenLine head() const;
  [[nodiscard]] ScreenLine progress() const;
  [[nodiscard]] std::vector<Span> counts() const;
  [[nodiscard]] ScreenLine budget() const;
  [[nodiscard]] ScreenLine notice() const;
  [[nodiscard]] std::vector<ScreenLine> stages() const;
  [[nodiscard]] std::vector<ScreenLine> lanes() const;
  [[nodiscard]] std::vector<ScreenLine> streams() const;
  [[nodiscard]] std::vector<ScreenLine> errors() const;
  [[nodiscard]] std::string time_left() const;
  [[nodiscard]] ScreenLine fitting(ScreenLine line) const;
  void add_panels(std::vector<ScreenLine>& lines, std::size_t room) const;

  const RunView& view_;
  const ScreenOptions& options_;
  const ScreenSize size_;
  const Charset charset_;
  const std::string separator_;
};

std::size_t width_of(const ScreenLine& line) {
  std::size_t sum = 0;
  for (const Span& span : line) sum += columns_of(span.text);
  return sum;
}

std::string count_of(std::uint64_t number) { return grouped(number); }

/// A latency that was never measured is no latency of 0.
std::string latency_text(double ms, const LatencyView& all) { return all.max_ms > 0 ? short_ms(ms) : "-"; }

std::string of_bound(std::string_view name, const std::string& spent, const std::string& bound) {
  return std::string(name) + " " + spent + " of " + bound;
}

/// Cut at the right edge; pieces that begin behind it go.
ScreenLine ScreenMaker::fitting(ScreenLine line) const {
  std::size_t left = size_.columns;
  for (Span& span : line) {
    span.text = cut_to(clean_line(span.text, charset_), left, charset_);
    left -= columns_of(span.text);
  }
  std::erase_if(line, [](const Span& span) { return span.text.empty(); });
  return line;
}

std::string ScreenMaker::time_left() const {
  if (view_.phase == Phase::done || !view_.eta) return {};
  std::string text = "ETA " + clock_time(*view_.eta);
  if (!view_.eta_low || !view_.eta_high || *view_.eta_low == *view_.eta_high) return text;
  return text + " (" + clock_time(*view_.eta_low) + (options_.utf8 ? "–" : "-") + clock_time(*view_.eta_high) + ")";
}

ScreenLine ScreenMaker::head() const {
  const std::string phase =
      view_.paused && view_.phase == Phase::running ? "paused" : std::string(name_of(view_.phase));
  const bool ordinary = view_.phase == Phase::running && !view_.paused;
  const std::string state = phase + " for " + spoken_time(view_.elapsed);
  const std::string eta = time_left();
  std::string right = eta.empty() ? state : state + separator_ + eta;
  if (columns_of(right) + 12 > size_.columns) right = phase;
  const std::string name = "pawl " + options_.title;
  const std::size_t used = columns_of(right) + 2;
  const std::size_t room = size_.columns > used ? size_.columns - used : 0;
  const std::string left = cut_to(clean_line(name, charset_), room, charset_);
  const std::string gap(size_.columns - std::min(size_.columns, columns_of(left) + columns_of(right)), ' ');
  return fitting({{left, Tone::title}, {gap}, {right, ordinary ? Tone::plain : Tone::warning}});
}

std::vector<Span> ScreenMaker::counts() const {
  std::vector<Span> pieces;
  std::string done = "committed " + count_of(view_.status.committed);
  if (const auto total = view_.total()) done += " of " + count_of(*total);
  pieces.push_back({done});
  pieces.push_back({"failed " + count_of(view_.status.failed), view_.status.failed > 0 ? Tone::bad : Tone::plain});
  pieces.push_back({rate_text(view_.rate_per_s)});
  if (view_.skipped > 0) pieces.push_back({"skipped " + count_of(view_.skipped)});
  if (view_.retried > 0) pieces.push_back({"retried " + count_of(view_.retried)});
  if (view_.held > 0) pieces.push_back({"held " + count_of(view_.held), Tone::warning});
  if (view_.bad_lines > 0) pieces.push_back({"bad lines " + count_of(view_.bad_lines), Tone::warning});
  return pieces;
}

ScreenLine ScreenMaker::progress() const {
  constexpr std::size_t kShortestBar = 8;
  constexpr std::size_t kLongestBar = 40;
  constexpr std::size_t kAroundBar = 8;  // brackets, per cent, spaces
  constexpr std::size_t kNeedsAll = 60;  // columns below which the counts have them all
  const auto fraction = view_.fraction();
  const bool bar_too = fraction && size_.columns >= kNeedsAll;
  const std::size_t most = bar_too ? size_.columns - kAroundBar - kShortestBar : size_.columns;
  ScreenLine line;
  for (Span& piece : counts()) {
    const std::string gap = line.empty() ? std::string() : separator_;
    if (!line.empty() && width_of(line) + columns_of(gap) + columns_of(piece.text) > most) break;
    if (!gap.empty()) line.push_back({gap, Tone::faint});
    line.push_back(std::move(piece));
  }
  const std::size_t used = width_of(line) + kAroundBar;
  if (!bar_too || size_.columns < used + kShortestBar) return fitting(std::move(line));
  const std::size_t cells = std::min(kLongestBar, size_.columns - used);
  const auto full = std::min(cells, static_cast<std::size_t>(*fraction * static_cast<double>(cells)));
  std::string done;
  std::string open;
  for (std::size_t i = 0; i < full; ++i) done += options_.utf8 ? "█" : "#";
  for (std::size_t i = full; i < cells; ++i) open += options_.utf8 ? "░" : ".";
  std::string percent = fixed(std::floor(*fraction * 100), 0) + "% ";
  percent.insert(0, 5 - std::min<std::size_t>(5, percent.size()), ' ');
  ScreenLine all = {{"["}, {done, Tone::good}, {open, Tone::faint}, {"]"}, {percent + " "}};
  std::ranges::move(line, std::back_inserter(all));
  return fitting(std::move(all));
}

/// What is spent of the bounds there are; without any, what was spent.
ScreenLine ScreenMaker::budget() const {
  const BudgetView& budget = view_.budget;
  std::vector<Span> pieces;
  const auto add = [&](std::string_view name, std::uint64_t spent, std::uint64_t bound) {
    if (bound == 0) return;
    const bool nearly = spent >= bound - bound / 10;
    pieces.push_back({of_bound(name, count_of(spent), count_of(bound)), nearly ? Tone::warning : Tone::plain});
  };
  add("calls", budget.calls, budget.calls_max);
  add("tokens", budget.tokens, budget.tokens_max);
  if (budget.time_max.count() > 0)
    pieces.push_back({of_bound("time", spoken_time(budget.time), spoken_time(budget.time_max))});
  if (pieces.empty() && budget.calls > 0) {
    pieces.push_back({"calls " + count_of(budget.calls)});
    if (budget.tokens > 0) pieces.push_back({"tokens " + count_of(budget.tokens)});
    pieces.push_back({"no budget set", Tone::faint});
  }
  ScreenLine line;
  for (Span& piece : pieces) {
    if (!line.empty()) line.push_back({separator_, Tone::faint});
    line.push_back(std::move(piece));
  }
  return fitting(std::move(line));
}

ScreenLine ScreenMaker::notice() const {
  if (!options_.notice.empty()) return fitting({{options_.notice, Tone::bad}});
  if (!view_.note.empty()) return fitting({{view_.note, Tone::warning}});
  return {};
}

std::vector<ScreenLine> ScreenMaker::stages() const {
  std::vector<Row> rows;
  const auto add = [&](std::string name, const StageView& stage) {
    const LatencyView& took = stage.latency;
    rows.push_back({{std::move(name)},
                    {count_of(stage.depth)},
                    {rate_text(stage.rate_per_s)},
                    {latency_text(took.p50_ms, took)},
                    {latency_text(took.p90_ms, took)},
                    {latency_text(took.p99_ms, took)},
                    {latency_text(took.max_ms, took)}});
  };
  add("save", view_.save);
  add("call", view_.call);
  add("commit", view_.commit);
  return lay_out({{"STAGE", 6},
                  {"DEPTH", 8, true},
                  {"RATE", 9, true, 1},
                  {"P50", 8, true, 3},
                  {"P90", 8, true, 4},
                  {"P99", 8, true, 2},
                  {"MAX", 8, true, 5}},
                 std::move(rows), size_.columns, charset_);
}

std::vector<ScreenLine> ScreenMaker::lanes() const {
  std::vector<Row> rows;
  for (const LaneView& lane : view_.lanes) {
    const bool down = lane.breaker == "open";
    std::string state = down ? "down" : lane.breaker == "half_open" ? "asking" : "up";
    Tone tone = down ? Tone::bad : lane.breaker == "half_open" ? Tone::warning : Tone::good;
    if (lane.paused.count() > 0) {
      state = (down ? "down, " : "paused ") + spoken_time(lane.paused);
      if (!down) tone = Tone::warning;
    }
    rows.push_back({{lane.model.empty() ? lane.origin : lane.origin + " " + lane.model},
                    {count_of(lane.in_flight)},
                    {lane.limit == 0 ? "-" : count_of(lane.limit)},
                    {count_of(lane.waiting)},
                    {std::move(state), tone}});
  }
  return lay_out(
      {{"LANE", 0}, {"CALLS", 7, true}, {"LIMIT", 7, true, 2}, {"WAITING", 8, true, 3}, {"STATE", 14, false, 1}},
      std::move(rows), size_.columns, charset_);
}

std::vector<ScreenLine> ScreenMaker::streams() const {
  std::vector<Row> rows;
  for (const StreamView& stream : view_.streams)
    rows.push_back({{stream.stream}, {spoken_time(stream.waiting)}, {stream.waits_for}, {stream.id}});
  return lay_out({{"SLOWEST STREAMS", 0}, {"SINCE", 8, true}, {"WAITS FOR", 11, false, 1}, {"TASK", 24, false, 2}},
                 std::move(rows), size_.columns, charset_);
}

std::vector<ScreenLine> ScreenMaker::errors() const {
  std::vector<Row> rows;
  for (const ErrorView& error : view_.errors)
    rows.push_back({{error.text}, {count_of(error.count), Tone::bad}, {spoken_time(error.last_ago)}});
  return lay_out({{"LAST ERRORS", 0}, {"TIMES", 7, true}, {"AGO", 8, true, 1}}, std::move(rows), size_.columns,
                 charset_);
}

/// The lists share `room`: each has its title and a row before any has more; the last ones go when there is too little.
void ScreenMaker::add_panels(std::vector<ScreenLine>& lines, std::size_t room) const {
  constexpr std::size_t kLeast = 2;  // lines of a panel
  // By what a person needs most when there is little room; shown in another order.
  std::array<Panel, 3> panels = {Panel{view_.errors.empty() ? std::vector<ScreenLine>{} : errors()},
                                 Panel{view_.lanes.empty() ? std::vector<ScreenLine>{} : lanes()},
                                 Panel{view_.streams.empty() ? std::vector<ScreenLine>{} : streams()}};
  std::size_t left = room;
  for (Panel& panel : panels) {
    const std::size_t with_gap = kLeast + 1;
    if (panel.lines.empty() || left < with_gap) continue;
    panel.shown = kLeast;
    left -= with_gap;
  }
  for (bool grew = true; grew && left > 0;) {
    grew = false;
    for (Panel& panel : panels) {
      if (left == 0 || panel.shown == 0 || panel.shown == panel.lines.size()) continue;
      ++panel.shown;
      --left;
      grew = true;
    }
  }
  for (const std::size_t at : {std::size_t{1}, std::size_t{2}, std::size_t{0}}) {
    if (panels[at].shown == 0) continue;
    lines.emplace_back();
    const auto begin = panels[at].lines.begin();
    std::move(begin, begin + static_cast<std::ptrdiff_t>(panels[at].shown), std::back_inserter(lines));
  }
}

std::vector<ScreenLine> ScreenMaker::make() {
  std::vector<ScreenLine> lines;
  if (size_.columns == 0 || size_.rows == 0) return lines;
  lines.push_back(head());
  lines.push_back(progress());
  for (ScreenLine line : {budget(), notice()})
    if (!line.empty()) lines.push_back(std::move(line));
  constexpr std::size_t kFooter = 1;
  auto stage_lines = stages();
  if (lines.size() + 1 + stage_lines.size() + kFooter <= size_.rows) {
    lines.emplace_back();
    std::ranges::move(stage_lines, std::back_inserter(lines));
    add_panels(lines, size_.rows - lines.size() - kFooter);
  }
  const ScreenLine keys = fitting({{options_.keys, Tone::faint}});
  if (!keys.empty() && lines.size() < size_.rows) {
    lines.resize(size_.rows - 1);
    lines.push_back(keys);
  }
  if (lines.size() > size_.rows) lines.resize(size_.rows);
  return lines;
}

}  // namespace

std::vector<ScreenLine> render_screen(const RunView& view, const ScreenOptions& options, ScreenSize size) {
  return ScreenMaker(view, options, size).make();
}

std::string one_line(std::string_view text, std::size_t columns, Style style) {
  const Charset charset = style.utf8 ? Charset::utf8 : Charset::ascii;
  return cut_to(clean_line(text, charset), columns, charset);
}

}  // namespace pawl::observe
