// Text for HTML: everything that comes from elsewhere goes through escaped(), so that it is shown and never read as
// markup, and cannot turn the text around it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pawl::tool {

/// For an element's content and for attribute values in quotes. What is not UTF-8, control characters and those that
/// change the direction of text become U+FFFD; white space a space. At most `most` characters, then an ellipsis.
[[nodiscard]] std::string escaped(std::string_view text, std::size_t most = 200);

[[nodiscard]] std::string grouped(std::uint64_t number);              // 4,096
[[nodiscard]] std::string span_text(std::chrono::milliseconds time);  // 12 ms, 1.24 s, 3 min 10 s, 2 h 5 min
[[nodiscard]] std::string moment_text(std::chrono::system_clock::time_point time);  // 2026-11-27 20:14:05, UTC
[[nodiscard]] std::string share_text(std::uint64_t part, std::uint64_t whole);      // 12.5 %
[[nodiscard]] std::string rate_text(double per_second);                             // 1,930/s, 0.40/s

}  // namespace pawl::tool
