// Takes a URL apart far enough to know whether it can be called and whom it names.
#pragma once

#include <string>

#include "curl_handles.h"

namespace pawl::http {

/// Sets `handle` to `url`. Empty: well done; `origin` (if given) becomes "scheme://host:port", host in lower case.
/// Else a sentence that says what is wrong.
[[nodiscard]] std::string parse_url(CURLU* handle, const std::string& url, std::string* origin);

}  // namespace pawl::http
