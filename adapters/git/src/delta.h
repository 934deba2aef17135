// Deltas in the pack format: how one object is made of another (gitformat-pack(5), "Deltified representation").
//
// A delta is two sizes and then instructions, in the order of the new object. Nothing here searches for what two
// objects have in common: whoever edits an object knows it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pawl::git {

/// Appends the size of the base, or of the new object: both stand in front.
void append_delta_size(std::string& out, std::size_t size);
/// Appends an instruction to take `size` bytes of the base from `offset`.
void append_copy(std::string& out, std::size_t offset, std::size_t size);
/// Appends an instruction to take these bytes.
void append_insert(std::string& out, std::string_view bytes);

/// Replaces `out` by a delta that makes `now` of `base`, two texts of which one is made like the other line by line:
/// of each line it takes what the base's line of the same number begins and ends with, too.
void line_delta(std::string& out, std::string_view base, std::string_view now);

/// Replaces `out` by what `delta` makes of `base`. False: it is no delta of a text of that size, or makes more than
/// `most` bytes.
[[nodiscard]] bool apply_delta(std::string& out, std::string_view base, std::string_view delta, std::size_t most);

}  // namespace pawl::git
