// Text for terminals and people: numbers with separators, durations, safe and fitting strings.
//
// Everything shown may come from a stranger's server (a note quotes error texts), so control characters, bidirectional
// overrides and invalid UTF-8 never reach a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pawl::observe {

/// A decoded code point; `bytes` of the text belong to it. An invalid sequence is one byte and U+FFFD.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;
  bool valid = false;
};

/// First code point of `text`, which must not be empty.
[[nodiscard]] CodePoint decode_first(std::string_view text) noexcept;

/// Columns a printable code point takes on a terminal: 0, 1 or 2.
[[nodiscard]] std::size_t columns_of(char32_t value) noexcept;

/// Columns of a clean text without escape sequences.
[[nodiscard]] std::size_t columns_of(std::string_view text) noexcept;

enum class Charset : std::uint8_t { ascii, utf8 };

/// One line that cannot steer a terminal: what is not printable in `charset` becomes "?", white space a space.
[[nodiscard]] std::string clean_line(std::string_view text, Charset charset);

/// A clean text cut to `columns`, with an ellipsis where it was cut.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns, Charset charset);

[[nodiscard]] std::string grouped(std::uint64_t number);                // 4,096
[[nodiscard]] std::string clock_time(std::chrono::seconds time);        // 0:41, 1:02:03
[[nodiscard]] std::string spoken_time(std::chrono::milliseconds time);  // 12 ms, 2.1 s, 3:10
[[nodiscard]] std::string short_ms(double milliseconds);                // 0.4 ms, 52 ms, 1.24 s
[[nodiscard]] std::string rate_text(double per_second);                 // 1,930/s, 0.4/s
[[nodiscard]] std::string fixed(double number, int decimals);

}  // namespace pawl::observe
