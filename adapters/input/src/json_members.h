// JsonMembers: checks one JSON object or array and splits it into its immediate members, without copying their text.
//
// Two passes of simdjson: the DOM parser checks everything (On-Demand would leave skipped values unchecked), then
// On-Demand finds where each member lies. Re-used from line to line, so that it allocates only when lines grow.
// Not for walking deep documents: each level is a split() of its own.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "fault.h"

namespace pawl::input {

/// Bytes behind a text that must be readable (any value), for simdjson.
inline constexpr std::size_t kJsonPadding = simdjson::SIMDJSON_PADDING;

struct JsonMember {
  std::string_view name;  // unescaped; empty in an array
  std::string_view raw;   // the value's own bytes, a piece of the text given to split()
  std::string_view text;  // a string's unescaped value, empty for other kinds
  bool has_text = false;  // a string that can be unescaped: no lone surrogate

  [[nodiscard]] char first() const noexcept { return raw.front(); }
  [[nodiscard]] bool is_string() const noexcept { return first() == '"'; }
  /// "a string", "null", … for a message.
  [[nodiscard]] std::string_view kind() const noexcept;
};

enum class Trust : std::uint8_t {
  unchecked,  // any bytes
  checked,    // a piece of what split() accepted before
};

class JsonMembers {
 public:
  /// Splits `text`, which begins with '{' or '[' and has kJsonPadding readable bytes behind it. On success members() is
  /// valid until the next split() or the end of the text. Fault: not JSON, not UTF-8; offsets count from text's start.
  [[nodiscard]] Parsed<void> split(std::string_view text, Trust trust);

  [[nodiscard]] std::span<const JsonMember> members() const noexcept { return members_; }
  [[nodiscard]] const JsonMember* find(std::string_view name) const noexcept;

  /// The second of two members with one name, or nullptr.
  [[nodiscard]] const JsonMember* find_duplicate();

 private:
  [[nodiscard]] Parsed<void> check(std::string_view text);
  [[nodiscard]] simdjson::error_code split_object(simdjson::ondemand::document& document);
  [[nodiscard]] simdjson::error_code split_array(simdjson::ondemand::document& document);
  [[nodiscard]] simdjson::error_code add(std::string_view name, simdjson::ondemand::value value);

  simdjson::dom::parser checker_;
  simdjson::ondemand::parser splitter_;
  std::vector<JsonMember> members_;
  std::vector<const JsonMember*> sorted_;
};

}  // namespace pawl::input
