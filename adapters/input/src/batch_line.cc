#include "batch_line.h"

#include <charconv>
#include <utility>

#include "base64.h"
#include "text.h"

namespace pawl::input {
namespace {

std::vector<std::string> split_pointer(std::string_view pointer) {
  std::vector<std::string> tokens;
  for (std::size_t at = 0; at < pointer.size(); ++at) {
    if (pointer[at] == '/') {
      tokens.emplace_back();
    } else if (pointer[at] == '~') {
      tokens.back() += pointer[++at] == '0' ? '~' : '/';
    } else {
      tokens.back() += pointer[at];
    }
  }
  return tokens;
}

/// The member that a token of a pointer names; array positions are written without leading zeros (RFC 6901 section 4).
const JsonMember* find_token(const JsonMembers& members, char bracket, const std::string& token) {
  if (bracket == '{') return members.find(token);
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  const bool is_index = error == std::errc{} && end == token.data() + token.size() && (token == "0" || token[0] != '0');
  return is_index && index < members.members().size() ? &members.members()[index] : nullptr;
}

std::string shown(const JsonMember& member) {
  return member.is_string() ? in_quotes(member.has_text ? member.text : member.raw) : std::string(member.kind());
}

std::string_view header_name(std::string_view header) { return header.substr(0, header.find(':')); }

}  // namespace

void put_header(std::vector<std::string>& headers, std::size_t& used, std::string_view name, std::string_view value) {
  if (used == headers.size()) headers.emplace_back();
  headers[used].assign(name).append(": ").append(value);
  ++used;
}

BatchLine::BatchLine(const Options& options, std::string_view default_stream)
    : base_(options.base_url.empty() ? UrlBase() : UrlBase(options.base_url)),
      stream_by_(options.stream_by),
      pointer_(split_pointer(options.stream_by)),
      default_stream_(default_stream),
      content_type_(options.content_type.empty() ? "application/json" : options.content_type),
      method_(options.method.empty() ? "POST" : options.method),
      headers_(options.headers) {
  if (!options.url.empty() && !absolute_url(options.url, url_)) url_.clear();
}

Parsed<void> BatchLine::split_line(std::string_view line) {
  line_ = line;
  const std::string_view text = trimmed(line);
  if (!text.starts_with('{')) {
    if (auto fault = find_text_fault(line)) return std::unexpected(std::move(*fault));
    return fault_at(offset_in(line, text), "expected a JSON object, got " + named_byte(text.front()));
  }
  auto split = fields_.split(text, Trust::unchecked);
  if (!split && split.error().offset != Fault::kNowhere) split.error().offset += offset_in(line, text);
  if (!split) return split;
  if (const JsonMember* twice = fields_.find_duplicate()) {
    return fault_in_field(offset_in(line, twice->raw), twice->name, "one field of this name", "another");
  }
  return {};
}

struct BatchLine::Fields {
  const JsonMember *custom_id = nullptr, *method = nullptr, *url = nullptr, *body = nullptr, *stream = nullptr,
                   *headers = nullptr;
  const JsonMember *custom_id_encoding = nullptr, *stream_encoding = nullptr, *body_encoding = nullptr;

