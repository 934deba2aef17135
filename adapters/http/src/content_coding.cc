#include "content_coding.h"

#include <zlib.h>

#include <array>

#include "headers.h"

namespace pawl::http {

namespace {

constexpr std::size_t kPieceBytes = 16 << 10;
// zlib's way to say which format: bits of the window, negative for no header, 16 more for gzip's.
constexpr int kWindowBits = 15;
constexpr int kGzipHeader = 16;
constexpr unsigned char kGzipFirstByte = 0x1f;

// First byte of RFC 1950: method 8, a window of at most 32 KB. A bare deflate block cannot begin with it.
bool begins_as_zlib(unsigned char first) noexcept { return (first & 0x8f) == 0x08; }

}  // namespace

Coding parse_coding(std::string_view value) noexcept {
  if (value.empty() || same_name(value, "identity")) return Coding::identity;
  if (same_name(value, "gzip") || same_name(value, "x-gzip")) return Coding::gzip;
  if (same_name(value, "deflate")) return Coding::deflate;
  return Coding::unknown;
}

struct ContentDecoder::Inflater {
  z_stream stream{};
  bool ready = false;

  explicit Inflater(int window_bits) noexcept { ready = inflateInit2(&stream, window_bits) == Z_OK; }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
};

ContentDecoder::ContentDecoder(Coding coding) noexcept : coding_(coding) {}
ContentDecoder::~ContentDecoder() = default;

bool ContentDecoder::begin(unsigned char first) noexcept {
  begun_ = true;
  const int bits = coding_ == Coding::gzip ? kWindowBits + kGzipHeader
                   : begins_as_zlib(first) ? kWindowBits
                                           : -kWindowBits;
  inflater_ = std::make_unique<Inflater>(bits);
  return inflater_->ready;
}

ContentDecoder::Verdict ContentDecoder::feed(std::string_view bytes, std::string& out, std::uint64_t out_max) {
  if (bytes.empty()) return Verdict::good;
  if (!begun_ && !begin(static_cast<unsigned char>(bytes.front()))) return Verdict::damaged;
  z_stream& stream = inflater_->stream;
  // zlib does not write to it, but its interface has no const.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::array<char, kPieceBytes> piece;
  do {
    if (ended_) {
      if (coding_ != Coding::gzip || *stream.next_in != kGzipFirstByte) return Verdict::damaged;
      if (inflateReset(&stream) != Z_OK) return Verdict::damaged;
      ended_ = false;
    }
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = kPieceBytes;
    const int status = inflate(&stream, Z_NO_FLUSH);
    const std::size_t made = kPieceBytes - stream.avail_out;
    const std::uint64_t room = out_max - out.size();
    out.append(piece.data(), made < room ? made : static_cast<std::size_t>(room));
    if (made > room) return Verdict::full;
    if (status == Z_STREAM_END) {
      ended_ = true;
    } else if (status == Z_BUF_ERROR) {
      break;  // it wants more than there is
    } else if (status != Z_OK) {
      return Verdict::damaged;
    }
  } while (stream.avail_in > 0 || (!ended_ && stream.avail_out == 0));
  return Verdict::good;
}

}  // namespace pawl::http
