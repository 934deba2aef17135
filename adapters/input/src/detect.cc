#include "detect.h"

#include "json_members.h"
#include "text.h"

namespace pawl::input {

Choice choose_format(std::string_view line) {
  const std::string_view text = trimmed(line);
  if (has_http_scheme(text)) return {Format::urls, "is a URL"};
  if (!text.starts_with('{')) return {Format::lines, "is neither a JSON object nor a URL"};
  JsonMembers members;
  if (!members.split(text, Trust::unchecked)) {
    return text.find("\"custom_id\"") != std::string_view::npos
               ? Choice{Format::batch, "begins like a JSON object and has a custom_id"}
               : Choice{Format::lines, "begins with '{' but is not JSON"};
  }
  if (members.find("custom_id") == nullptr) return {Format::lines, "is a JSON object without custom_id"};
  return {Format::batch, "is a JSON object with a custom_id"};
}

}  // namespace pawl::input