  explicit Fields(std::span<const JsonMember> members) noexcept {
    for (const JsonMember& member : members) {
      if (member.name == "custom_id") custom_id = &member;
      if (member.name == "method") method = &member;
      if (member.name == "url") url = &member;
      if (member.name == "body") body = &member;
      if (member.name == "stream") stream = &member;
      if (member.name == "headers") headers = &member;
      if (member.name == "custom_id_encoding") custom_id_encoding = &member;
      if (member.name == "stream_encoding") stream_encoding = &member;
      if (member.name == "body_encoding") body_encoding = &member;
    }
  }
};

Parsed<void> BatchLine::parse(std::string_view line, Request& request) {
  if (auto split = split_line(line); !split) return split;
  const Fields fields(fields_.members());
  if (auto read = read_name(fields.custom_id, "custom_id", fields.custom_id_encoding, request.id); !read) return read;
  if (auto read = read_target(fields, request); !read) return read;
  if (auto read = read_body(fields.body, fields.body_encoding, request); !read) return read;
  if (auto read = read_headers(fields.headers, request); !read) return read;
  if (fields.stream != nullptr) return read_name(fields.stream, "stream", fields.stream_encoding, request.stream);
  if (!pointer_.empty()) return read_pointer(request.stream);
  request.stream.assign(default_stream_);
  return {};
}

/// Method and URL: the line's own, or for a line without URL those of the options.
Parsed<void> BatchLine::read_target(const Fields& fields, Request& request) const {
  const bool bare = fields.url == nullptr && !url_.empty();
  if (bare && fields.method == nullptr) {
    request.method.assign(method_);
  } else if (fields.method == nullptr && fields_.find("response") != nullptr) {
    return fault_at(Fault::kNowhere, "expected a batch input line, got an output line, which has a response");
  } else if (auto read = read_text(fields.method, "method", request.method); !read) {
    return read;
  } else if (!is_method(request.method)) {
    return fault_in_field(offset_in(line_, fields.method->raw), "method", kMethods, shown(*fields.method));
  }
  if (bare) {
    request.url.assign(url_);
    return {};
  }
  if (auto read = read_text(fields.url, "url", request.url); !read) return read;
  if (auto joined = absolute_url(fields.url->text, request.url); !joined) {
    return fault_in_field(offset_in(line_, fields.url->raw), "url", joined.error(), shown_url(fields.url->text));
  }
  return {};
}

Parsed<void> BatchLine::read_stream(std::string_view line, std::string& stream) {
  if (pointer_.empty()) {
    stream.assign(default_stream_);
    return {};
  }
  if (auto split = split_line(line); !split) return split;
  return read_pointer(stream);
}

/// A string that is not empty and holds no NUL: ids, streams and URLs become names of files and C strings.
Parsed<void> BatchLine::read_text(const JsonMember* member, std::string_view name, std::string& out) const {
  if (member == nullptr) return fault_in_field(Fault::kNowhere, name, "a string", "nothing");
  const std::size_t offset = offset_in(line_, member->raw);
  if (!member->is_string()) return fault_in_field(offset, name, "a string", member->kind());
  if (!member->has_text) return fault_in_field(offset, name, "a string of whole characters", "a lone surrogate");
  if (member->text.empty()) return fault_in_field(offset, name, "a string that is not empty", "\"\"");
  if (member->text.find('\0') != std::string_view::npos) {
    return fault_in_field(offset, name, "a string without NUL", shown(*member));
  }
  out.assign(member->text);
  return {};
}

Parsed<void> BatchLine::read_name(const JsonMember* member, std::string_view name, const JsonMember* encoding,
                                  std::string& out) const {
  auto read = read_text(member, name, out);
  if (!read || encoding == nullptr) return read;
  const std::string field = std::string(name) + "_encoding";
  if (!encoding->has_text || encoding->text != "base64") {
    return fault_in_field(offset_in(line_, encoding->raw), field, "\"base64\"", shown(*encoding));
  }
  if (!decode_base64(member->text, out) || out.empty() || out.find('\0') != std::string::npos) {
    return fault_in_field(offset_in(line_, member->raw), name, "base64 of a name without NUL", shown(*member));
  }
  return {};
}

std::expected<void, std::string> BatchLine::absolute_url(std::string_view url, std::string& out) const {
  if (!url.starts_with('/')) {
    if (!has_http_scheme(url)) return std::unexpected("an http or https URL, or a path that begins with '/'");
    out.assign(url);
  } else if (base_.empty()) {
    return std::unexpected("an absolute URL (no base URL is set to join a path to)");
  } else {
    base_.join(url, out);
  }
  if (auto fault = find_url_fault(out)) return std::unexpected(std::move(*fault));
  return {};
}

/// A body that is not JSON travels as a string: itself, or base64.
Parsed<void> BatchLine::decode_body(const JsonMember* member, const JsonMember& encoding, std::string& out) const {
  const bool base64 = encoding.has_text && encoding.text == "base64";
  if (!base64 && !(encoding.has_text && encoding.text == "text")) {
    return fault_in_field(offset_in(line_, encoding.raw), "body_encoding", "\"text\" or \"base64\"", shown(encoding));
  }
  if (member == nullptr || !member->has_text) {
    return fault_in_field(member != nullptr ? offset_in(line_, member->raw) : Fault::kNowhere, "body",
                          "a string, as body_encoding says", member != nullptr ? member->kind() : "nothing");
  }
  if (!base64) {
    out.assign(member->text);
  } else if (!decode_base64(member->text, out)) {
    return fault_in_field(offset_in(line_, member->raw), "body", "base64", shown(*member));
  }
  return {};
}

Parsed<void> BatchLine::read_body(const JsonMember* member, const JsonMember* encoding, Request& request) const {
  if (encoding != nullptr) {
    if (auto decoded = decode_body(member, *encoding, request.body); !decoded) return decoded;
    request.content_type.assign(request.body.empty() ? std::string_view() : content_type_);
    return {};
  }
  const bool optional = request.method == "GET" || request.method == "DELETE";
  if (member == nullptr && !optional) {
    return fault_in_field(Fault::kNowhere, "body", "a JSON value for method " + request.method, "nothing");
  }
  if (member == nullptr || (optional && member->first() == 'n')) {
    request.body.clear();
    request.content_type.clear();
  } else {
    request.body.assign(member->raw);
    request.content_type.assign(content_type_);
  }
  return {};
}

Parsed<void> BatchLine::read_headers(const JsonMember* member, Request& request) {
  std::size_t used = 0;
  if (member != nullptr) {
    if (member->first() != '{') {
      return fault_in_field(offset_in(line_, member->raw), "headers", "an object of strings", member->kind());
    }
    if (auto split = inner_.split(member->raw, Trust::checked); !split) return split;
    if (const JsonMember* twice = inner_.find_duplicate()) {
      return fault_in_field(offset_in(line_, twice->raw), twice->name, "one header of this name", "another");
    }
    for (const JsonMember& header : inner_.members()) {
      const std::size_t offset = offset_in(line_, header.raw);
      if (!is_header_name(header.name)) {
        return fault_in_field(offset, "headers", "header names of letters, digits and '-'", in_quotes(header.name));
      }
      const std::string where = "headers." + std::string(header.name);
      if (names_a_secret(header.name)) {
        return fault_in_field(offset, where, "no header with credentials (they would be kept in the record)", "one");
      }
      if (!header.has_text) return fault_in_field(offset, where, "a string", header.kind());
      if (!is_header_value(header.text)) {
        return fault_in_field(offset, where, "a string without CR, LF and NUL", shown(header));
      }
      if (equal_ignoring_case(header.name, "Content-Type")) {
        request.content_type.assign(header.text);
      } else {
        put_header(request.headers, used, header.name, header.text);
      }
    }
  }
  const std::size_t own = used;
  for (const std::string& header : headers_) {
    bool replaced = false;
    for (std::size_t i = 0; i < own; ++i) {
      replaced = replaced || equal_ignoring_case(header_name(request.headers[i]), header_name(header));
    }
    if (replaced) continue;
    if (used == request.headers.size()) request.headers.emplace_back();
    request.headers[used++].assign(header);
  }
  request.headers.resize(used);
  return {};
}

Parsed<void> BatchLine::read_pointer(std::string& stream) {
  const std::string where = "stream-by pointer " + in_quotes(stream_by_) + ": expected ";
  const JsonMember* found = find_token(fields_, '{', pointer_.front());
  for (std::size_t depth = 1; found != nullptr && depth < pointer_.size(); ++depth) {
    const char bracket = found->first();
    if (bracket != '{' && bracket != '[') {
      found = nullptr;
      break;
    }
    if (auto split = inner_.split(found->raw, Trust::checked); !split) return split;
    found = find_token(inner_, bracket, pointer_[depth]);
  }
  if (found == nullptr) return fault_at(Fault::kNowhere, where + "a string, integer or boolean, got nothing");
  const std::size_t offset = offset_in(line_, found->raw);
  const bool integer = (found->first() == '-' || (found->first() >= '0' && found->first() <= '9')) &&
                       found->raw.find_first_of(".eE") == std::string_view::npos;
  if (found->has_text && !found->text.empty() && found->text.find('\0') == std::string_view::npos) {
    stream.assign(found->text);
  } else if (integer || found->first() == 't' || found->first() == 'f') {
    stream.assign(found->raw);
  } else if (found->is_string()) {
    return fault_at(offset, where + "a string that is not empty and without NUL, got " + shown(*found));
  } else {
    return fault_at(offset, where + "a string, integer or boolean, got " + shown(*found));
  }
  return {};
}

}  // namespace pawl::input
