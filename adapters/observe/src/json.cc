#include <array>
#include <charconv>
#include <cmath>

#include <pawl/observe.h>

#include "json_writer.h"
#include "text.h"

namespace pawl::observe {

namespace {

constexpr std::uint64_t kJsonVersion = 1;

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
  json.field("eta_s", view.eta ? std::optional(static_cast<std::uint64_t>(view.eta->count())) : std::nullopt);
  json.begin("latency_ms");
  json.field("p50", view.latency.p50_ms);
  json.field("p90", view.latency.p90_ms);
  json.field("p99", view.latency.p99_ms);
  json.field("p999", view.latency.p999_ms);
  json.field("max", view.latency.max_ms);
  json.end();
  json.begin("input_bytes");
  json.field("read", view.bytes_read);
  json.field("total", view.bytes_total);
  json.end();
  json.field("note", view.note);
  return json.take();
}

std::string message_to_json(std::string_view message) {
  JsonWriter json;
  json.field("version", kJsonVersion);
  json.field("message", message);
  return json.take();
}

}  // namespace pawl::observe
