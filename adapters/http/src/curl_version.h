// What some versions of libcurl cannot do. Each function takes `version_num` of curl_version_info().
#pragma once

namespace pawl::http {

/// Before 8: over HTTP/2, kept connections without TLS fail, and requests are lost over TLS (seen with 7.88.1).
[[nodiscard]] constexpr bool loses_http2(unsigned version) noexcept { return version < 0x080000; }

/// 8.13 to 8.15 believe that a connection speaks HTTP/2 only once it has brought an answer (curl's issue 18177). With
/// CURLOPT_PIPEWAIT a transfer then waits until another one has its answer, and if that one ends without any, as when
/// the server resets its stream, until its own time is over.
[[nodiscard]] constexpr bool waits_for_an_answer(unsigned version) noexcept {
  return version >= 0x080d00 && version < 0x081000;
}

}  // namespace pawl::http
