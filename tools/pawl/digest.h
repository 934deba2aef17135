// "The same request": a digest of what is sent.
#pragma once

#include <memory>

#include <pawl/task.h>

namespace pawl::tool {

/// Sets request.digest: the first 16 bytes of the SHA-256 (FIPS 180-4) over method, url, content type, headers and
/// body, each preceded by its length as 8 bytes, least significant first. Headers given on the command line and
/// credentials are no part of it. One instance per thread.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;

  void set(Request& request) noexcept;

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace pawl::tool
