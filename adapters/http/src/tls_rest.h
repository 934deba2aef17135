// What a TLS connection has read from its socket and not yet handed on.
//
// Why: libcurl asks for no more of a body than its length. What a server sends behind it stays in the TLS library,
// where no look at the socket finds it and where libcurl would take it for the next answer.
// When not to use it: with a TLS library that we were not built with; then there is no session.
#pragma once

#include "curl_handles.h"

namespace pawl::http {

/// Of the connection that a transfer has at present: to be asked for in one of its callbacks. Libcurl's own, and alive
/// as long as the connection. nullptr: there is no TLS, or it is another library's.
[[nodiscard]] const void* tls_session(CURL* easy) noexcept;

/// Bytes wait in the session, read but not asked for.
[[nodiscard]] bool holds_bytes(const void* session) noexcept;

}  // namespace pawl::http
