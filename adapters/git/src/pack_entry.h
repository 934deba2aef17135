// One object as it stands in a pack: entry header and zlib stream (gitformat-pack(5), version 2).
//
// Never a delta: the committer makes those from its own edits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "object_id.h"

namespace pawl::git {

/// Appends the entry's header: the type and the object's inflated size. `type_number` is an ObjectType, or 6 (offset
/// delta), in which case the caller appends offset and delta.
void append_entry_header(std::string& out, std::uint8_t type_number, std::uint64_t inflated_size);

/// Appends `content` as a zlib stream, level 1. Each thread keeps a compressor of its own. Any thread.
void append_deflated(std::string& out, std::string_view content);

/// Appends header and zlib stream. Any thread.
void append_pack_entry(std::string& out, ObjectType type, std::string_view content);

/// CRC-32 as the pack index wants it, of a whole entry.
[[nodiscard]] std::uint32_t crc32_of(std::string_view bytes) noexcept;

}  // namespace pawl::git
