#include "record.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <optional>

#include <pawl/git.h>

#include "base64.h"
#include "hex.h"
#include "json_text.h"

namespace pawl::git {
namespace {

// ---- writing ---------------------------------------------------------------------------------------------------

template <class Number>
void append_number(std::string& out, Number number) {
  std::array<char, 24> digits;
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

// "name": "text", and if need be "name_encoding": "base64" after it.
void append_text(std::string& out, std::string_view name, std::string_view text, std::string_view separator) {
  out += '"';
  out += name;
  out += "\": ";
  if (is_utf8(text)) {
    append_string(out, text);
    return;
  }
  out += '"';
  append_base64(out, text);
  out += '"';
  out += separator;
  out += '"';
  out += name;
  out += "_encoding\": \"base64\"";
}

bool stands_as_it_came(std::string_view body) noexcept {
  return !body.empty() && body.front() != '"' && body != "null" && is_json(body);
}

void append_body(std::string& out, std::string_view body) {
  if (is_utf8(body)) {
    if (const std::string_view json = trimmed(body); stands_as_it_came(json)) {
      out += "\"body\": ";
      out += json;
      return;
    }
  }
  append_text(out, "body", body, ", ");
}

void append_headers(std::string& out, const std::vector<std::string>& headers) {
  const bool text = std::all_of(headers.begin(), headers.end(), [](const auto& header) { return is_utf8(header); });
  out += "\"headers\": [";
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (i != 0) out += ", ";
    if (text) {
      append_string(out, headers[i]);
    } else {
      out += '"';
      append_base64(out, headers[i]);
      out += '"';
    }
  }
  out += text ? "]" : "], \"headers_encoding\": \"base64\"";
}

void append_request(std::string& out, const Request& request) {
  out += "  \"request\": {";
  append_text(out, "method", request.method, ", ");
  out += ", ";
  append_text(out, "url", request.url, ", ");
  if (!request.content_type.empty()) {
    out += ", ";
    append_text(out, "content_type", request.content_type, ", ");
  }
  if (!request.headers.empty()) {
    out += ", ";
    append_headers(out, request.headers);
  }
  out += ", \"digest\": \"";
  append_hex(out, request.digest);
  out += "\", ";
  if (request.body.empty()) {
    out += "\"body\": null";
  } else {
    append_body(out, request.body);
  }
  out += "}\n";
}

void append_response(std::string& out, const Outcome& outcome) {
  out += "  \"response\": ";
  if (outcome.kind != Outcome::Kind::answered) {
    out += "null,\n  \"error\": {";
    append_text(out, "code", outcome.error_code, ", ");
    out += ", ";
    append_text(out, "message", outcome.error_message, ", ");
    out += "},\n";
    return;
  }
  out += "{\"status_code\": ";
  append_number(out, outcome.status_code);
  out += ", ";
  append_text(out, "request_id", outcome.request_id, ", ");
  out += ", ";
  append_body(out, outcome.body);
  out += "},\n  \"error\": null,\n";
}

// RFC 3339, UTC, milliseconds.
void append_time(std::string& out, std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto millis = std::chrono::floor<std::chrono::milliseconds>(time - whole).count();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(whole);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> text;
  const int size =
      std::snprintf(text.data(), text.size(), "\"%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ\"", 1900LL + utc.tm_year,
                    utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(millis));
  out.append(text.data(), static_cast<std::size_t>(size));
}

// ---- reading ---------------------------------------------------------------------------------------------------

namespace ondemand = simdjson::ondemand;

std::unexpected<Error> bad(std::string_view what) {
  return failure(ErrorCode::repository, "not a record: " + std::string(what));
}

// The fields as they stand; they are put together at the end, because people may have sorted them.
struct Fields {
  std::optional<TaskId> task_id;
  std::optional<std::string> custom_id, stream, custom_id_encoding, stream_encoding;
  std::optional<std::uint64_t> position;
  std::optional<std::array<std::uint8_t, 16>> digest;
  bool response_seen = false;
  bool success = false;
};

bool read_text(ondemand::value value, std::optional<std::string>& text) {
  std::string_view view;
  if (value.get_string().get(view) != simdjson::SUCCESS) return false;
  text.emplace(view);
  return true;
}

bool read_response(ondemand::value value, Fields& fields) {
  ondemand::json_type type;
  if (value.type().get(type) != simdjson::SUCCESS) return false;
  if (type == ondemand::json_type::null) {
    // get(), never a conversion: those throw when the word only begins like null.
    return value.is_null().get(fields.response_seen) == simdjson::SUCCESS && fields.response_seen;
  }
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return false;
  for (auto member : object) {
    std::string_view key;
    if (member.unescaped_key().get(key) != simdjson::SUCCESS) return false;
    if (key != "status_code") continue;
    std::uint64_t status = 0;
    if (member.value().get_uint64().get(status) != simdjson::SUCCESS) return false;
    fields.success = status >= 200 && status < 300;
    fields.response_seen = true;
  }
  return fields.response_seen;
}

bool read_request(ondemand::value value, Fields& fields) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return false;
  for (auto member : object) {
    std::string_view key;
    if (member.unescaped_key().get(key) != simdjson::SUCCESS) return false;
    if (key != "digest") continue;
    std::string_view hex;
    if (member.value().get_string().get(hex) != simdjson::SUCCESS) return false;
    if (!read_hex(hex, fields.digest.emplace())) return false;
  }
  return fields.digest.has_value();
}

// False: the field is one of ours and not as it must be.
bool read_field(std::string_view key, ondemand::value value, Fields& fields) {
  if (key == "custom_id") return read_text(value, fields.custom_id);
  if (key == "custom_id_encoding") return read_text(value, fields.custom_id_encoding);
  if (key == "stream") return read_text(value, fields.stream);
  if (key == "stream_encoding") return read_text(value, fields.stream_encoding);
  if (key == "response") return read_response(value, fields);
  if (key == "request") return read_request(value, fields);
  if (key == "id") {
    std::string_view id;
    if (value.get_string().get(id) != simdjson::SUCCESS) return false;
    fields.task_id = parse_record_id(id);
    return fields.task_id.has_value();
  }
  if (key == "seq") {
    return value.get_uint64().get(fields.position.emplace()) == simdjson::SUCCESS;
  }
  return true;
}

Result<std::string> decoded(std::string_view name, std::optional<std::string>& text,
                            const std::optional<std::string>& encoding) {
  if (!text) return bad(std::string(name) + " is missing");
  if (encoding) {
    if (*encoding != "base64") return bad(std::string(name) + "_encoding is not base64");
    text = decode_base64(*text);
    if (!text) return bad(std::string(name) + " is not base64");
  }
  if (text->empty()) return bad(std::string(name) + " is empty");
  return std::move(*text);
}

Result<ParsedRecord> put_together(Fields& fields) {
  if (!fields.task_id) return bad("id is missing");
  if (!fields.position) return bad("seq is missing");
  if (!fields.digest) return bad("request is missing");
  if (!fields.response_seen) return bad("response is missing");
  ParsedRecord record;
  auto custom_id = decoded("custom_id", fields.custom_id, fields.custom_id_encoding);
  if (!custom_id) return std::unexpected(std::move(custom_id.error()));
  record.custom_id = std::move(*custom_id);
  auto stream = decoded("stream", fields.stream, fields.stream_encoding);
  if (!stream) return std::unexpected(std::move(stream.error()));
  record.stream = std::move(*stream);
  record.task_id = *fields.task_id;
  record.position = *fields.position;
  record.digest = *fields.digest;
  record.success = fields.success;
  return record;
}

Result<ParsedRecord> parse_with(ondemand::parser& parser, std::string_view padded, std::size_t size) {
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(padded.data(), size, padded.size()).get(document) != simdjson::SUCCESS) return bad("not JSON");
  if (document.get_object().get(object) != simdjson::SUCCESS) return bad("not a JSON object");
  Fields fields;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return bad("not JSON");
    const std::string name(key);  // the parser's own copy goes when the value is read
    if (field.value().get(value) != simdjson::SUCCESS) return bad(name + " has no value");
    if (!read_field(name, value, fields)) return bad(name + " is not as it must be");
  }
  const char* rest = nullptr;
  if (document.current_location().get(rest) == simdjson::SUCCESS) return bad("something follows the object");
  return put_together(fields);
}

}  // namespace

