// Undoes the content coding of a response (RFC 9110 section 8.4.1), piece by piece, and knows whether what came was
// whole: libcurl could undo it too, but takes a compressed body that stops in its middle for a good one.
//
// When not to use it: for codings that no request asks for (br, zstd). One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace pawl::http {

/// What requests say they take, unless they have such a header of their own.
inline constexpr std::string_view kAcceptEncoding = "Accept-Encoding: gzip, deflate";

enum class Coding : std::uint8_t {
  identity,
  gzip,     // RFC 1952; several members in a row are one body
  deflate,  // RFC 1950, or RFC 1951 bare, which some servers send under this name
  unknown,
};
/// Value of Content-Encoding. More codings than one are unknown.
[[nodiscard]] Coding parse_coding(std::string_view value) noexcept;

class ContentDecoder {
 public:
  enum class Verdict : std::uint8_t {
    good,
    damaged,  // it is not of that coding, or a checksum is wrong, or more follows its end
    full,     // it grows beyond the bound; what fits has been appended
  };

  /// REQUIRES: gzip or deflate.
  explicit ContentDecoder(Coding coding) noexcept;
  ContentDecoder(const ContentDecoder&) = delete;
  ContentDecoder& operator=(const ContentDecoder&) = delete;
  ~ContentDecoder();

  /// Appends to `out` what `bytes` decode to, as long as `out` has no more than `out_max` bytes. Not to be fed again
  /// after a verdict other than good.
  [[nodiscard]] Verdict feed(std::string_view bytes, std::string& out, std::uint64_t out_max);

  /// Nothing is missing: fed to its end, or never.
  [[nodiscard]] bool whole() const noexcept { return !begun_ || ended_; }

 private:
  struct Inflater;
  [[nodiscard]] bool begin(unsigned char first) noexcept;

  Coding coding_;
  bool begun_ = false;
  bool ended_ = false;
  std::unique_ptr<Inflater> inflater_;  // 40 KB, from the first byte on
};

}  // namespace pawl::http
