#include "text.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include <pawl/input.h>

namespace pawl::input {
namespace {

constexpr std::string_view kBlanks = " \t\r";

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// Length of the well-formed UTF-8 sequence at the front of `text`, 0 if there is none (Unicode 15 table 3-7).
std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto continues = [&](std::size_t i) { return (at(i) & 0xc0u) == 0x80u; };
  const unsigned lead = at(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  const unsigned second_min = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned second_max = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (lead < 0xe0 || lead > 0xf4 || at(1) < second_min || at(1) > second_max || !continues(2)) return 0;
  if (lead < 0xf0) return 3;
  return continues(3) ? 4 : 0;
}

}  // namespace

bool is_blank(std::string_view text) noexcept { return text.find_first_not_of(kBlanks) == std::string_view::npos; }

std::string_view trimmed(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return text.substr(0, 0);
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool has_http_scheme(std::string_view text) noexcept {
  return equal_ignoring_case(text.substr(0, 7), "http://") || equal_ignoring_case(text.substr(0, 8), "https://");
}

std::optional<Fault> find_text_fault(std::string_view text) {
  const void* nul = text.empty() ? nullptr : std::memchr(text.data(), 0, text.size());
  if (nul == nullptr && simdjson::validate_utf8(text)) return std::nullopt;
  std::size_t at = 0;
  while (at < text.size() && text[at] != '\0') {
    const std::size_t length = utf8_sequence(text.substr(at));
    if (length == 0) return Fault{at, "expected valid UTF-8, got " + named_byte(text[at])};
    at += length;
  }
  return Fault{at, "expected text, got a NUL byte"};
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  out += '"';
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, copied, at - copied);
    copied = at + 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += "\\u00";
      out += kHexDigits[static_cast<unsigned char>(c) >> 4];
      out += kHexDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  out.append(text, copied);
  out += '"';
}

bool is_header_name(std::string_view text) noexcept {
  const auto token = [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::ranges::all_of(text, token);
}

bool is_header_value(std::string_view text) noexcept {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

bool names_a_secret(std::string_view header_name) noexcept {
  constexpr std::array<std::string_view, 12> kWords = {"apikey", "auth",      "authorization", "cookie",
                                                       "key",    "passwd",    "password",      "credential",
                                                       "secret", "signature", "token",         "credentials"};
  bool secret = false;
  while (!header_name.empty()) {
    const std::string_view word = header_name.substr(0, header_name.find_first_of("-_."));
    if (equal_ignoring_case(word, "idempotency")) return false;
    secret =
        secret || std::ranges::any_of(kWords, [&](std::string_view known) { return equal_ignoring_case(word, known); });
    header_name.remove_prefix(std::min(word.size() + 1, header_name.size()));
  }
  return secret;
}

bool is_method(std::string_view text) noexcept {
  return text == "POST" || text == "GET" || text == "PUT" || text == "PATCH" || text == "DELETE";
}

}  // namespace pawl::input
