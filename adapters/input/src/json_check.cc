#include "json_check.h"

#include <bitset>

namespace pawl::input {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_hex(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// A scanner with an explicit stack of open brackets: input must not choose the depth of our call stack.
class Scanner {
 public:
  explicit Scanner(std::string_view text) noexcept : text_(text) {}

  std::optional<Fault> run() {
    if (!value() || !rest_of_containers()) return fault_;
    skip_space();
    if (at_ < text_.size()) {
      fail("the end of the line");
      return fault_;
    }
    return std::nullopt;
  }

 private:
  [[nodiscard]] char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() noexcept {
    while (at_ < text_.size() && (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n')) ++at_;
  }
  bool fail(std::string_view expected) {
    fault_.offset = at_;
    fault_.what = "not valid JSON: expected ";
    fault_.what.append(expected).append(", got ");
    fault_.what += at_ < text_.size() ? named_byte(text_[at_]) : "the end of the line";
    return false;
  }
  bool expect(char c, std::string_view name) {
    skip_space();
    if (peek() != c) return fail(name);
    ++at_;
    return true;
  }

  /// A scalar, or the opening bracket (and first key) of a container.
  bool value() {
    skip_space();
    switch (peek()) {
      case '{': return open(true);
      case '[': return open(false);
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }

  bool open(bool object) {
    if (depth_ == kJsonDepthMax) return fail("at most 1024 levels of nesting");
    ++at_;
    is_object_[depth_++] = object;
    skip_space();
    if (peek() == (object ? '}' : ']')) return true;
    if (object && !key()) return false;
    return value();
  }

  bool key() {
    skip_space();
    if (peek() != '"') return fail("a field name in quotes");
    return string() && expect(':', "':'");
  }

  /// What follows each value, until no container is open.
  bool rest_of_containers() {
    while (depth_ > 0) {
      const bool object = is_object_[depth_ - 1];
      skip_space();
      if (peek() == (object ? '}' : ']')) {
        ++at_;
        --depth_;
      } else if (peek() == ',') {
        ++at_;
        if (object && !key()) return false;
        if (!value()) return false;
      } else {
        return fail(object ? "',' or '}'" : "',' or ']'");
      }
    }
    return true;
  }

  bool string() {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return fail("an escape for the control character");
      if (text_[at_++] == '\\' && !escape()) return false;
    }
    return at_ < text_.size() ? (++at_, true) : fail("'\"' at the end of the string");
  }

  bool escape() {
    if (peek() == 'u') {
      ++at_;
      for (int i = 0; i < 4; ++i, ++at_) {
        if (!is_hex(peek())) return fail("four hexadecimal digits");
      }
      return true;
    }
    if (peek() == '\0' || std::string_view("\"\\/bfnrt").find(peek()) == std::string_view::npos) {
      return fail("an escape of JSON");
    }
    ++at_;
    return true;
  }

  bool word(std::string_view name) {
    for (const char c : name) {
      if (peek() != c) return fail(name);
      ++at_;
    }
    return true;
  }

  bool digits() {
    if (!is_digit(peek())) return fail("a digit");
    while (is_digit(peek())) ++at_;
    return true;
  }

  bool number() {
    if (peek() == '-') {
      ++at_;
    } else if (!is_digit(peek())) {
      return fail("a value");
    }
    if (peek() == '0') {
      ++at_;
    } else if (!digits()) {
      return false;
    }
    if (peek() == '.' && (++at_, !digits())) return false;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      return digits();
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::bitset<kJsonDepthMax> is_object_;  // of each open container
  Fault fault_;
};

}  // namespace

std::optional<Fault> find_json_fault(std::string_view text) { return Scanner(text).run(); }

}  // namespace pawl::input
