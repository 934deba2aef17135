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

std::chrono::milliseconds ms_of(const JsonFields& fields, std::string_view path) {
  return std::chrono::milliseconds{number_of<std::int64_t>(fields, path).value_or(0)};
}

void read_latency(LatencyView& latency, const JsonFields& fields, const std::string& prefix) {
  read_into(latency.p50_ms, fields, prefix + "latency_ms.p50");
  read_into(latency.p90_ms, fields, prefix + "latency_ms.p90");
  read_into(latency.p99_ms, fields, prefix + "latency_ms.p99");
  read_into(latency.p999_ms, fields, prefix + "latency_ms.p999");
  read_into(latency.max_ms, fields, prefix + "latency_ms.max");
}

/// Calls `read(prefix)` for each element of an array of objects that have the field `always`, at most `most`.
template <class Read>
void read_list(const JsonFields& fields, const std::string& name, std::string_view always, std::size_t most,
               Read read) {
  for (std::size_t i = 0; i < most; ++i) {
    const std::string prefix = name + "." + std::to_string(i) + ".";
    if (!fields.contains(prefix + std::string(always))) return;
    read(prefix);
  }
}

void read_stages(RunView& view, const JsonFields& fields) {
  constexpr std::size_t kMost = 16;  // others may come
  read_list(fields, "stages", "name", kMost, [&](const std::string& prefix) {
    const std::string name = text_of(fields, prefix + "name");
    StageView* stage = name == "save"     ? &view.save
                       : name == "call"   ? &view.call
                       : name == "commit" ? &view.commit
                                          : nullptr;
    if (stage == nullptr) return;
    read_into(stage->depth, fields, prefix + "depth");
    read_into(stage->rate_per_s, fields, prefix + "rate_per_s");
    read_latency(stage->latency, fields, prefix);
  });
}

void read_lists(RunView& view, const JsonFields& fields) {
  read_list(fields, "lanes", "origin", kLanesShown, [&](const std::string& prefix) {
    LaneView& lane = view.lanes.emplace_back();
    lane.origin = text_of(fields, prefix + "origin");
    lane.model = text_of(fields, prefix + "model");
    read_into(lane.in_flight, fields, prefix + "in_flight");
    read_into(lane.waiting, fields, prefix + "waiting");
    read_into(lane.limit, fields, prefix + "limit");
    lane.breaker = text_of(fields, prefix + "breaker");
    lane.paused = ms_of(fields, prefix + "paused_ms");
  });
  read_list(fields, "errors", "text", kErrorsShown, [&](const std::string& prefix) {
    ErrorView& error = view.errors.emplace_back();
    error.text = text_of(fields, prefix + "text");
    read_into(error.count, fields, prefix + "count");
    error.last_ago = ms_of(fields, prefix + "last_ms_ago");
  });
  read_list(fields, "streams", "stream", kStreamsShown, [&](const std::string& prefix) {
    StreamView& stream = view.streams.emplace_back();
    stream.stream = text_of(fields, prefix + "stream");
    stream.id = text_of(fields, prefix + "id");
    stream.waits_for = text_of(fields, prefix + "waits_for");
    stream.waiting = ms_of(fields, prefix + "waiting_ms");
  });
  read_into(view.budget.calls, fields, "budget.calls");
  read_into(view.budget.calls_max, fields, "budget.calls_max");
  read_into(view.budget.tokens, fields, "budget.tokens");
  read_into(view.budget.tokens_max, fields, "budget.tokens_max");
  view.budget.time = ms_of(fields, "budget.time_ms");
  view.budget.time_max = ms_of(fields, "budget.time_max_ms");
}

std::optional<std::chrono::seconds> seconds_at(const JsonFields& fields, std::string_view path) {
  const auto number = number_of<std::int64_t>(fields, path);
  return number ? std::optional(std::chrono::seconds{*number}) : std::nullopt;
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
  view.elapsed = ms_of(fields, "elapsed_ms");
  read_status_counts(view.status, fields);
  if (!adds_up(view.status)) return failure(ErrorCode::input, "the counts of the status do not add up");
  view.tasks_total = number_of<std::uint64_t>(fields, "tasks.total");
  read_into(view.inputs_read, fields, "tasks.read");
  read_into(view.recovered, fields, "tasks.recovered");
  read_into(view.in_doubt, fields, "tasks.in_doubt");
  read_into(view.held, fields, "tasks.held");
  read_into(view.skipped, fields, "tasks.skipped");
  read_into(view.skipped_failed, fields, "tasks.skipped_failed");
  read_into(view.bad_lines, fields, "tasks.bad_lines");
  read_into(view.retried, fields, "retried");
  read_into(view.rate_per_s, fields, "rate_per_s");
  view.eta = seconds_at(fields, "eta_s");
  view.eta_low = seconds_at(fields, "eta_low_s");
  view.eta_high = seconds_at(fields, "eta_high_s");
  view.paused = text_of(fields, "paused") == "true";
  read_latency(view.latency, fields, "");
  read_stages(view, fields);
  read_lists(view, fields);
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
