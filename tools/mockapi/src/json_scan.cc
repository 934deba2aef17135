#include "json_scan.h"

#include <cstdint>
#include <cstring>

namespace pawl::mockapi {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// How many bytes from `at` on are plain: printable ASCII other than quote and backslash. Looks at eight at a time and
/// may stop early.
std::size_t plain_words(std::string_view text, std::size_t at) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  constexpr std::uint64_t kHighs = 0x8080808080808080u;
  const std::size_t begin = at;
  while (at + 8 <= text.size()) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    const std::uint64_t quote = word ^ (kOnes * '"');
    const std::uint64_t backslash = word ^ (kOnes * '\\');
    // A high bit is set for a byte below 0x20, for a byte that became 0, and (by `word` itself) for one above 0x7f.
    const std::uint64_t special =
        ((word - kOnes * 0x20) | ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash) | word) & kHighs;
    if (special != 0) break;
    at += 8;
  }
  return at - begin;
}

}  // namespace

bool JsonScan::scan(std::string_view text) {
  text_ = text;
  at_ = 0;
  depth_ = 0;
  model_ = content_ = {};
  inputs_.clear();
  skip_blanks();
  is_object_ = peek() == '{';
  bool ended = false;
  while (!ended) {
    bool opened = false;
    if (!scan_value(opened)) return false;
    if (!opened && !close_and_continue(ended)) return false;
  }
  return at_ == text_.size();
}

// One value, or the opening of one: after `[` or `{ "key":` the next value follows at once.
bool JsonScan::scan_value(bool& opened) {
  skip_blanks();
  switch (peek()) {
    case '"': {
      std::string_view raw;
      if (!scan_string(raw)) return false;
      note(raw);
      return true;
    }
    case '{':
    case '[': {
      if (depth_ == kDepthMax) return false;
      const char kind = text_[at_++];
      const std::string_view key = depth_ > 0 && kind == '[' ? frames_[depth_ - 1].key : std::string_view();
      frames_[depth_++] = {kind, key};
      skip_blanks();
      if (take(kind == '{' ? '}' : ']')) {
        --depth_;
        return true;
      }
      opened = true;
      return kind == '[' || scan_key();
    }
    case 't': return scan_word("true");
    case 'f': return scan_word("false");
    case 'n': return scan_word("null");
    default: return scan_number();
  }
}

// What follows a value: ends of what it is in, then a comma (and a key), or the end of the text.
bool JsonScan::close_and_continue(bool& ended) {
  for (;;) {
    skip_blanks();
    if (depth_ == 0) {
      ended = true;
      return true;
    }
    const bool in_object = frames_[depth_ - 1].kind == '{';
    if (take(',')) return !in_object || scan_key();
    if (!take(in_object ? '}' : ']')) return false;
    --depth_;
  }
}

bool JsonScan::scan_key() {
  skip_blanks();
  if (peek() != '"' || !scan_string(frames_[depth_ - 1].key)) return false;
  skip_blanks();
  return take(':');
}

bool JsonScan::scan_string(std::string_view& raw) {
  const std::size_t begin = ++at_;
  while (at_ < text_.size()) {
    at_ += plain_words(text_, at_);
    if (at_ == text_.size()) return false;
    const auto byte = static_cast<unsigned char>(text_[at_]);
    if (byte == '"') {
      raw = text_.substr(begin, at_ - begin);
      ++at_;
      return true;
    }
    if (byte < 0x20) return false;
    if (byte == '\\') {
      if (!scan_escape()) return false;
    } else if (byte < 0x80) {
      ++at_;
    } else if (!scan_utf8()) {
      return false;
    }
  }
  return false;
}

bool JsonScan::scan_escape() {
  ++at_;
  const char kind = peek();
  if (kind != 'u') {
    if (kind == '\0' || std::string_view("\"\\/bfnrt").find(kind) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  ++at_;
  unsigned code = 0;
  if (!scan_hex4(code)) return false;
  if (code < 0xd800 || code > 0xdfff) return true;
  if (code > 0xdbff) return false;
  unsigned low = 0;
  return take('\\') && take('u') && scan_hex4(low) && low >= 0xdc00 && low <= 0xdfff;
}

bool JsonScan::scan_hex4(unsigned& code) {
  for (int i = 0; i < 4; ++i) {
    const char c = peek();
    unsigned digit = 0;
    if (is_digit(c)) {
      digit = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<unsigned>(c - 'A' + 10);
    } else {
      return false;
    }
    code = code * 16 + digit;
    ++at_;
  }
  return true;
}

// One character beyond ASCII, in the well-formed sequences of Unicode's table 3-7.
bool JsonScan::scan_utf8() {
  const auto lead = static_cast<unsigned char>(text_[at_]);
  std::size_t more = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    more = 1;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    more = 2;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    more = 3;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return false;
  }
  if (text_.size() - at_ <= more) return false;
  for (std::size_t i = 1; i <= more; ++i) {
    const auto byte = static_cast<unsigned char>(text_[at_ + i]);
    if (byte < low || byte > high) return false;
    low = 0x80;
    high = 0xbf;
  }
  at_ += more + 1;
  return true;
}

bool JsonScan::scan_number() {
  take('-');
  if (!is_digit(peek())) return false;
  if (!take('0')) {
    while (is_digit(peek())) ++at_;
  }
  if (take('.')) {
    if (!is_digit(peek())) return false;
    while (is_digit(peek())) ++at_;
  }
  if (take('e') || take('E')) {
    if (!take('+')) take('-');
    if (!is_digit(peek())) return false;
    while (is_digit(peek())) ++at_;
  }
  return true;
}

bool JsonScan::scan_word(std::string_view word) {
  if (!text_.substr(at_).starts_with(word)) return false;
  at_ += word.size();
  return true;
}

void JsonScan::skip_blanks() noexcept {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
    ++at_;
}

bool JsonScan::take(char c) noexcept {
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void JsonScan::note(std::string_view raw) {
  if (depth_ == 0) return;
  const std::string_view key = frames_[depth_ - 1].key;
  if (key == "content" || key == "text" || key == "prompt") {
    content_ = raw;
  } else if (key == "input") {
    inputs_.push_back(raw);
  } else if (key == "model" && depth_ == 1 && frames_[0].kind == '{') {
    model_ = raw;
  }
}

void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

}  // namespace pawl::mockapi