void render_record(const Request& request, const Outcome& outcome, std::string& out) {
  out.clear();
  out.reserve(1024 + request.bytes() + outcome.body.size());
  out += "{\n  ";
  append_text(out, "id", record_id(request.task_id), ",\n  ");
  out += ",\n  ";
  append_text(out, "custom_id", request.id, ",\n  ");
  out += ",\n";
  append_response(out, outcome);
  out += "  ";
  append_text(out, "stream", request.stream, ",\n  ");
  out += ",\n  \"seq\": ";
  append_number(out, request.position);
  out += ",\n  \"attempts\": ";
  append_number(out, outcome.attempts);
  out += ",\n  \"started\": ";
  append_time(out, outcome.started);
  out += ",\n  \"duration_ms\": ";
  append_number(out, outcome.duration.count());
  out += ",\n";
  append_request(out, request);
  out += "}\n";
}

Result<ParsedRecord> parse_record(std::string_view json) {
  // Both keep their memory for the next record, which is as a rule of the same size, but not that of a huge one.
  thread_local ondemand::parser parser;
  thread_local std::string padded;
  constexpr std::size_t kKeep = 1u << 20;
  padded.assign(json);
  padded.append(simdjson::SIMDJSON_PADDING, '\0');
  auto record = parse_with(parser, padded, json.size());
  if (padded.size() > kKeep) {
    std::string().swap(padded);
    parser = ondemand::parser();
  }
  return record;
}

}  // namespace pawl::git
