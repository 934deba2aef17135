// The certificates to trust, read once and used by every TLS connection of a wire.
//
// libcurl keeps what it has read per multi handle, and we have many: a bundle of the system's size costs 37 ms and
// 0.9 MB each time. When not to use it: with a libcurl that was not built with the OpenSSL that we were; usable() says.
// One thread at a time.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "curl_handles.h"

namespace pawl::http {

class Trust {
 public:
  /// `file`: PEM.
  explicit Trust(std::string file) : file_(std::move(file)) {}
  Trust(const Trust&) = delete;
  Trust& operator=(const Trust&) = delete;
  ~Trust() = default;

  /// libcurl makes its TLS connections with the OpenSSL that this was built with.
  [[nodiscard]] static bool usable() noexcept;

  /// Makes an easy handle's TLS connections trust these certificates and no others. Borrows this object.
  void attach(CURL* easy) noexcept;

 private:
  struct FreeStore {
    void operator()(X509_STORE* store) const noexcept { X509_STORE_free(store); }
  };

  /// Reads the file at the first TLS connection; nullptr if that fails.
  [[nodiscard]] X509_STORE* store() noexcept;
  static CURLcode on_context(CURL*, void* context, void* trust) noexcept;

  std::string file_;
  std::unique_ptr<X509_STORE, FreeStore> store_;
};

}  // namespace pawl::http
