#include "json_text.h"

#include <simdjson.h>

#include <bitset>
#include <cstdint>
#include <cstring>

#include "hex.h"

namespace pawl::git {
namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighs = 0x8080808080808080;

// True if one of eight bytes is a quote, a backslash or a control character. Looks for zero bytes after exclusive-or
// (as in "Bit Twiddling Hacks": exact about whether there is one), and for bytes below 0x20.
bool has_special(const char* eight) noexcept {
  std::uint64_t word;
  std::memcpy(&word, eight, sizeof word);
  const auto zero = [](std::uint64_t v) { return (v - kOnes) & ~v & kHighs; };
  const std::uint64_t control = (word - kOnes * 0x20) & ~word & kHighs;
  return (zero(word ^ (kOnes * '"')) | zero(word ^ (kOnes * '\\')) | control) != 0;
}

bool is_special(char c) noexcept { return c == '"' || c == '\\' || static_cast<std::uint8_t>(c) < 0x20; }

// First special byte at or after `from`, or the end.
std::size_t find_special(std::string_view text, std::size_t from) noexcept {
  while (from + 8 <= text.size() && !has_special(text.data() + from)) from += 8;
  while (from < text.size() && !is_special(text[from])) ++from;
  return from;
}

void append_escape(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  out += "\\u00";
  out += kLowerHex[static_cast<std::uint8_t>(c) >> 4];
  out += kLowerHex[static_cast<std::uint8_t>(c) & 15];
}

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Walks over one value. Each member eats what it names and says whether it was there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : text_(text) {}

  bool whole_value() noexcept {
    do {
      // A value is due here.
      switch (peek()) {
        case '{':
        case '[':
          if (!open()) return false;
          if (opened_) continue;
          break;
        case '"':
          if (!string()) return false;
          break;
        case 't':
          if (!word("true")) return false;
          break;
        case 'f':
          if (!word("false")) return false;
          break;
        case 'n':
          if (!word("null")) return false;
          break;
        default:
          if (!number()) return false;
      }
      // A value has ended: close what ends with it, up to the next comma.
      if (!close()) return false;
    } while (depth_ != 0);
    return at_ == text_.size();
  }

 private:
  char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool eat(char c) noexcept {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void space() noexcept {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool word(std::string_view expected) noexcept {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }

  // "{" or "[": an empty one is eaten whole, otherwise `opened_` says that its first value is due.
  bool open() noexcept {
    if (depth_ == kMaxJsonDepth) return false;
    const bool object = text_[at_++] == '{';
    space();
    opened_ = !eat(object ? '}' : ']');
    if (!opened_) return true;
    is_object_[static_cast<std::size_t>(depth_++)] = object;
    return !object || name();
  }

  bool close() noexcept {
    while (depth_ != 0) {
      const bool object = is_object_[static_cast<std::size_t>(depth_ - 1)];
      space();
      if (eat(',')) {
        space();
        return !object || name();
      }
      if (!eat(object ? '}' : ']')) return false;
      --depth_;
    }
    return true;
  }

  bool name() noexcept {
    if (!string()) return false;
    space();
    if (!eat(':')) return false;
    space();
    return true;
  }

  bool string() noexcept {
    if (!eat('"')) return false;
    for (;;) {
      at_ = find_special(text_, at_);
      if (at_ == text_.size()) return false;
      const char c = text_[at_++];
      if (c == '"') return true;
      if (c != '\\' || !escape()) return false;
    }
  }

  bool escape() noexcept {
    constexpr std::string_view kSingle = "\"\\/bfnrt";
    const char c = peek();
    ++at_;
    if (c == '\0') return false;
    if (kSingle.find(c) != std::string_view::npos) return true;
    if (c != 'u') return false;
    std::uint32_t unit = 0;
    if (!code_unit(unit) || (unit >= 0xdc00 && unit <= 0xdfff)) return false;
    if (unit < 0xd800 || unit > 0xdbff) return true;
    // Half a character: parsers refuse it or make something up, so the other half must follow.
    return eat('\\') && eat('u') && code_unit(unit) && unit >= 0xdc00 && unit <= 0xdfff;
  }

  bool code_unit(std::uint32_t& unit) noexcept {
    unit = 0;
    for (int digit = 0; digit < 4; ++digit, ++at_) {
      const int value = hex_value(peek());
      if (value < 0) return false;
      unit = unit * 16 + static_cast<std::uint32_t>(value);
    }
    return true;
  }

  bool digits() noexcept {
    const std::size_t begin = at_;
    while (is_digit(peek())) ++at_;
    return at_ != begin;
  }

  bool number() noexcept {
    eat('-');
    if (!eat('0') && !digits()) return false;
    if (eat('.') && !digits()) return false;
    if (eat('e') || eat('E')) {
      if (!eat('+')) eat('-');
      return digits();
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool opened_ = false;
  std::bitset<kMaxJsonDepth> is_object_;
};

}  // namespace

bool is_utf8(std::string_view bytes) noexcept { return simdjson::validate_utf8(bytes); }

void append_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t done = 0;
  for (;;) {
    const std::size_t special = find_special(text, done);
    out.append(text, done, special - done);
    if (special == text.size()) break;
    append_escape(out, text[special]);
    done = special + 1;
  }
  out += '"';
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool is_json(std::string_view text) noexcept { return Scanner(text).whole_value(); }

}  // namespace pawl::git
