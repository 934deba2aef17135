#include "report_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include <pawl/git.h>

#include "html.h"

namespace pawl::tool {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="pawl">
<style>
:root { --ground:#fff; --card:#f5f6f8; --line:#dfe2e7; --text:#1b1f24; --dim:#59626e; --good:#2563c9; --bad:#c2410c; --flow:#0f766e; }
@media (prefers-color-scheme: dark) {
  :root { --ground:#14171b; --card:#1d2127; --line:#323842; --text:#e6e8eb; --dim:#9aa4b1; --good:#6ea8fe; --bad:#fb923c; --flow:#3fa79b; }
}
* { box-sizing:border-box; }
body { margin:0 auto; padding:1.2rem 1rem 3rem; max-width:68rem; background:var(--ground); color:var(--text);
  font:16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size:1.5rem; margin:0; overflow-wrap:anywhere; }
h2 { font-size:1.15rem; margin:2.2rem 0 .6rem; }
p { margin:.4rem 0; } .dim, figcaption { color:var(--dim); font-size:.88rem; }
.tiles { display:grid; grid-template-columns:repeat(auto-fit, minmax(7.2rem, 1fr)); gap:.7rem; margin:1.2rem 0; padding:0; list-style:none; }
.tiles li { background:var(--card); border:1px solid var(--line); border-radius:.5rem; padding:.6rem .8rem; }
.tiles b { display:block; font-size:1.3rem; font-variant-numeric:tabular-nums; line-height:1.3; }
.tiles span { color:var(--dim); font-size:.82rem; }
figure { margin:0 0 1.4rem; }
.plot { position:relative; border-bottom:1px solid var(--line); background:var(--card); border-radius:.3rem .3rem 0 0; }
.plot svg { display:block; width:100%; height:8rem; }
.plot span { position:absolute; left:.4rem; top:.15rem; font-size:.75rem; color:var(--dim); }
.ends { display:flex; justify-content:space-between; gap:1rem; font-size:.75rem; color:var(--dim); }
.good { fill:var(--good); } .bad { fill:var(--bad); } .flow { fill:var(--flow); }
.key { display:inline-block; width:.7em; height:.7em; border-radius:.15em; margin:0 .3em 0 .8em; }
.key.k1 { background:var(--good); margin-left:0; } .key.k2 { background:var(--bad); }
.wide { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-size:.88rem; font-variant-numeric:tabular-nums; }
th, td { text-align:left; padding:.3rem .7rem .3rem 0; border-bottom:1px solid var(--line); vertical-align:top; }
thead th { color:var(--dim); font-weight:600; white-space:nowrap; }
tbody th { font-weight:400; }
.n { text-align:right; white-space:nowrap; } .n + :not(.n) { padding-left:.6rem; } .name { overflow-wrap:anywhere; min-width:8rem; }
.when { white-space:nowrap; } code { font-size:.92em; overflow-wrap:anywhere; }
.meter { display:block; background:var(--line); border-radius:.2rem; height:.6rem; min-width:4rem; margin-top:.4rem; overflow:hidden; }
.meter i { display:block; height:100%; background:var(--good); } .meter.f i { background:var(--bad); }
.fault { color:var(--bad); }
</style>
)";

constexpr double kFull = 84;  // height of the highest bar: of 100, with room for the label

std::string moment_or_dash(const std::optional<std::chrono::system_clock::time_point>& time) {
  return time ? moment_text(*time) : "–";
}

double seconds_of(const std::optional<std::chrono::system_clock::time_point>& first,
                  const std::optional<std::chrono::system_clock::time_point>& last) {
  return first ? std::chrono::duration<double>(*last - *first).count() : 0;
}

class Page {
 public:
  Page(const ReportSums& sums, const ReportFacts& facts) : sums_(sums), facts_(facts) {}

  std::string render() {
    head();
    tiles();
    if (sums_.records != 0) {
      runs();
      latency();
      retries();
      slowest();
      streams();
    }
    failures();
    out_ += "</main>\n</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  template <class... Arguments>
  void add(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), text, std::forward<Arguments>(arguments)...);
  }

  void head() {
    out_ += kHead;
    const std::string name = escaped(facts_.repository);
    add("<title>pawl: {0}</title>\n</head>\n<body>\n<header>\n<h1>{0}</h1>\n", name);
    add("<p class=\"dim\">Branch {}, as of {} UTC. All times are UTC.</p>\n", escaped(facts_.branch),
        moment_text(facts_.made));
    if (facts_.live_pid) add("<p>A run is going on (pid {}): this is how far it is.</p>\n", *facts_.live_pid);
    if (!facts_.journal_problem.empty())
      add("<p class=\"fault\">The journal cannot be read: {}</p>\n", escaped(facts_.journal_problem));
    if (facts_.journal_tasks != 0)
      add("<p>The journal holds {} tasks, {} of them answered, {} in doubt (some may be committed already). To go on: "
          "<code>pawl resume {}</code></p>\n",
          grouped(facts_.journal_tasks), grouped(facts_.journal_answers), grouped(facts_.journal_in_doubt), name);
    if (sums_.failed != 0) add("<p>To run what failed again: <code>pawl run --failed {}</code></p>\n", name);
    if (sums_.without_time != 0)
      add("<p class=\"dim\">{} records do not say when they were called, and are in no chart over time.</p>\n",
          grouped(sums_.without_time));
    out_ += "</header>\n<main>\n";
  }

  void tile(const std::string& value, std::string_view name) {
    add("<li><b>{}</b><span>{}</span></li>\n", value, name);
  }

  void tiles() {
    out_ += "<ul class=\"tiles\">\n";
    tile(grouped(sums_.records), "records");
    tile(share_text(sums_.records - sums_.failed, sums_.records), "with a 2xx answer");
    tile(grouped(sums_.failed), "failed");
    tile(grouped(sums_.streams), "streams");
    tile(grouped(sums_.attempts), "calls, retries included");
    if (sums_.records != 0) {
      tile(span_text(sums_.durations.percentile(0.5)), "median time of a task");
      tile(span_text(sums_.durations.percentile(0.99)), "99 % are done within");
    }
    tile(grouped(facts_.journal_tasks), "in the journal");
    out_ += "</ul>\n";
  }

  // A drawing is as wide as the page: stretched, so without text; that stands around it.
  void begin_plot(std::string_view about, const std::string& top, std::size_t columns) {
    add("<figure>\n<figcaption>{}</figcaption>\n<div class=\"plot\"><span>{}</span>\n"
        "<svg viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\n",
        about, top, columns, top);
  }
  void end_plot(const std::string& left, const std::string& right) {
    add("</svg></div>\n<div class=\"ends\"><span>{}</span><span>{}</span></div>\n</figure>\n", left, right);
  }
  /// A bar of two parts; heights of 100 at most.
  void bar(std::size_t column, double good, double bad, const std::string& title) {
    if (good + bad <= 0) return;
    add("<g><title>{}</title>", title);
    if (good > 0)
      add(R"(<rect class="good" x="{}.06" y="{:.2f}" width=".88" height="{:.2f}"/>)", column, 100 - good, good);
    if (bad > 0)
      add(R"(<rect class="bad" x="{}.06" y="{:.2f}" width=".88" height="{:.2f}"/>)", column, 100 - good - bad, bad);
    out_ += "</g>\n";
  }

  void run_charts(const RunSum& run) {
    const auto slots = run.times.slots();
    const auto width = run.times.width_ms();
    const auto moment = [&](std::size_t slot) {
      return moment_text(std::chrono::system_clock::time_point(
          milliseconds((run.times.first() + static_cast<std::int64_t>(slot)) * width)));
    };
    std::uint64_t most = 1;
    for (const auto& slot : slots) most = std::max<std::uint64_t>(most, slot.succeeded + slot.failed);
    const double each = 1000.0 / static_cast<double>(width);
    begin_plot("Tasks that ended, per second <i class=\"key k1\"></i>2xx <i class=\"key k2\"></i>failed",
               "at most " + rate_text(static_cast<double>(most) * each), slots.size());
    for (std::size_t i = 0; i < slots.size(); ++i)
      bar(i, kFull * slots[i].succeeded / static_cast<double>(most),
          kFull * slots[i].failed / static_cast<double>(most),
          fmt::format("{}: {} succeeded, {} failed in {}", moment(i), slots[i].succeeded, slots[i].failed,
                      span_text(milliseconds(width))));
    end_plot(moment(0), moment(slots.size()));

    std::vector<std::int64_t> under_way;
    std::int64_t now = 0, highest = 1;
    for (const auto& slot : slots) {
      // As it was at the end of the slot, or halfway to that from its beginning: what happens within is not known.
      const std::int64_t before = now;
      now += static_cast<std::int64_t>(slot.started) - slot.succeeded - slot.failed;
      const std::int64_t shown = std::max(now, (before + now) / 2);
      under_way.push_back(shown);
      highest = std::max(highest, shown);
    }
    begin_plot("Tasks under way: first call begun, outcome not there",
               "up to about " + grouped(static_cast<std::uint64_t>(highest)), slots.size());
    out_ += "<path class=\"flow\" d=\"M0 100";
    for (std::size_t i = 0; i < under_way.size(); ++i)
      add(" V{:.2f} H{}", 100 - kFull * static_cast<double>(under_way[i]) / static_cast<double>(highest), i + 1);
    out_ += " V100 Z\"/>\n";
    end_plot(moment(0), moment(slots.size()));
  }

  void runs() {
    constexpr std::size_t kCharts = 3;
    out_ += "<h2>Timeline</h2>\n";
    std::size_t charts = 0;
    for (auto at = sums_.runs.rbegin(); at != sums_.runs.rend() && charts < kCharts; ++at) {
      const RunSum& run = at->second;
      if (!run.first) continue;
      ++charts;
      add("<p>Run of {}: {} records in {}</p>\n", escaped(git::run_name(run.run)), grouped(run.records),
          span_text(milliseconds(static_cast<std::int64_t>(1000 * seconds_of(run.first, run.last)))));
      run_charts(run);
    }
    out_ +=
        "<h2>Runs</h2>\n<p class=\"dim\">A record counts for the run that made it as it is now.</p>\n"
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Run</th><th scope=\"col\" class=\"n\">Records</th>"
        "<th scope=\"col\" class=\"n\">Failed</th><th scope=\"col\" class=\"n\">Calls</th><th scope=\"col\">First "
        "call</th><th scope=\"col\">Last outcome</th><th scope=\"col\" class=\"n\">Rate</th></tr></thead>\n<tbody>\n";
    for (auto at = sums_.runs.rbegin(); at != sums_.runs.rend(); ++at)
      run_row(escaped(git::run_name(at->first)), at->second);
    if (sums_.earlier.records != 0) run_row(grouped(sums_.earlier_runs()) + " earlier runs", sums_.earlier);
    out_ += "</tbody></table></div>\n";
  }

  void run_row(const std::string& name, const RunSum& run) {
    const double seconds = seconds_of(run.first, run.last);
    add("<tr><th scope=\"row\" class=\"when\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td class=\"when\">{}</td><td class=\"when\">{}</td><td class=\"n\">{}</td></tr>\n",
        name, grouped(run.records), grouped(run.failed), grouped(run.attempts), moment_or_dash(run.first),
        moment_or_dash(run.last), seconds > 0 ? rate_text(static_cast<double>(run.records) / seconds) : "–");
  }

  void latency() {
    const auto bars = sums_.durations.bars();
    std::uint64_t most = 1;
    for (const auto& each : bars) most = std::max(most, each.succeeded + each.failed);
    out_ += "<h2>Latency</h2>\n";
    begin_plot(
        "From the start of a task's first call to the end of its last, waits for a retry included; longer to the "
        "right, "
        "by a fourth of a doubling <i class=\"key k1\"></i>2xx <i class=\"key k2\"></i>failed",
        "at most " + grouped(most) + " tasks", bars.size());
    for (std::size_t i = 0; i < bars.size(); ++i)
      bar(i, kFull * static_cast<double>(bars[i].succeeded) / static_cast<double>(most),
          kFull * static_cast<double>(bars[i].failed) / static_cast<double>(most),
          fmt::format("{} to {}: {} succeeded, {} failed", span_text(bars[i].from), span_text(bars[i].to),
                      bars[i].succeeded, bars[i].failed));
    end_plot(span_text(bars.front().from), span_text(bars.back().to));
    out_ += "<ul class=\"tiles\">\n";
    for (const auto& [share, name] : {std::pair{0.5, "half"}, std::pair{0.9, "90 %"}, std::pair{0.95, "95 %"},
                                      std::pair{0.99, "99 %"}, std::pair{0.999, "99.9 %"}})
      tile(span_text(sums_.durations.percentile(share)), name);
    tile(span_text(sums_.durations.max()), "the longest");
    out_ += "</ul>\n";
  }

  void retries() {
    out_ +=
        "<h2>Retries</h2>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Calls a task took</th><th "
        "scope=\"col\" class=\"n\">Tasks</th><th scope=\"col\" class=\"n\">Share</th><th scope=\"col\"></th></tr>"
        "</thead>\n<tbody>\n";
    for (std::size_t i = 0; i < sums_.by_attempts.size(); ++i) {
      const std::uint64_t tasks = sums_.by_attempts[i];
      if (tasks == 0) continue;
      meter_row(fmt::format("{}{}", i,
                            i == ReportSums::kAttempts ? " or more"
                            : i == 0                   ? " (not called)"
                                                       : ""),
                tasks, sums_.records, "");
    }
    out_ += "</tbody></table></div>\n";
  }

  void meter_row(const std::string& name, std::uint64_t part, std::uint64_t whole, std::string_view kind) {
    add("<tr><th scope=\"row\" class=\"name\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td><span "
        "class=\"meter{}\"><i style=\"width:{:.2f}%\"></i></span></td></tr>\n",
        name, grouped(part), share_text(part, whole), kind,
        100.0 * static_cast<double>(part) / static_cast<double>(whole));
  }

  void slowest() {
    const auto tasks = sums_.slowest.sorted();
    add("<h2>Slowest tasks</h2>\n<p class=\"dim\">{} of {}</p>\n", grouped(tasks.size()), grouped(sums_.records));
    out_ +=
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Stream</th><th scope=\"col\">Id</th><th "
        "scope=\"col\" class=\"n\">Time</th><th scope=\"col\" class=\"n\">Calls</th><th scope=\"col\">Outcome</th>"
        "<th scope=\"col\">First call</th></tr></thead>\n<tbody>\n";
    for (const NamedTask* task : tasks)
      add("<tr><td class=\"name\">{}</td><th scope=\"row\" class=\"name\">{}</th><td class=\"n\">{}</td><td "
          "class=\"n\">{}</td><td class=\"name\">{}</td><td class=\"when\">{}</td></tr>\n",
          escaped(task->stream, 80), escaped(task->id, 80), span_text(task->duration), task->attempts,
          task->error.empty() ? fmt::format("status {}", task->status_code) : escaped(task->error),
          moment_or_dash(task->started));
    out_ += "</tbody></table></div>\n";
  }

  void streams() {
    const auto shown = sums_.worst_streams.sorted();
    out_ += "<h2>Streams</h2>\n";
    if (shown.size() < sums_.streams)
      add("<p class=\"dim\">{} of {}: those with most failures, then with most records; {} more are left out.</p>\n",
          shown.size(), grouped(sums_.streams), grouped(sums_.streams - shown.size()));
    out_ +=
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Stream</th><th scope=\"col\" class=\"n\">Records"
        "</th><th scope=\"col\" class=\"n\">Failed</th><th scope=\"col\" class=\"n\">Retried</th><th scope=\"col\" "
        "class=\"n\">Median</th><th scope=\"col\" class=\"n\">99 %</th><th scope=\"col\" class=\"n\">Longest</th>"
        "<th scope=\"col\">First call</th><th scope=\"col\">Last outcome</th></tr></thead>\n<tbody>\n";
    for (const StreamSum* stream : shown)
      add("<tr><th scope=\"row\" class=\"name\">{}</th><td class=\"n\">{}</td><td class=\"n{}\">{}</td><td "
          "class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
          "class=\"when\">{}</td><td class=\"when\">{}</td></tr>\n",
          escaped(stream->name, 80), grouped(stream->records), stream->failed != 0 ? " fault" : "",
          grouped(stream->failed), grouped(stream->retried), span_text(stream->p50), span_text(stream->p99),
          span_text(stream->max), moment_or_dash(stream->first), moment_or_dash(stream->last));
    out_ += "</tbody></table></div>\n";
  }

  void failures() {
    out_ += "<h2>Failures</h2>\n";
    if (sums_.failed == 0) {
      out_ += "<p>None.</p>\n";
      return;
    }
    out_ +=
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Kind</th><th scope=\"col\" class=\"n\">Tasks</th>"
        "<th scope=\"col\" class=\"n\">Share</th><th scope=\"col\"></th></tr></thead>\n<tbody>\n";
    std::vector<std::pair<std::uint64_t, std::string>> kinds;
    for (const auto& [kind, count] : sums_.failure_kinds) kinds.emplace_back(count, kind);
    std::ranges::sort(kinds, std::ranges::greater());
    for (const auto& [count, kind] : kinds) meter_row(escaped(kind, 80), count, sums_.failed, " f");
    out_ += "</tbody></table></div>\n";
    const auto shown = sums_.failures.sorted();
    add("<p class=\"dim\">The latest {} of {}{}</p>\n", grouped(shown.size()), grouped(sums_.failed),
        shown.size() < sums_.failed ? fmt::format("; {} more are left out: pawl export --failures FILE has them all",
                                                  grouped(sums_.failed - shown.size()))
                                    : "");
    out_ +=
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">First call</th><th scope=\"col\">Task</th><th "
        "scope=\"col\" class=\"n\">Calls</th><th scope=\"col\">Error</th></tr></thead>\n<tbody>\n";
    for (const NamedTask* task : shown)
      add("<tr><td class=\"when\">{}</td><th scope=\"row\" class=\"name\">{} {}<br><code class=\"dim\">{}</code></th>"
          "<td class=\"n\">{}</td><td class=\"name\">{}</td></tr>\n",
          moment_or_dash(task->started), escaped(task->stream, 80), escaped(task->id, 80), escaped(task->path, 500),
          task->attempts, escaped(task->error, 300));
    out_ += "</tbody></table></div>\n";
  }

  const ReportSums& sums_;
  const ReportFacts& facts_;
  std::string out_;
};

}  // namespace

std::string render_report(const ReportSums& sums, const ReportFacts& facts) { return Page(sums, facts).render(); }

}  // namespace pawl::tool
