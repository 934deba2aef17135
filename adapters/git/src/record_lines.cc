#include "record_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <vector>

#include <pawl/git.h>
#include <pawl/git_records.h>

#include "base64.h"
#include "json_text.h"

namespace pawl::git {
namespace {

namespace ondemand = simdjson::ondemand;

/// A document with the bytes behind it that simdjson wants. One a thread; the parser keeps its memory.
class Document {
 public:
  explicit Document(std::string_view json) : padded_(json) { padded_.append(simdjson::SIMDJSON_PADDING, '\0'); }
  [[nodiscard]] bool object(ondemand::object& out) {
    return parser_.iterate(padded_.data(), padded_.size() - simdjson::SIMDJSON_PADDING, padded_.size())
                   .get(document_) == simdjson::SUCCESS &&
           document_.get_object().get(out) == simdjson::SUCCESS;
  }

 private:
  std::string padded_;
  ondemand::parser parser_;
  ondemand::document document_;
};

/// The value's own bytes.
bool raw_of(ondemand::value value, std::string_view& raw) {
  raw = value.raw_json_token();
  if (raw.starts_with('{')) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS || object.raw_json().get(raw) != simdjson::SUCCESS)
      return false;
  } else if (raw.starts_with('[')) {
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS || array.raw_json().get(raw) != simdjson::SUCCESS)
      return false;
  }
  raw = trimmed(raw);
  return true;
}

bool text_of(ondemand::value value, std::string& text) {
  std::string_view view;
  if (value.get_string().get(view) != simdjson::SUCCESS) return false;
  text.assign(view);
  return true;
}

bool decode_if(bool encoded, std::string& text) {
  if (!encoded) return true;
  auto decoded = decode_base64(text);
  if (!decoded) return false;
  text = std::move(*decoded);
  return true;
}

bool append_minified(std::string& out, std::string_view raw) {
  const std::size_t before = out.size();
  out.resize(before + raw.size());
  std::size_t size = 0;
  if (simdjson::minify(raw.data(), raw.size(), out.data() + before, size) != simdjson::SUCCESS) return false;
  out.resize(before + size);
  return true;
}

/// The fields of a record's request; put together at the end, because a person may have sorted them.
struct Stored {
  bool has_text_body = false;
  bool body_encoded = false, method_encoded = false, url_encoded = false, type_encoded = false, headers_encoded = false;
};

bool read_headers(ondemand::value value, std::vector<std::string>& headers) {
  ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return false;
  for (auto element : array) {
    std::string_view text;
    if (element.get_string().get(text) != simdjson::SUCCESS) return false;
    headers.emplace_back(text);
  }
  return true;
}

bool read_body(ondemand::value value, std::string& body) {
  std::string_view raw;
  if (value.raw_json_token().starts_with('"')) return text_of(value, body);
  if (!raw_of(value, raw)) return false;
  if (raw == "null")
    body.clear();
  else
    body.assign(raw);
  return true;
}

bool read_member(std::string_view key, ondemand::value value, Request& request, Stored& stored) {
  if (key == "method") return text_of(value, request.method);
  if (key == "url") return text_of(value, request.url);
  if (key == "content_type") return text_of(value, request.content_type);
  if (key == "headers") return read_headers(value, request.headers);
  if (key == "body") return read_body(value, request.body);
  if (key == "body_encoding") return stored.body_encoded = true;
  if (key == "method_encoding") return stored.method_encoded = true;
  if (key == "url_encoding") return stored.url_encoded = true;
  if (key == "content_type_encoding") return stored.type_encoded = true;
  if (key == "headers_encoding") return stored.headers_encoded = true;
  return true;
}

bool read_members(ondemand::value value, Request& request) {
  ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return false;
  Stored stored;
  for (auto member : object) {
    std::string_view key;
    ondemand::value inner;
    if (member.unescaped_key().get(key) != simdjson::SUCCESS) return false;
    const std::string name(key);
    if (member.value().get(inner) != simdjson::SUCCESS) return false;
    if (!read_member(name, inner, request, stored)) return false;
  }
  return !request.method.empty() && !request.url.empty() && decode_if(stored.body_encoded, request.body) &&
         decode_if(stored.method_encoded, request.method) && decode_if(stored.url_encoded, request.url) &&
         decode_if(stored.type_encoded, request.content_type) &&
         std::ranges::all_of(request.headers,
                             [&](std::string& header) { return decode_if(stored.headers_encoded, header); });
}

