// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed 64-bit hash of bytes that strangers may choose.
//
// With a secret seed nobody can aim keys at one place of a table, which a plain hash would allow.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pawl::git {

using HashSeed = std::array<std::uint64_t, 2>;

[[nodiscard]] std::uint64_t sip_hash(const HashSeed& seed, std::string_view bytes) noexcept;

}  // namespace pawl::git
