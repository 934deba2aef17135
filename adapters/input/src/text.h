// Small questions about the bytes of a line.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "fault.h"

namespace pawl::input {

/// Spaces, tabs and carriage returns only.
[[nodiscard]] bool is_blank(std::string_view text) noexcept;

/// Without the spaces, tabs and carriage returns around it.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;

/// ASCII letters compare equal in both cases.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Begins with http:// or https://, in any case.
[[nodiscard]] bool has_http_scheme(std::string_view text) noexcept;

/// No NUL bytes, valid UTF-8; or the first place that is not.
[[nodiscard]] std::optional<Fault> find_text_fault(std::string_view text);

/// Appends `text` (valid UTF-8) as a JSON string with its quotes (RFC 8259 section 7).
void append_json_string(std::string& out, std::string_view text);

/// A token of RFC 9110 section 5.6.2: what a header name may be.
[[nodiscard]] bool is_header_name(std::string_view text) noexcept;

/// Without CR, LF and NUL, which would end the header or smuggle in another.
[[nodiscard]] bool is_header_value(std::string_view text) noexcept;

/// One of the methods a task may have.
[[nodiscard]] bool is_method(std::string_view text) noexcept;
inline constexpr std::string_view kMethods = "one of GET, POST, PUT, PATCH, DELETE";

}  // namespace pawl::input
