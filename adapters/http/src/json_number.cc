#include "json_number.h"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace pawl::http {

namespace {

constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, unsigned point) {
  const auto put = [&](unsigned byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | point >> 6);
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

/// Four hexadecimal digits at `at`; npos-like 0x110000 if they are not there.
unsigned hex4(std::string_view text, std::size_t at) noexcept {
  unsigned value = 0;
  if (at + 4 > text.size()) return 0x110000;
  const auto [end, problem] = std::from_chars(text.data() + at, text.data() + at + 4, value, 16);
  return problem == std::errc{} && end == text.data() + at + 4 ? value : 0x110000;
}

/// The text of a JSON string's inside, escapes undone as far as they make sense.
std::string unescaped(std::string_view raw) {
  std::string out;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 == raw.size()) {
      out.push_back(raw[i]);
      continue;
    }
    const char escape = raw[++i];
    constexpr std::string_view kFrom = "bfnrt", kTo = "\b\f\n\r\t";
    if (const auto known = kFrom.find(escape); known != std::string_view::npos) {
      out.push_back(kTo[known]);
    } else if (escape == 'u') {
      unsigned point = hex4(raw, i + 1);
      if (point > 0xFFFF) continue;
      i += 4;
      const bool pair = point >= 0xD800 && point < 0xDC00 && raw.substr(i + 1).starts_with("\\u");
      if (const unsigned low = pair ? hex4(raw, i + 3) : 0; low >= 0xDC00 && low < 0xE000) {
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        i += 6;
      }
      append_utf8(out, point);
    } else {
      out.push_back(escape);
    }
  }
  return out;
}

bool same_key(std::string_view raw, const std::string& name) {
  return raw.find('\\') == std::string_view::npos ? raw == name : unescaped(raw) == name;
}

/// Reads on through a text.
class Scan {
 public:
  explicit Scan(std::string_view text) noexcept : rest_(text) {}

  [[nodiscard]] char peek() noexcept {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool take(char wanted) noexcept {
    if (peek() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  /// A string's inside, as it stands; nullopt: there is no whole string.
  [[nodiscard]] std::optional<std::string_view> string() noexcept {
    if (!take('"')) return std::nullopt;
    for (std::size_t at = rest_.find_first_of("\"\\"); at < rest_.size(); at = rest_.find_first_of("\"\\", at)) {
      if (rest_[at] == '\\') {
        at += 2;
        continue;
      }
      const std::string_view inside = rest_.substr(0, at);
      rest_.remove_prefix(at + 1);
      return inside;
    }
    return std::nullopt;
  }
  /// Passes a value by, however deep; false at the end of the text.
  bool skip() noexcept {
    std::size_t depth = 0;
    do {
      const char c = peek();
      if (c == '\0') return false;
      if (c == '"') {
        if (!string()) return false;
      } else if (c == '{' || c == '[') {
        ++depth;
        rest_.remove_prefix(1);
      } else if (c == '}' || c == ']') {
        if (depth == 0) return false;
        --depth;
        rest_.remove_prefix(1);
      } else if (depth > 0) {
        rest_.remove_prefix(std::max<std::size_t>(1, std::min(rest_.find_first_of("\"{}[]"), rest_.size())));
      } else {
        rest_.remove_prefix(std::max<std::size_t>(1, std::min(rest_.find_first_of(",}]"), rest_.size())));
      }
    } while (depth > 0);
    return true;
  }
  [[nodiscard]] std::optional<std::uint64_t> number() noexcept {
    if (!is_digit(peek())) return std::nullopt;
    std::uint64_t value = 0;
    const char* const end = rest_.data() + rest_.size();
    const auto [rest, problem] = std::from_chars(rest_.data(), end, value);
    if (problem != std::errc{}) return std::nullopt;
    if (rest == end || (*rest != '.' && *rest != 'e' && *rest != 'E')) return value;
    double real = 0;
    if (std::from_chars(rest_.data(), end, real).ec != std::errc{} || real >= 0x1p64) return std::nullopt;
    return static_cast<std::uint64_t>(real);
  }

  /// Goes to the value of that name, or of that position in an array.
  [[nodiscard]] bool enter(const std::string& name) {
    if (take('[')) {
      std::size_t position = 0;
      const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), position);
      if (problem != std::errc{} || end != name.data() + name.size()) return false;
      for (; position > 0; --position)
        if (peek() == ']' || !skip() || !take(',')) return false;
      return peek() != ']';
    }
    if (!take('{')) return false;
    while (const auto found = string()) {
      if (!take(':')) return false;
      if (same_key(*found, name)) return true;
      if (!skip() || !take(',')) return false;
    }
    return false;
  }

 private:
  std::string_view rest_;
};

}  // namespace

JsonNumber::JsonNumber(std::string_view pointer) {
  for (std::size_t at = 0; at < pointer.size(); ++at) {
    if (pointer[at] == '/') {
      names_.emplace_back();
    } else if (pointer[at] == '~') {
      names_.back() += pointer[++at] == '0' ? '~' : '/';
    } else {
      names_.back() += pointer[at];
    }
  }
}

std::string JsonNumber::pointer_fault(std::string_view pointer) {
  if (!pointer.starts_with('/')) return "a JSON pointer begins with '/', such as /usage/total_tokens";
  for (std::size_t at = pointer.find('~'); at != std::string_view::npos; at = pointer.find('~', at + 1)) {
    if (at + 1 == pointer.size() || (pointer[at + 1] != '0' && pointer[at + 1] != '1'))
      return "in a JSON pointer '~' is written ~0, and '/' within a name ~1";
  }
  return {};
}

std::optional<std::uint64_t> JsonNumber::find(std::string_view json) const noexcept {
  Scan scan(json);
  for (const std::string& name : names_)
    if (!scan.enter(name)) return std::nullopt;
  return scan.number();
}

}  // namespace pawl::http
