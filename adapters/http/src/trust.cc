#include "trust.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <string_view>

namespace pawl::http {

bool Trust::usable() noexcept {
  const char* with = curl_version_info(CURLVERSION_NOW)->ssl_version;
  if (with == nullptr) return false;
  const std::string_view name = with;
  return name.starts_with("OpenSSL/") && name.substr(8) == OpenSSL_version(OPENSSL_VERSION_STRING);
}

X509_STORE* Trust::store() noexcept {
  if (store_ != nullptr) return store_.get();
  std::unique_ptr<X509_STORE, FreeStore> store(X509_STORE_new());
  if (store == nullptr || X509_STORE_load_file(store.get(), file_.c_str()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  // As libcurl does: prefer what is trusted to what the server sends along, and let any trusted certificate end a
  // chain.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
  store_ = std::move(store);
  return store_.get();
}

CURLcode Trust::on_context(CURL*, void* context, void* trust) noexcept {
  X509_STORE* const store = static_cast<Trust*>(trust)->store();
  if (store == nullptr) return CURLE_SSL_CACERT_BADFILE;
  SSL_CTX_set1_cert_store(static_cast<SSL_CTX*>(context), store);
  return CURLE_OK;
}

void Trust::attach(CURL* easy) noexcept {
  curl_easy_setopt(easy, CURLOPT_CAINFO, nullptr);
  curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, nullptr);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, nullptr);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, &Trust::on_context);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, this);
}

}  // namespace pawl::http
