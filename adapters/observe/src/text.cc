#include "text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace pawl::observe {

namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Combining marks, joiners and variation selectors.
constexpr std::array kZeroWidth = {Range{0x0300, 0x036F}, Range{0x200B, 0x200D}, Range{0x20D0, 0x20FF},
                                   Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F}};
// The blocks Unicode's East Asian Width calls wide or fullwidth, roughly.
constexpr std::array kDoubleWidth = {Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0xA4CF},
                                     Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},
                                     Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},   Range{0x1F300, 0x1F64F},
                                     Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1FAFF}, Range{0x20000, 0x3FFFD}};
// Controls, line separators and what reorders text.
constexpr std::array kUnprintable = {Range{0x00, 0x1F},     Range{0x7F, 0x9F},     Range{0x061C, 0x061C},
                                     Range{0x200E, 0x200F}, Range{0x2028, 0x202E}, Range{0x2066, 0x2069},
                                     Range{0xFEFF, 0xFEFF}, Range{0xFFF9, 0xFFFB}};

template <std::size_t N>
bool within(const std::array<Range, N>& ranges, char32_t value) noexcept {
  return std::ranges::any_of(ranges, [value](Range range) { return value >= range.first && value <= range.last; });
}

std::string two_digits(std::int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); }

}  // namespace

CodePoint decode_first(std::string_view text) noexcept {
  constexpr CodePoint kInvalid{0xFFFD, 1, false};
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return kInvalid;
  char32_t value = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return kInvalid;
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[length] || value > 0x10FFFF || surrogate) return kInvalid;
  return {value, length, true};
}

std::size_t columns_of(char32_t value) noexcept {
  if (value < 0x300) return 1;
  if (within(kZeroWidth, value)) return 0;
  return within(kDoubleWidth, value) ? 2 : 1;
}

std::size_t columns_of(std::string_view text) noexcept {
  std::size_t sum = 0;
  while (!text.empty()) {
    const CodePoint point = decode_first(text);
    sum += columns_of(point.value);
    text.remove_prefix(point.bytes);
  }
  return sum;
}

std::string clean_line(std::string_view text, Charset charset) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = decode_first(text);
    const std::string_view bytes = text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
    const bool shown =
        point.valid && !within(kUnprintable, point.value) && (charset == Charset::utf8 || point.value < 0x80);
    if (shown) {
      out += bytes;
    } else {
      out += point.value >= 0x09 && point.value <= 0x0D ? ' ' : '?';
    }
  }
  return out;
}

std::string cut_to(std::string_view text, std::size_t columns, Charset charset) {
  if (columns_of(text) <= columns) return std::string(text);
  const std::string_view ellipsis = charset == Charset::utf8 ? "…" : "...";
  const std::size_t ellipsis_columns = columns_of(ellipsis);
  if (columns < ellipsis_columns) return std::string(columns, '.');
  std::string out;
  std::size_t left = columns - ellipsis_columns;
  while (!text.empty()) {
    const CodePoint point = decode_first(text);
    const std::size_t width = columns_of(point.value);
    if (width > left) break;
    left -= width;
    out += text.substr(0, point.bytes);
    text.remove_prefix(point.bytes);
  }
  return out.append(ellipsis);
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3; place -= 3) digits.insert(place - 3, 1, ',');
  return digits;
}

std::string fixed(double number, int decimals) {
  std::array<char, 64> buffer;
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed, decimals);
  return error == std::errc{} ? std::string(buffer.data(), end) : std::string("?");
}

std::string clock_time(std::chrono::seconds time) {
  const std::int64_t seconds = time.count();
  const std::string tail = two_digits(seconds % 60);
  if (seconds < 3600) return std::to_string(seconds / 60) + ":" + tail;
  const std::int64_t hours = seconds / 3600;
  if (hours >= 100) return std::to_string(hours / 24) + " d";
  return std::to_string(hours) + ":" + two_digits(seconds / 60 % 60) + ":" + tail;
}

std::string spoken_time(std::chrono::milliseconds time) {
  if (time < std::chrono::minutes{1}) return short_ms(static_cast<double>(time.count()));
  return clock_time(std::chrono::duration_cast<std::chrono::seconds>(time));
}

std::string short_ms(double milliseconds) {
  if (milliseconds < 9.95) return fixed(milliseconds, 1) + " ms";
  if (milliseconds < 999.5) return fixed(milliseconds, 0) + " ms";
  if (milliseconds < 9'995) return fixed(milliseconds / 1000, 2) + " s";
  return fixed(milliseconds / 1000, 1) + " s";
}

std::string rate_text(double per_second) {
  if (per_second > 0 && per_second < 9.95) return fixed(per_second, 1) + "/s";
  return grouped(static_cast<std::uint64_t>(std::llround(std::clamp(per_second, 0.0, 1e15)))) + "/s";
}

}  // namespace pawl::observe
