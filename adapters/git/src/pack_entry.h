// One object as it stands in a pack: entry header and zlib stream (gitformat-pack(5), version 2).
//
// Never a delta: the committer makes those from its own edits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "object_id.h"

namespace pawl::git {

/// Appends the entry's header: the type and the object's inflated size. `type_number` is an ObjectType, or 6 (offset
/// delta), in which case the caller appends offset and delta.
void append_entry_header(std::string& out, std::uint8_t type_number, std::uint64_t inflated_size);

constexpr std::uint8_t kOffsetDelta = 6;  // gitformat-pack(5): OBJ_OFS_DELTA

/// Appends how far back the base of an offset delta lies, in the pack format's own number system: 7 bits a byte, each
/// more byte counting from where the shorter ones end.
void append_distance(std::string& out, std::uint64_t distance);

/// What append_distance() appended, at the front of `entry`.
struct Distance {
  std::uint64_t bytes;
  std::size_t digits;  // its length in the entry
};
/// None: it does not end, or is too large.
[[nodiscard]] std::optional<Distance> read_distance(std::span<const std::uint8_t> entry) noexcept;

/// Appends the low `bytes` bytes of `value`, the highest first.
void append_big_endian(std::string& out, std::uint64_t value, int bytes);

/// Appends header and zlib stream. Any thread.
void append_pack_entry(std::string& out, ObjectType type, std::string_view content);

/// CRC-32 as the pack index wants it, of a whole entry.
[[nodiscard]] std::uint32_t crc32_of(std::string_view bytes) noexcept;

}  // namespace pawl::git
