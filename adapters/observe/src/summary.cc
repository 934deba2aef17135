#include <string>
#include <vector>

#include <pawl/observe.h>

#include "text.h"

namespace pawl::observe {

namespace {

class Lines {
 public:
  explicit Lines(Style style) : separator_(style.utf8 ? " · " : ", ") {}

  void head(const std::string& text) { out_ += "pawl: " + text + "\n"; }

  void row(std::string_view name, const std::vector<std::string>& values) {
    constexpr std::size_t kNameColumns = 10;
    if (values.empty()) return;
    out_ += "  ";
    out_ += name;
    out_.append(kNameColumns - name.size(), ' ');
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += separator_;
      out_ += values[i];
    }
    out_ += "\n";
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
  std::string_view separator_;
};

std::string tasks_text(std::uint64_t count) { return grouped(count) + (count == 1 ? " task" : " tasks"); }

void add_answers(Lines& lines, const Status& status) {
  if (status.committed == 0) return;
  const std::uint64_t good = status.committed - status.failed;
  const double share = 100.0 * static_cast<double>(good) / static_cast<double>(status.committed);
  // A share that is not whole is never rounded up to 100.
  std::string percent = fixed(share, 2);
  if (status.failed > 0 && percent == "100.00") percent = "99.99";
  std::vector<std::string> values = {grouped(good) + " with 2xx (" + percent + " %)",
                                     grouped(status.failed) + " failed"};
  if (status.unchanged > 0) values.push_back(grouped(status.unchanged) + " unchanged");
  lines.row("answers", values);
}

void add_input(Lines& lines, const RunView& view) {
  std::vector<std::string> values = {grouped(view.inputs_read) + " read"};
  if (view.recovered > 0) values.push_back(grouped(view.recovered) + " recovered");
  if (view.in_doubt > 0) values.push_back(grouped(view.in_doubt) + " of them in doubt");
  if (view.skipped > 0) values.push_back(grouped(view.skipped) + " skipped (committed before)");
  if (view.skipped_failed > 0) {
    values.push_back(grouped(view.skipped_failed) +
                     (view.skipped_failed == 1 ? " of them a failure" : " of them failures"));
  }
  if (view.bad_lines > 0) {
    values.push_back(grouped(view.bad_lines) + (view.bad_lines == 1 ? " bad line" : " bad lines") + " left out");
  }
  lines.row("tasks", values);
}

}  // namespace

std::string render_summary(const RunView& view, const SummaryOptions& options) {
  const Charset charset = options.style.utf8 ? Charset::utf8 : Charset::ascii;
  const double seconds = std::chrono::duration<double>(view.elapsed).count();
  const double rate = seconds > 0 ? static_cast<double>(view.status.committed) / seconds : 0;
  Lines lines(options.style);
  lines.head("committed " + tasks_text(view.status.committed) + " in " + spoken_time(view.elapsed) + " (" +
             rate_text(rate) + ")");
  add_input(lines, view);
  add_answers(lines, view.status);
  if (view.status.unfinished > 0) {
    std::vector<std::string> values = {tasks_text(view.status.unfinished) + " unfinished, saved"};
    if (view.held > 0) values.push_back(grouped(view.held) + " held");
    lines.row("left", values);
  }
  if (view.retried > 0) lines.row("retried", {grouped(view.retried) + (view.retried == 1 ? " call" : " calls")});
  if (view.latency.max_ms > 0) {
    lines.row("latency", {"p50 " + short_ms(view.latency.p50_ms), "p90 " + short_ms(view.latency.p90_ms),
                          "p99 " + short_ms(view.latency.p99_ms), "max " + short_ms(view.latency.max_ms)});
  }
  if (!view.note.empty()) lines.row("note", {clean_line(view.note, charset)});
  if (!options.result.empty()) lines.row("results", {clean_line(options.result, charset)});
  if (!options.next_command.empty()) lines.row("next", {clean_line(options.next_command, charset)});
  return lines.take();
}

}  // namespace pawl::observe
