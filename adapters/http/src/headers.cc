#include "headers.h"

#include <algorithm>
#include <array>

#include <pawl/http.h>

namespace pawl::http {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kKeyName = "Idempotency-Key: ";

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool has_name(std::span<const std::string> lines, std::string_view name) noexcept {
  return std::any_of(lines.begin(), lines.end(), [&](const auto& line) { return same_name(header_name(line), name); });
}

bool authenticates(std::string_view name) noexcept {
  return same_name(name, "authorization") || same_name(name, "proxy-authorization") || same_name(name, "cookie") ||
         same_name(name, "host");
}

}  // namespace

std::string_view trim(std::string_view text) noexcept {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view header_name(std::string_view line) noexcept { return line.substr(0, line.find_first_of(":;")); }

bool is_token(std::string_view text) noexcept {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    const char l = lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
  });
}

std::string header_fault(std::string_view line) {
  const std::string_view name = line.substr(0, line.find(':'));
  if (name.size() == line.size()) return "a header is not of the form 'Name: value'";
  if (!is_token(name)) return "a header's name is empty or has a character that names cannot have";
  for (char c : line) {
    if (c == '\r' || c == '\n' || c == '\0') {
      return "the header " + std::string(name) + " has a line break or NUL byte in its value";
    }
  }
  if (same_name(name, "content-length") || same_name(name, "transfer-encoding")) {
    return "the header " + std::string(name) + " follows from the body and cannot be set";
  }
  return {};
}

void append_idempotency_key(const Request& request, std::string& out) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const auto mix = [&hash](std::string_view text) {
    for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  mix(request.stream);
  mix(std::string_view("\0", 1));
  mix(request.id);
  for (std::uint8_t byte : request.digest) {
    out.push_back(kHexDigits[byte >> 4]);
    out.push_back(kHexDigits[byte & 15]);
  }
  out.push_back('-');
  for (int shift = 60; shift >= 0; shift -= 4) out.push_back(kHexDigits[(hash >> shift) & 15]);
}

std::string idempotency_key(const Request& request) {
  std::string key;
  append_idempotency_key(request, key);
  return key;
}

bool has_idempotency_key(const Request& request) noexcept { return has_name(request.headers, "idempotency-key"); }

// libcurl reads "Name:" as "leave it out"; "Name;" sends it without a value.
void format_header(std::string_view line, std::string& out) {
  const std::string_view name = header_name(line);
  const std::string_view value = trim(line.substr(name.size() + 1));
  out.assign(name);
  if (value.empty()) {
    out.push_back(';');
  } else {
    out.append(": ").append(value);
  }
}

std::string& HeaderList::add_line() {
  if (used_ == lines_.size()) lines_.emplace_back();
  return lines_[used_++];
}

void HeaderList::add_common(std::vector<std::string>& lines, std::span<const std::string> stronger,
                            const Request& request, bool typed) {
  for (auto& line : lines) {
    const std::string_view name = header_name(line);
    const bool type = same_name(name, "content-type");
    if ((type && typed) || has_name(request.headers, name) || has_name(stronger, name)) continue;
    has_type_ = has_type_ || type;
    has_key_ = has_key_ || same_name(name, "idempotency-key");
    nodes_.push_back({line.data(), nullptr});
  }
}

void HeaderList::build(CommonHeaders& common, const Request& request, Leg leg, Payload payload) {
  const bool large = payload == Payload::body && request.body.size() > kBodyAskedFor;
  if (form_.plain && request.headers.empty() && form_.leg == leg && form_.payload == payload && form_.large == large &&
      form_.content_type == request.content_type) {
    lines_[0].resize(kKeyName.size());
    append_idempotency_key(request, lines_[0]);  // as long as the last, so it lies where that lay
    return;
  }
  used_ = 0;
  nodes_.clear();
  const bool own = leg == Leg::own_origin;
  const bool typed = !request.content_type.empty() && !has_name(request.headers, "content-type");
  has_type_ = typed;
  has_key_ = has_name(request.headers, "idempotency-key");
  if (own) add_common(common.lines, {}, request, typed);
  add_common(common.basic, own ? std::span<const std::string>(common.lines) : std::span<const std::string>(), request,
             typed);
  if (own && !has_key_) append_idempotency_key(request, add_line().assign(kKeyName));
  if (typed && payload == Payload::body) add_line().assign("Content-Type: ").append(request.content_type);
  for (const auto& line : request.headers) {
    const std::string_view name = header_name(line);
    if (!own && authenticates(name)) continue;
    const bool type = same_name(name, "content-type");
    if (type && payload == Payload::none && !own) continue;
    has_type_ = has_type_ || type;
    format_header(line, add_line());
  }
  // libcurl would call a body without a type a form.
  if (!has_type_ && payload == Payload::body) add_line().assign("Content-Type:");
  if (large) add_line().assign("Expect:");
  for (std::size_t i = 0; i < used_; ++i) nodes_.push_back({lines_[i].data(), nullptr});
  for (std::size_t i = 1; i < nodes_.size(); ++i) nodes_[i - 1].next = &nodes_[i];
  form_.plain = own && !has_key_ && request.headers.empty();
  form_.leg = leg;
  form_.payload = payload;
  form_.large = large;
  form_.content_type = request.content_type;
}

}  // namespace pawl::http
