// JSON as text: writing strings, and telling whether bytes are JSON. No values, no tree.
//
// Bodies go into a record as they came, so all that is asked is whether they may stand there. A parser would answer
// too, but it holds about ten times the document in memory, which no credit bounds, and refuses numbers that it
// cannot represent.
#pragma once

#include <string>
#include <string_view>

namespace pawl::git {

/// Whether `bytes` are UTF-8 (RFC 3629: no surrogates, nothing over-long).
[[nodiscard]] bool is_utf8(std::string_view bytes) noexcept;

/// Appends a JSON string with its quotes. REQUIRES: is_utf8(text).
void append_string(std::string& out, std::string_view text);

/// Without the white space (RFC 8259 section 2) at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

/// Deepest nesting is_json() accepts. Readers in people's hands stop at 256 (jq before 1.7), and the record itself
/// adds two levels.
constexpr int kMaxJsonDepth = 200;

/// Whether `text` is one JSON value (RFC 8259), nested no deeper than kMaxJsonDepth, without white space around it.
/// Needs no memory. REQUIRES: is_utf8(text).
[[nodiscard]] bool is_json(std::string_view text) noexcept;

}  // namespace pawl::git