void append_name(std::string& out, std::string_view field, std::string_view name) {
  out += '"';
  out += field;
  out += "\":";
  if (is_utf8(name)) {
    append_string(out, name);
    return;
  }
  out += '"';
  append_base64(out, name);
  out += "\",\"";
  out += field;
  out += "_encoding\":\"base64\"";
}

void append_headers(std::string& out, const Request& request) {
  // What a reader of batch lines takes the body for if no header says it.
  const std::string_view implied = request.body.empty() ? "" : "application/json";
  std::string fields;
  const auto add = [&fields](std::string_view name, std::string_view value) {
    if (!fields.empty()) fields += ',';
    append_string(fields, name);
    fields += ':';
    append_string(fields, value);
  };
  if (request.content_type != implied) add("Content-Type", request.content_type);
  for (const std::string& header : request.headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos) continue;
    std::string_view value = std::string_view(header).substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    add(std::string_view(header).substr(0, colon), value);
  }
  if (!fields.empty()) out += ",\"headers\":{" + fields + "}";
}

void append_body(std::string& out, const std::string& body, bool may_be_missing) {
  if (body.empty() && may_be_missing) {
    out += ",\"body\":null";
  } else if (!is_utf8(body)) {
    out += ",\"body\":\"";
    append_base64(out, body);
    out += "\",\"body_encoding\":\"base64\"";
  } else if (!body.empty() && body != "null" && body.find_first_of("\r\n") == std::string::npos &&
             trimmed(body).size() == body.size() && is_json(body)) {
    out += ",\"body\":" + body;
  } else {
    out += ",\"body\":";
    append_string(out, body);
    out += ",\"body_encoding\":\"text\"";
  }
}

}  // namespace

bool render_output_line(std::string_view record, std::string& out) {
  Document document(record);
  ondemand::object object;
  if (!document.object(object)) return false;
  std::string id, custom_id, encoding, response, error;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return false;
    const std::string name(key);
    std::string* wanted = name == "id"                   ? &id
                          : name == "custom_id"          ? &custom_id
                          : name == "custom_id_encoding" ? &encoding
                          : name == "response"           ? &response
                          : name == "error"              ? &error
                                                         : nullptr;
    if (field.value().get(value) != simdjson::SUCCESS) return false;
    if (wanted == nullptr) continue;
    std::string_view raw;
    wanted->clear();
    if (!raw_of(value, raw) || !append_minified(*wanted, raw)) return false;
  }
  if (id.empty() || custom_id.empty() || response.empty()) return false;
  out = "{\"id\":" + id + ",\"custom_id\":" + custom_id;
  if (!encoding.empty()) out += ",\"custom_id_encoding\":" + encoding;
  out += ",\"response\":" + response + ",\"error\":" + (error.empty() ? "null" : error) + "}";
  return true;
}

bool read_stored_request(std::string_view record, Request& request) {
  request.method.clear();
  request.url.clear();
  request.content_type.clear();
  request.headers.clear();
  request.body.clear();
  Document document(record);
  ondemand::object object;
  if (!document.object(object)) return false;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return false;
    const bool wanted = key == "request";
    if (field.value().get(value) != simdjson::SUCCESS) return false;
    if (wanted) return read_members(value, request);
  }
  return false;
}

std::string error_line(const Request& request, std::string_view code, std::string_view message) {
  std::string line = "{\"id\":";
  append_string(line, record_id(request.task_id));
  line += ',';
  append_name(line, "custom_id", request.id);
  line += ",\"response\":null,\"error\":{\"code\":";
  append_string(line, code);
  line += ",\"message\":";
  append_string(line, message);
  return line + "}}";
}

std::string input_line(const Request& request) {
  std::string line = "{";
  append_name(line, "custom_id", request.id);
  line += ',';
  append_name(line, "stream", request.stream);
  line += ",\"method\":";
  append_string(line, request.method);
  line += ",\"url\":";
  append_string(line, request.url);
  append_headers(line, request);
  append_body(line, request.body, request.method == "GET" || request.method == "DELETE");
  return line + "}";
}

}  // namespace pawl::git
