#include <charconv>

#include <pawl/observe.h>

#include "json_fields.h"
#include "text.h"

namespace pawl::observe {

namespace {

template <class Number>
std::optional<Number> number_of(const JsonFields& fields, std::string_view path) {
  const auto found = fields.find(path);
  if (found == fields.end()) return std::nullopt;
  const std::string& text = found->second;
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

template <class Number>
void read_into(Number& target, const JsonFields& fields, std::string_view path) {
  target = number_of<Number>(fields, path).value_or(target);
}

void read_status_counts(Status& status, const JsonFields& fields) {
  read_into(status.admitted, fields, "tasks.admitted");
  read_into(status.saved, fields, "tasks.saved");
  read_into(status.called, fields, "tasks.called");
  read_into(status.ordered, fields, "tasks.ordered");
  read_into(status.retired, fields, "tasks.retired");
  read_into(status.committed, fields, "tasks.committed");
  read_into(status.failed, fields, "tasks.failed");
  read_into(status.unchanged, fields, "tasks.unchanged");
  read_into(status.unfinished, fields, "tasks.unfinished");
  read_into(status.bytes_in_flight, fields, "now.bytes_in_flight");
  read_into(status.call.active, fields, "now.calling");
  read_into(status.call.delayed, fields, "now.delayed");
}

Phase phase_of(std::string_view name) {
  for (const Phase phase : {Phase::draining, Phase::stopping, Phase::done}) {
    if (name == name_of(phase)) return phase;
  }
  return Phase::running;
}

std::string text_of(const JsonFields& fields, std::string_view path) {
  const auto found = fields.find(path);
  return found == fields.end() ? std::string() : found->second;
}

bool adds_up(const Status& status) {
  return status.admitted >= status.saved && status.saved >= status.called && status.called >= status.ordered &&
         status.ordered >= status.retired;
}

}  // namespace

Result<RunView> parse_status(std::string_view json) {
  const auto parsed = json_fields(json);
  if (!parsed) return failure(ErrorCode::input, "the status is not one JSON object");
  const JsonFields& fields = *parsed;
  if (number_of<std::uint64_t>(fields, "version") != 1) {
    return failure(ErrorCode::input, "the status is of another version of pawl");
  }
  RunView view;
  view.phase = phase_of(text_of(fields, "phase"));
  view.elapsed = std::chrono::milliseconds{number_of<std::int64_t>(fields, "elapsed_ms").value_or(0)};
  read_status_counts(view.status, fields);
  if (!adds_up(view.status)) return failure(ErrorCode::input, "the counts of the status do not add up");
  view.tasks_total = number_of<std::uint64_t>(fields, "tasks.total");
  read_into(view.inputs_read, fields, "tasks.read");
  read_into(view.recovered, fields, "tasks.recovered");
  read_into(view.in_doubt, fields, "tasks.in_doubt");
  read_into(view.held, fields, "tasks.held");
  read_into(view.skipped, fields, "tasks.skipped");
  read_into(view.bad_lines, fields, "tasks.bad_lines");
  read_into(view.retried, fields, "retried");
  read_into(view.rate_per_s, fields, "rate_per_s");
  if (const auto eta = number_of<std::int64_t>(fields, "eta_s")) view.eta = std::chrono::seconds{*eta};
  read_into(view.latency.p50_ms, fields, "latency_ms.p50");
  read_into(view.latency.p90_ms, fields, "latency_ms.p90");
  read_into(view.latency.p99_ms, fields, "latency_ms.p99");
  read_into(view.latency.p999_ms, fields, "latency_ms.p999");
  read_into(view.latency.max_ms, fields, "latency_ms.max");
  read_into(view.bytes_read, fields, "input_bytes.read");
  view.bytes_total = number_of<std::uint64_t>(fields, "input_bytes.total");
  view.note = text_of(fields, "note");
  return view;
}

Result<std::string> render_status(std::string_view json, Style style) {
  const auto view = parse_status(json);
  if (!view) return std::unexpected(view.error());
  constexpr std::size_t kColumns = 120;
  std::string out = std::string(name_of(view->phase)) + " for " + spoken_time(view->elapsed) + ": ";
  out += render_line(*view, kColumns, style);
  if (view->in_doubt > 0 || view->held > 0)
    out += "\nin doubt: " + grouped(view->in_doubt) + " recovered, held: " + grouped(view->held);
  if (const std::string note = render_note(*view, kNoWidthLimit, style); !note.empty()) out += "\n" + note;
  return out;
}

}  // namespace pawl::observe
