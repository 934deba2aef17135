// CRC-32C (Castagnoli; RFC 3720 appendix B.4 has test vectors): what guards headers and records against torn writes and
// bit rot. It is no defence against someone who writes files on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace pawl::journal {

/// CRC of `bytes`, continuing from `before`: crc32c(crc32c(0, a), b) is the CRC of a followed by b. Uses the
/// processor's instruction where there is one.
[[nodiscard]] std::uint32_t crc32c(std::uint32_t before, std::span<const std::byte> bytes) noexcept;

// The two ways, for the test that compares them.
[[nodiscard]] std::uint32_t crc32c_by_table(std::uint32_t before, std::span<const std::byte> bytes) noexcept;
[[nodiscard]] bool crc32c_has_instruction() noexcept;
/// REQUIRES: crc32c_has_instruction().
[[nodiscard]] std::uint32_t crc32c_by_instruction(std::uint32_t before, std::span<const std::byte> bytes) noexcept;

}  // namespace pawl::journal
