#include "failure.h"

#include <curl/curl.h>

namespace pawl::http {

// CURLE_TOO_LARGE of libcurl 8.6 and later: a header line outgrows its own bound of 100 KB. Before, it was
// CURLE_OUT_OF_MEMORY (see memory.h).
static constexpr int kCurlTooLarge = 100;

std::string_view code_of(Failure failure) noexcept {
  switch (failure) {
    case Failure::none: return "";
    case Failure::dns_failed: return "dns_failed";
    case Failure::connect_failed: return "connect_failed";
    case Failure::connection_reset: return "connection_reset";
    case Failure::timeout:
    case Failure::look_up_timeout: return "timeout";
    case Failure::tls_failed: return "tls_failed";
    case Failure::truncated: return "truncated";
    case Failure::proxy_failed: return "proxy_failed";
    case Failure::out_of_memory: return "out_of_memory";
    case Failure::certificate_invalid: return "certificate_invalid";
    case Failure::tls_setup_failed: return "tls_setup_failed";
    case Failure::bad_response: return "bad_response";
    case Failure::response_too_large: return "response_too_large";
    case Failure::too_many_redirects: return "too_many_redirects";
    case Failure::bad_redirect: return "bad_redirect";
    case Failure::bad_url: return "bad_url";
    case Failure::bad_request: return "bad_request";
    case Failure::proxy_refused: return "proxy_refused";
    case Failure::call_failed: return "call_failed";
    case Failure::host_down: return "host_down";
  }
  return "call_failed";
}

bool transient(Failure failure) noexcept {
  switch (failure) {
    case Failure::dns_failed:
    case Failure::connect_failed:
    case Failure::connection_reset:
    case Failure::timeout:
    case Failure::look_up_timeout:
    case Failure::tls_failed:
    case Failure::truncated:
    case Failure::proxy_failed:
    case Failure::out_of_memory: return true;
    default: return false;
  }
}

Failure classify(int curl_code) noexcept {
  switch (curl_code) {
    case CURLE_OK: return Failure::none;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return Failure::dns_failed;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED: return Failure::connect_failed;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return Failure::connection_reset;
    case CURLE_OPERATION_TIMEDOUT: return Failure::timeout;
    case CURLE_SSL_CONNECT_ERROR: return Failure::tls_failed;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH: return Failure::certificate_invalid;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED: return Failure::tls_setup_failed;
    case CURLE_PARTIAL_FILE: return Failure::truncated;
    case CURLE_PROXY: return Failure::proxy_failed;
    // The scheme has been checked before: what is left is a response in a protocol nobody asked for (HTTP/0.9).
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case kCurlTooLarge: return Failure::bad_response;
    case CURLE_OUT_OF_MEMORY: return Failure::out_of_memory;
    case CURLE_FILESIZE_EXCEEDED: return Failure::response_too_large;
    case CURLE_TOO_MANY_REDIRECTS: return Failure::too_many_redirects;
    case CURLE_URL_MALFORMAT: return Failure::bad_url;
    default: return Failure::call_failed;
  }
}

}  // namespace pawl::http
