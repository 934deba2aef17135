#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <pawl/observe.h>

#include "json_writer.h"
#include "text.h"

namespace pawl::observe {

namespace {

constexpr std::uint64_t kJsonVersion = 1;

std::uint64_t whole_ms(std::chrono::milliseconds time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.count()));
}

std::optional<std::uint64_t> whole_seconds(std::optional<std::chrono::seconds> time) {
  return time ? std::optional(static_cast<std::uint64_t>(time->count())) : std::nullopt;
}

void add_latency(JsonWriter& json, const LatencyView& latency) {
  json.begin("latency_ms");
  json.field("p50", latency.p50_ms);
  json.field("p90", latency.p90_ms);
  json.field("p99", latency.p99_ms);
  json.field("p999", latency.p999_ms);
  json.field("max", latency.max_ms);
  json.end();
}

void add_stages(JsonWriter& json, const RunView& view) {
  json.begin_list("stages");
  const auto stage = [&json](std::string_view name, const StageView& seen) {
    json.begin_item();
    json.field("name", name);
    json.field("depth", seen.depth);
    json.field("rate_per_s", seen.rate_per_s);
    add_latency(json, seen.latency);
    json.end();
  };
  stage("save", view.save);
  stage("call", view.call);
  stage("commit", view.commit);
  json.end_list();
}

void add_lanes(JsonWriter& json, const std::vector<LaneView>& lanes) {
  json.begin_list("lanes");
  for (const LaneView& lane : lanes) {
    json.begin_item();
    json.field("origin", lane.origin);
    json.field("model", lane.model);
    json.field("in_flight", lane.in_flight);
    json.field("waiting", lane.waiting);
    json.field("limit", lane.limit);
    json.field("breaker", lane.breaker);
    json.field("paused_ms", whole_ms(lane.paused));
    json.end();
  }
  json.end_list();
}

void add_errors(JsonWriter& json, const std::vector<ErrorView>& errors) {
  json.begin_list("errors");
  for (const ErrorView& error : errors) {
    json.begin_item();
    json.field("text", error.text);
    json.field("count", error.count);
    json.field("last_ms_ago", whole_ms(error.last_ago));
    if (!error.record.empty()) json.field("record", error.record);
    json.end();
  }
  json.end_list();
}

void add_streams(JsonWriter& json, const std::vector<StreamView>& streams) {
  json.begin_list("streams");
  for (const StreamView& stream : streams) {
    json.begin_item();
    json.field("stream", stream.stream);
    json.field("id", stream.id);
    json.field("waits_for", stream.waits_for);
    json.field("waiting_ms", whole_ms(stream.waiting));
    json.end();
  }
  json.end_list();
}

void add_budget(JsonWriter& json, const RunView& view) {
  const BudgetView& budget = view.budget;
  json.begin("budget");
  json.field("calls", budget.calls);
  json.field("calls_max", budget.calls_max);
  json.field("tokens", budget.tokens);
  json.field("tokens_max", budget.tokens_max);
  json.field("time_ms", whole_ms(budget.time));
  json.field("time_max_ms", whole_ms(budget.time_max));
  json.end();
}

}  // namespace

void JsonWriter::name(std::string_view name) {
  if (out_.back() != '{') out_ += ',';
  text(name);
  out_ += ':';
}

void JsonWriter::text(std::string_view value) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out_ += '"';
  while (!value.empty()) {
    const CodePoint point = decode_first(value);
    if (!point.valid) {
      out_ += "\\ufffd";
    } else if (point.value == '"' || point.value == '\\') {
      out_ += '\\';
      out_ += value[0];
    } else if (point.value == '\n') {
      out_ += "\\n";
    } else if (point.value < 0x20) {
      out_ += "\\u00";
      out_ += kHex[point.value >> 4];
      out_ += kHex[point.value & 0xF];
    } else {
      out_ += value.substr(0, point.bytes);
    }
    value.remove_prefix(point.bytes);
  }
  out_ += '"';
}

