// zlib streams (RFC 1950) of what goes into a pack, one after another.
//
// Most of the time that a record's deflate takes is spent before its first byte and after its last: tables to clear,
// and Huffman codes to make for that record alone. What is small and much alike can do with codes made for those before
// it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pawl::git {

/// What is alike: each kind has codes of its own.
enum class Deflated : std::uint8_t { commit, tree, blob, delta };

/// Appends `content` as a zlib stream. Each thread keeps compressors and codes of its own, so that the bytes depend on
/// what the thread deflated before; what they inflate to does not. Any thread.
void append_deflated(std::string& out, std::string_view content, Deflated kind);

}  // namespace pawl::git
