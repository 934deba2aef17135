// Certificates of every kind, made in memory, and TLS on the server's side of a scripted connection.
//
// For tests of a client's behaviour. One thread a connection, as in scripted_server.h.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "scripted_server.h"

namespace pawl::test {

template <auto kFree>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const noexcept {
    kFree(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using X509Handle = std::unique_ptr<X509, OpensslDeleter<X509_free>>;

/// A key and a certificate for it, signed by another one or by itself.
class Certificate {
 public:
  struct Kind {
    std::string name = "IP:127.0.0.1";  // as in subjectAltName
    bool authority = false;
    std::chrono::seconds from{-3600};  // validity, from now
    std::chrono::seconds until{3600};
  };
  explicit Certificate(const Kind& kind, const Certificate* issuer = nullptr)
      : key_(EVP_EC_gen("P-256")), x509_(X509_new()) {
    X509* x509 = x509_.get();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial());
    X509_gmtime_adj(X509_getm_notBefore(x509), static_cast<long>(kind.from.count()));
    X509_gmtime_adj(X509_getm_notAfter(x509), static_cast<long>(kind.until.count()));
    X509_set_pubkey(x509, key_.get());
    X509_NAME* name = X509_get_subject_name(x509);
    const std::string common = "pawl test " + std::to_string(serial());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(x509, issuer != nullptr ? X509_get_subject_name(issuer->x509_.get()) : name);
    add(NID_basic_constraints, kind.authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!kind.authority) add(NID_subject_alt_name, kind.name.c_str());
    EXPECT_GT(X509_sign(x509, (issuer != nullptr ? issuer->key_ : key_).get(), EVP_sha256()), 0);
  }

  [[nodiscard]] EVP_PKEY* key() const { return key_.get(); }
  [[nodiscard]] X509* x509() const { return x509_.get(); }

  /// Writes it as PEM, for a client to trust.
  void write(const std::filesystem::path& file) const {
    const std::unique_ptr<BIO, OpensslDeleter<BIO_free>> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), x509_.get());
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &bytes);
    std::ofstream(file).write(bytes, size);
  }

 private:
  static long& serial() {
    static long last = 0;
    return last;
  }
  void add(int extension, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, x509_.get(), x509_.get(), nullptr, nullptr, 0);
    X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value);
    ASSERT_NE(made, nullptr);
    X509_add_ext(x509_.get(), made, -1);
    X509_EXTENSION_free(made);
  }

  Key key_;
  X509Handle x509_;
};

/// TLS over one connection, with a certificate. Any number of threads, each with its own.
class TlsSession {
 public:
  TlsSession(Connection& connection, const Certificate& certificate, const char* protocol = nullptr)
      : context_(SSL_CTX_new(TLS_server_method())) {
    ::signal(SIGPIPE, SIG_IGN);  // the library writes to connections that a client has closed
    SSL_CTX_use_certificate(context_.get(), certificate.x509());
    SSL_CTX_use_PrivateKey(context_.get(), certificate.key());
    if (protocol != nullptr) {
      protocol_ = std::string(1, static_cast<char>(std::char_traits<char>::length(protocol))) + protocol;
      SSL_CTX_set_alpn_select_cb(context_.get(), choose, this);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), connection.fd());
  }

  /// The handshake. False: the client does not like it.
  [[nodiscard]] bool accept() {
    const bool accepted = SSL_accept(ssl_.get()) == 1;
    ERR_clear_error();
    return accepted;
  }
  /// The head of the next request. Empty: the client has gone.
  [[nodiscard]] std::string read_head() {
    std::string text;
    char byte = 0;
    while (!text.ends_with("\r\n\r\n")) {
      if (read(&byte, 1) != 1) return {};
      text.push_back(byte);
    }
    return text;
  }
  /// Bytes read, at most `size`; 0: the client has gone.
  [[nodiscard]] std::size_t read(char* bytes, std::size_t size) {
    const int got = SSL_read(ssl_.get(), bytes, static_cast<int>(size));
    ERR_clear_error();
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  bool send(std::string_view bytes) {
    const bool sent = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
    ERR_clear_error();
    return sent;
  }
  /// Says that nothing more comes (close_notify). Without it the connection is cut off.
  void finish() {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }

 private:
  static int choose(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned int offered_size, void* session) {
    const std::string& ours = static_cast<TlsSession*>(session)->protocol_;
    unsigned char* out = nullptr;
    const int found = SSL_select_next_proto(&out, size, reinterpret_cast<const unsigned char*>(ours.data()),
                                            static_cast<unsigned>(ours.size()), offered, offered_size);
    *chosen = out;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
  }

  std::string protocol_;  // in ALPN's form
  std::unique_ptr<SSL_CTX, OpensslDeleter<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, OpensslDeleter<SSL_free>> ssl_;
};

}  // namespace pawl::test