void JsonWriter::field(std::string_view name_of_field, std::uint64_t value) {
  name(name_of_field);
  out_ += std::to_string(value);
}

void JsonWriter::field(std::string_view name_of_field, std::optional<std::uint64_t> value) {
  if (value) return field(name_of_field, *value);
  name(name_of_field);
  out_ += "null";
}

void JsonWriter::field(std::string_view name_of_field, double value) {
  name(name_of_field);
  if (!std::isfinite(value)) {
    out_ += "null";
    return;
  }
  // Microseconds are the finest that means anything here.
  const double rounded = std::round(value * 1000) / 1000;
  std::array<char, 32> buffer;
  out_.append(buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), rounded).ptr);
}

void JsonWriter::field(std::string_view name_of_field, std::string_view value) {
  name(name_of_field);
  text(value);
}

void JsonWriter::begin(std::string_view name_of_field) {
  name(name_of_field);
  out_ += '{';
}

void JsonWriter::end() { out_ += '}'; }

void JsonWriter::flag(std::string_view name_of_field, bool value) {
  name(name_of_field);
  out_ += value ? "true" : "false";
}

void JsonWriter::begin_list(std::string_view name_of_field) {
  name(name_of_field);
  out_ += '[';
}

void JsonWriter::begin_item() {
  if (out_.back() != '[') out_ += ',';
  out_ += '{';
}

void JsonWriter::end_list() { out_ += ']'; }

std::string JsonWriter::take() {
  out_ += '}';
  return std::move(out_);
}

std::string to_json(const RunView& view) {
  const Status& status = view.status;
  JsonWriter json;
  json.field("version", kJsonVersion);
  json.field("phase", name_of(view.phase));
  json.field("elapsed_ms", static_cast<std::uint64_t>(view.elapsed.count()));
  json.begin("tasks");
  json.field("total", view.total());
  json.field("read", view.inputs_read);
  json.field("recovered", view.recovered);
  json.field("in_doubt", view.in_doubt);
  json.field("skipped", view.skipped);
  json.field("skipped_failed", view.skipped_failed);
  json.field("bad_lines", view.bad_lines);
  json.field("admitted", status.admitted);
  json.field("saved", status.saved);
  json.field("called", status.called);
  json.field("ordered", status.ordered);
  json.field("retired", status.retired);
  json.field("committed", status.committed);
  json.field("failed", status.failed);
  json.field("unchanged", status.unchanged);
  json.field("unfinished", status.unfinished);
  json.field("held", view.held);
  json.end();
  json.begin("now");
  json.field("in_flight", status.in_flight());
  json.field("bytes_in_flight", status.bytes_in_flight);
  json.field("waiting", view.waiting());
  json.field("calling", view.calling());
  json.field("ordering", view.ordering());
  json.field("saving", status.saving());
  json.field("delayed", status.call.delayed);
  json.field("committing", status.committing());
  json.end();
  json.field("retried", view.retried);
  json.field("rate_per_s", view.rate_per_s);
  json.field("eta_s", whole_seconds(view.eta));
  json.field("eta_low_s", whole_seconds(view.eta_low));
  json.field("eta_high_s", whole_seconds(view.eta_high));
  json.flag("paused", view.paused);
  add_latency(json, view.latency);
  json.begin("input_bytes");
  json.field("read", view.bytes_read);
  json.field("total", view.bytes_total);
  json.end();
  json.field("note", view.note);
  add_stages(json, view);
  add_lanes(json, view.lanes);
  add_errors(json, view.errors);
  add_streams(json, view.streams);
  add_budget(json, view);
  return json.take();
}

std::string message_to_json(std::string_view message) {
  JsonWriter json;
  json.field("version", kJsonVersion);
  json.field("message", message);
  return json.take();
}

}  // namespace pawl::observe
