// A glance into a JSON text for the one or two fields that decide how a call is counted, without parsing it whole.
//
// Why not a parser: it would cost as much as the call itself, for a field that most often comes first. What lies before
// the field is skipped: strings by looking for their end, which is as fast as copying, the rest byte by byte within a
// bound, so that no body, however made, holds the thread up. Text that is not JSON gives an answer too, or none.
//
// When not to use it: to check JSON, for a number that a pointer names (JsonNumber), or where spellings with escapes
// must be told apart from those without (a key is compared as it is written).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pawl::http {

/// Bytes outside of strings, and ends of strings, that a glance looks at before it gives up.
inline constexpr std::size_t kGlanceStepsMax = 64 << 10;
/// Models are told apart by this much of their names.
inline constexpr std::size_t kModelBytesMax = 128;

/// What else than the model is looked for.
enum class Glance : std::uint8_t {
  model,   // nothing: stops once it is found
  tokens,  // how long the answer may be
};

struct BodyFacts {
  std::string_view model;           // a view into the body, as written between its quotes; empty: none
  std::uint64_t answer_tokens = 0;  // max_completion_tokens, max_output_tokens or max_tokens, times n
};

/// Of the outermost object of `body`; nothing is known of other bodies.
[[nodiscard]] BodyFacts facts_of(std::string_view body, Glance glance) noexcept;

}  // namespace pawl::http
