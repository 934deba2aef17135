// Hex digits, both ways.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pawl::git {

constexpr std::string_view kLowerHex = "0123456789abcdef";
constexpr std::string_view kUpperHex = "0123456789ABCDEF";

/// Value of a hex digit of either case, or -1.
constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Appends two lower-case digits for each byte.
inline void append_hex(std::string& out, std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) {
    out += kLowerHex[byte >> 4];
    out += kLowerHex[byte & 15];
  }
}

/// Fills `bytes` from exactly twice as many digits. False: wrong length or not hex; `bytes` is then unspecified.
[[nodiscard]] inline bool read_hex(std::string_view hex, std::span<std::uint8_t> bytes) noexcept {
  if (hex.size() != 2 * bytes.size()) return false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

}  // namespace pawl::git
