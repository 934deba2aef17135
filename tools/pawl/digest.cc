#include "digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace pawl::tool {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

void require(bool worked) noexcept {
  if (worked) return;
  std::fputs("pawl: libcrypto cannot compute SHA-256\n", stderr);
  std::_Exit(70);
}

}  // namespace

struct Digester::Context {
  std::unique_ptr<EVP_MD_CTX, FreeContext> evp{EVP_MD_CTX_new()};

  void add(std::string_view part) noexcept {
    std::uint8_t length[8];
    for (unsigned i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(std::uint64_t{part.size()} >> (8 * i));
    require(EVP_DigestUpdate(evp.get(), length, sizeof length) == 1);
    require(EVP_DigestUpdate(evp.get(), part.data(), part.size()) == 1);
  }
};

Digester::Digester() : context_(std::make_unique<Context>()) {}
Digester::~Digester() = default;

void Digester::set(Request& request) noexcept {
  EVP_MD_CTX* evp = context_->evp.get();
  require(EVP_DigestInit_ex(evp, EVP_sha256(), nullptr) == 1);
  context_->add(request.method);
  context_->add(request.url);
  context_->add(request.content_type);
  for (const auto& header : request.headers) context_->add(header);
  context_->add(request.body);
  std::uint8_t sum[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  require(EVP_DigestFinal_ex(evp, sum, &size) == 1 && size >= request.digest.size());
  std::copy_n(sum, request.digest.size(), request.digest.begin());
}

}  // namespace pawl::tool
