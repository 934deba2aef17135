#include "pack_index.h"

#include <openssl/sha.h>

#include <algorithm>

#include "pack_entry.h"

namespace pawl::git {
namespace {

constexpr std::uint64_t kLargeOffset = 1ull << 31;  // from here on offsets need 64 bits

}  // namespace

/// Fan-out, ids in order, their CRCs, their offsets, both trailers.
std::string render_pack_index(std::vector<PackIndexEntry>& entries, const ObjectId& trailer) {
  std::ranges::sort(entries, {}, &PackIndexEntry::object_id);
  std::string index;
  index.reserve(8 + 4 * 256 + entries.size() * 28 + 2 * trailer.size());
  index.assign("\377tOc\0\0\0\2", 8);
  std::size_t below = 0;
  for (unsigned first = 0; first < 256; ++first) {
    while (below < entries.size() && entries[below].object_id[0] <= first) ++below;
    append_big_endian(index, below, 4);
  }
  for (const PackIndexEntry& entry : entries) {
    index.append(reinterpret_cast<const char*>(entry.object_id.data()), entry.object_id.size());
  }
  for (const PackIndexEntry& entry : entries) append_big_endian(index, entry.crc32, 4);
  std::string large;
  for (const PackIndexEntry& entry : entries) {
    if (entry.offset < kLargeOffset) {
      append_big_endian(index, entry.offset, 4);
    } else {
      append_big_endian(index, kLargeOffset | (large.size() / 8), 4);
      append_big_endian(large, entry.offset, 8);
    }
  }
  index += large;
  index.append(reinterpret_cast<const char*>(trailer.data()), trailer.size());
  ObjectId own;
  SHA1(reinterpret_cast<const unsigned char*>(index.data()), index.size(), own.data());
  index.append(reinterpret_cast<const char*>(own.data()), own.size());
  return index;
}

}  // namespace pawl::git
