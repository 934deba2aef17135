// Base64 (RFC 4648 section 4, with padding): how a batch line carries bytes that are not text.
#pragma once

#include <string>
#include <string_view>

namespace pawl::input {

/// Replaces `out`. Strict: whole groups of four, padding where it belongs, unused bits zero; false: it is not that.
[[nodiscard]] bool decode_base64(std::string_view text, std::string& out);

}  // namespace pawl::input
