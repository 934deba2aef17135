// Where does a text stop being JSON (RFC 8259)? The slow, exact second opinion for lines that simdjson refuses.
//
// simdjson says that a document is bad but not where, and refuses some that are good: numbers beyond 64 bits and lone
// surrogates in strings. Both are fine in a body that is passed on byte for byte.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "fault.h"

namespace pawl::input {

inline constexpr std::size_t kJsonDepthMax = 1024;

/// nullopt: `text` is one JSON value, with white space around it allowed. UTF-8 is not looked at.
[[nodiscard]] std::optional<Fault> find_json_fault(std::string_view text);

}  // namespace pawl::input
