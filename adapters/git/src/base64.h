// Base64 (RFC 4648 section 4, with padding) for bytes that are not text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pawl::git {

void append_base64(std::string& out, std::string_view bytes);

/// Strict: whole groups of four, padding where it belongs, unused bits zero. Otherwise nullopt.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace pawl::git
