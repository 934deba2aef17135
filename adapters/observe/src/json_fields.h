// JsonFields: a small JSON object as a list of its fields, "tasks.read" for a field within a field, "lanes.0.model" for
// one within the first element of an array.
//
// For the one object of format.md. Not for JSON of strangers: numbers are kept as text, an empty array leaves no trace.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::observe {

/// Path → text of a number, decoded string, "true", "false" or "null".
using JsonFields = std::map<std::string, std::string, std::less<>>;

/// None if `json` is not one object of numbers, strings, literals, arrays and objects, at most 8 deep.
[[nodiscard]] std::optional<JsonFields> json_fields(std::string_view json);

}  // namespace pawl::observe
