// Compressed bodies, as servers send them.
#pragma once

#include <zlib.h>

#include <string>

#include <gtest/gtest.h>

namespace pawl::test {

inline constexpr int kGzip = 15 + 16;     // RFC 1952
inline constexpr int kZlib = 15;          // RFC 1950, what HTTP calls deflate
inline constexpr int kBareDeflate = -15;  // RFC 1951, what some servers send for it

inline std::string packed(const std::string& plain, int window_bits = kGzip) {
  std::string out(compressBound(plain.size()) + 64, '\0');
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string in = plain;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace pawl::test
