// What is wrong with one line, and where in it. The reader knows file and line number and makes an Error of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include <pawl/error.h>

namespace pawl::input {

struct Fault {
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  std::size_t offset = kNowhere;  // bytes from the start of the line; kNowhere: the line as a whole
  std::string what;
};

template <class T>
using Parsed = std::expected<T, Fault>;

[[nodiscard]] std::unexpected<Fault> fault_at(std::size_t offset, std::string what);
[[nodiscard]] std::unexpected<Fault> fault_in_field(std::size_t offset, std::string_view field,
                                                    std::string_view expected, std::string_view got);

/// Where the bytes of `part` lie in `line`; `part` must be a piece of it.
[[nodiscard]] inline std::size_t offset_in(std::string_view line, std::string_view part) noexcept {
  return static_cast<std::size_t>(part.data() - line.data());
}

/// "FILE:LINE[:COLUMN]: what".
[[nodiscard]] std::unexpected<Error> bad_line(std::string_view file, std::uint64_t line, const Fault& fault);

/// `text` in quotes for a message: control characters and quotes escaped, at most 60 bytes of it.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// One byte for a message: 'x', or byte 0x1f.
[[nodiscard]] std::string named_byte(char byte);

}  // namespace pawl::input
