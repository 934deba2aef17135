// Templates: text with fields in braces, such as "{host}{path}" for paths and "{results} of {stream}" for subjects.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pawl/error.h>

namespace pawl::git {

/// A run of literal text, or a field; Field::literal says which.
template <class Field>
struct TemplatePiece {
  Field field = Field::literal;
  std::string text;  // of a literal
};

/// Cuts `text` into pieces; `kind` ("path", "message") is for errors. Errors: usage (empty, a lone brace, an unknown
/// field; says which fields there are).
template <class Field, std::size_t N>
[[nodiscard]] Result<std::vector<TemplatePiece<Field>>> parse_template(
    const std::string& kind, std::string_view text, const std::array<std::pair<std::string_view, Field>, N>& fields) {
  const std::string quoted = kind + " template '" + std::string(text) + "': ";
  if (text.empty()) return failure(ErrorCode::usage, "the " + kind + " template is empty");
  std::vector<TemplatePiece<Field>> pieces;
  while (!text.empty()) {
    const std::size_t brace = text.find_first_of("{}");
    if (brace != 0) {
      pieces.push_back({Field::literal, std::string(text.substr(0, brace))});
      text.remove_prefix(brace == std::string_view::npos ? text.size() : brace);
      continue;
    }
    const std::size_t end = text.find('}');
    if (text.front() == '}' || end == std::string_view::npos) {
      return failure(ErrorCode::usage, quoted + "a brace has no partner");
    }
    const std::string_view name = text.substr(1, end - 1);
    const auto* known = fields.begin();
    while (known != fields.end() && known->first != name) ++known;
    if (known == fields.end()) {
      std::string all;
      for (const auto& [other, field] : fields) all += " {" + std::string(other) + "}";
      return failure(ErrorCode::usage, quoted + "there is no field {" + std::string(name) + "}; there are" + all);
    }
    pieces.push_back({known->second, {}});
    text.remove_prefix(end + 1);
  }
  return pieces;
}

}  // namespace pawl::git
