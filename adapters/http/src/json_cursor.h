// A place in a JSON text that moves on through it, without allocating and without checking more than it must.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace pawl::http {

/// A place in the text. Every function returns false once it cannot go on; the place is then of no use.
class JsonCursor {
 public:
  /// `steps`: bytes outside of strings, and ends of strings, that it looks at before it gives up.
  explicit JsonCursor(std::string_view text, std::size_t steps = SIZE_MAX) noexcept
      : at_(text.data()), end_(text.data() + text.size()), steps_left_(steps) {}

  /// Skips blanks, then takes `c` if it comes next.
  bool take(char c) noexcept {
    skip_blanks();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return step();
  }
  [[nodiscard]] bool next_is(char c) noexcept {
    skip_blanks();
    return at_ != end_ && *at_ == c;
  }

  /// A string, as written between its quotes.
  bool string(std::string_view& raw) noexcept {
    if (!take('"')) return false;
    const char* const begin = at_;
    while (step()) {
      const auto* quote = static_cast<const char*>(std::memchr(at_, '"', static_cast<std::size_t>(end_ - at_)));
      if (quote == nullptr) return false;
      const char* slash = quote;
      while (slash != begin && slash[-1] == '\\') --slash;
      at_ = quote + 1;
      if ((quote - slash) % 2 == 0) {
        raw = {begin, static_cast<std::size_t>(quote - begin)};
        return true;
      }
    }
    return false;
  }

  /// A value of any kind.
  bool skip() noexcept {
    std::string_view ignored;
    std::size_t depth = 0;
    do {
      skip_blanks();
      if (at_ == end_) return false;
      const char c = *at_;
      if (c == '"') {
        if (!string(ignored)) return false;
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at_;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return false;
        --depth;
        ++at_;
      } else if (depth == 0) {
        return scalar(ignored);
      } else {
        ++at_;
      }
      if (!step()) return false;
    } while (depth > 0);
    return true;
  }

  /// A number, true, false or null, as it is written.
  bool scalar(std::string_view& raw) noexcept {
    skip_blanks();
    const char* const begin = at_;
    while (at_ != end_ && std::strchr(",]}: \t\r\n\"[{", *at_) == nullptr && step()) ++at_;
    raw = {begin, static_cast<std::size_t>(at_ - begin)};
    return !raw.empty();
  }

  /// The key of an object's next member, the place then being at its value. REQUIRES: '{' or the last value was taken.
  bool key(std::string_view& raw) noexcept {
    static_cast<void>(take(','));
    return string(raw) && take(':');
  }

 private:
  void skip_blanks() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t') && step()) ++at_;
  }
  bool step() noexcept { return steps_left_ > 0 && --steps_left_ > 0; }

  const char* at_;
  const char* end_;
  std::size_t steps_left_;
};

}  // namespace pawl::http
