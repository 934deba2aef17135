// The page of a WebServer, as CMake puts it into the program from page/page.html.
#pragma once

#include <string_view>

namespace pawl::observe {

/// The document with the fields {nonce}, {token} and {title} still in it.
[[nodiscard]] std::string_view web_page() noexcept;

}  // namespace pawl::observe
