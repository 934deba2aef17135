// The index of a pack, version 2: which object lies where (gitformat-pack(5)).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "encoded.h"

namespace pawl::git {

struct PackIndexEntry {
  ObjectId object_id;
  std::uint32_t crc32;   // of the entry as it stands in the pack
  std::uint64_t offset;  // where it stands
};

/// The whole index. `trailer`: the pack's own. Sorts `entries` by id. REQUIRES: each id once.
[[nodiscard]] std::string render_pack_index(std::vector<PackIndexEntry>& entries, const ObjectId& trailer);

}  // namespace pawl::git
