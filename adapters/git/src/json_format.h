// JSON in one spelling, so that two versions of a document differ only where they say something different.
//
// Keys sorted, a member or element a line, two spaces a level, a line end at the end: what `jq -S .` makes. Numbers and
// strings keep the spelling they came with, whatever their size. When not to use it: for a body that must stay as it
// is.
#pragma once

#include <string>
#include <string_view>

namespace pawl::git {

/// Replaces `out` by `text` in that spelling; false, and `out` is empty, if it is not one JSON value (is_json(), white
/// space around it allowed). Members of one name stay in their order. Memory: about 50 bytes for each value.
[[nodiscard]] bool format_json(std::string_view text, std::string& out);

}  // namespace pawl::git
