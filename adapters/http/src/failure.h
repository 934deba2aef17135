// Why an attempt brought no response: our own few classes for libcurl's hundred codes, with names that are stable
// because they end up in committed records.
#pragma once

#include <cstdint>
#include <string_view>

namespace pawl::http {

enum class Failure : std::uint8_t {
  none,
  dns_failed,
  connect_failed,
  connection_reset,
  timeout,
  look_up_timeout,  // a timeout, too, by its name; a look-up may still be under way
  tls_failed,
  truncated,
  proxy_failed,
  out_of_memory,
  certificate_invalid,
  tls_setup_failed,
  bad_response,
  response_too_large,
  too_many_redirects,
  bad_redirect,
  bad_url,
  bad_request,
  proxy_refused,
  call_failed,
  host_down,
};

[[nodiscard]] std::string_view code_of(Failure failure) noexcept;

/// Whether another attempt may well succeed: the connection failed, not the request.
[[nodiscard]] bool transient(Failure failure) noexcept;

/// Class of a CURLcode (an int here, so that the decisions built on it need no libcurl).
[[nodiscard]] Failure classify(int curl_code) noexcept;

}  // namespace pawl::http
