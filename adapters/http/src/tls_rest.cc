#include "tls_rest.h"

#include <openssl/ssl.h>

#include "trust.h"

namespace pawl::http {

const void* tls_session(CURL* easy) noexcept {
  static const bool ours = Trust::usable();
  curl_tlssessioninfo* info = nullptr;
  if (!ours || curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || info == nullptr) return nullptr;
  return info->backend == CURLSSLBACKEND_OPENSSL ? info->internals : nullptr;
}

bool holds_bytes(const void* session) noexcept { return SSL_has_pending(static_cast<const SSL*>(session)) == 1; }

}  // namespace pawl::http
