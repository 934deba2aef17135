#include "json_glance.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace pawl::http {

namespace {

constexpr double kNumberMax = 1e15;

/// A place in the text. Every function returns false once it cannot go on; the place is then of no use.
class Cursor {
 public:
  explicit Cursor(std::string_view text) noexcept : at_(text.data()), end_(text.data() + text.size()) {}

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
  std::size_t steps_left_ = kGlanceStepsMax;
};

std::optional<std::uint64_t> number_of(std::string_view raw) noexcept {
  double value = 0;
  const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
  if (error != std::errc{} || end != raw.data() + raw.size() || !(value >= 0)) return std::nullopt;
  return static_cast<std::uint64_t>(std::ceil(std::min(value, kNumberMax)));
}

/// Whether a key as it is written is the one that a reference of a JSON pointer means.
bool matches(std::string_view key, std::string_view reference) noexcept {
  while (!reference.empty()) {
    char wanted = reference.front();
    std::size_t taken = 1;
    if (wanted == '~' && reference.size() > 1) {
      wanted = reference[1] == '0' ? '~' : '/';
      taken = 2;
    }
    if (key.empty() || key.front() != wanted) return false;
    key.remove_prefix(1);
    reference.remove_prefix(taken);
  }
  return key.empty();
}

bool enter_member(Cursor& cursor, std::string_view reference) noexcept {
  if (cursor.take('{')) {
    for (std::string_view key; cursor.key(key);) {
      if (matches(key, reference)) return true;
      if (!cursor.skip()) return false;
    }
    return false;
  }
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(reference.data(), reference.data() + reference.size(), index);
  if (error != std::errc{} || end != reference.data() + reference.size() || !cursor.take('[')) return false;
  for (; index > 0; --index) {
    if (!cursor.skip() || !cursor.take(',')) return false;
  }
  return true;
}

}  // namespace

BodyFacts facts_of(std::string_view body, Glance glance) noexcept {
  BodyFacts facts;
  Cursor cursor(body);
  if (!cursor.take('{')) return facts;
  std::uint64_t answers = 1;
  bool named = false;
  for (std::string_view key; cursor.key(key);) {
    std::string_view value;
    if (key == "model" && !named && cursor.next_is('"')) {
      if (!cursor.string(value)) break;
      facts.model = value.substr(0, kModelBytesMax);
      named = true;
      if (glance == Glance::model) break;
    } else if (glance == Glance::tokens &&
               (key == "max_completion_tokens" || key == "max_output_tokens" || key == "max_tokens" || key == "n")) {
      if (cursor.next_is('"') || cursor.next_is('{') || cursor.next_is('[')) {
        if (!cursor.skip()) break;
      } else if (!cursor.scalar(value)) {
        break;
      } else if (key == "n") {
        answers = std::clamp<std::uint64_t>(number_of(value).value_or(1), 1, 1000);
      } else {
        facts.answer_tokens = std::max(facts.answer_tokens, number_of(value).value_or(0));
      }
    } else if (!cursor.skip()) {
      break;
    }
  }
  facts.answer_tokens *= answers;
  return facts;
}

std::optional<std::uint64_t> number_at(std::string_view body, std::string_view pointer) noexcept {
  Cursor cursor(body);
  while (!pointer.empty()) {
    if (pointer.front() != '/') return std::nullopt;
    pointer.remove_prefix(1);
    const std::string_view reference = pointer.substr(0, pointer.find('/'));
    if (!enter_member(cursor, reference)) return std::nullopt;
    pointer.remove_prefix(reference.size());
  }
  std::string_view raw;
  if (!cursor.scalar(raw)) return std::nullopt;
  return number_of(raw);
}

bool is_json_pointer(std::string_view pointer) noexcept {
  if (!pointer.empty() && pointer.front() != '/') return false;
  for (std::size_t i = 0; i < pointer.size(); ++i) {
    if (pointer[i] == '~' && (i + 1 == pointer.size() || (pointer[i + 1] != '0' && pointer[i + 1] != '1')))
      return false;
  }
  return true;
}

}  // namespace pawl::http
