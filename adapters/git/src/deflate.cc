#include "deflate.h"

#include <isa-l/igzip_lib.h>
#include <libdeflate.h>

#include <array>
#include <cstddef>
#include <memory>
#include <new>

namespace pawl::git {
namespace {

struct FreeCompressor {
  void operator()(libdeflate_compressor* compressor) const noexcept { libdeflate_free_compressor(compressor); }
};
using Compressor = std::unique_ptr<libdeflate_compressor, FreeCompressor>;

// Records are written once and read rarely: speed before size. `git repack -adF` deflates all anew.
constexpr int kLevel = 1;

// In larger ones what is spent once counts for less, and codes of their own save more.
constexpr std::size_t kSmall = 8192;
constexpr unsigned kLearnFrom = 16;     // one in so many
constexpr unsigned kUsesOfCodes = 256;  // contents
constexpr std::size_t kHeadroom = 8;    // bytes that the stream's ends take

void append_by_itself(std::string& out, std::string_view content) {
  thread_local const Compressor compressor{libdeflate_alloc_compressor(kLevel)};
  if (!compressor) throw std::bad_alloc();
  const std::size_t begin = out.size();
  const std::size_t bound = libdeflate_zlib_compress_bound(compressor.get(), content.size());
  out.resize_and_overwrite(begin + bound, [&](char* data, std::size_t) noexcept {
    // The bound makes the result always fit.
    return begin + libdeflate_zlib_compress(compressor.get(), content.data(), content.size(), data + begin, bound);
  });
}

// ISA-L only reads what it is given.
std::uint8_t* bytes_of(std::string_view content) {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(content.data()));
}

/// Deflates with codes that fit what came before.
class Codes {
 public:
  /// False: `content` is unlike those, so nothing has been appended.
  bool append(std::string& out, std::string_view content) {
    if (use_ % kLearnFrom == 0) isal_update_histogram(bytes_of(content), static_cast<int>(content.size()), &seen_);
    if (++use_ >= kUsesOfCodes || !made_) make();

    thread_local const auto stream = std::make_unique<isal_zstream>();
    isal_deflate_stateless_init(stream.get());
    stream->hufftables = &codes_;
    stream->gzip_flag = IGZIP_ZLIB;
    stream->end_of_stream = 1;
    stream->flush = NO_FLUSH;
    stream->next_in = bytes_of(content);
    stream->avail_in = static_cast<std::uint32_t>(content.size());
    const std::size_t begin = out.size();
    // With no more room than this, what does not become smaller is refused.
    const std::size_t room = content.size() + kHeadroom;
    bool fits = false;
    out.resize_and_overwrite(begin + room, [&](char* data, std::size_t) noexcept {
      stream->next_out = reinterpret_cast<std::uint8_t*>(data + begin);
      stream->avail_out = static_cast<std::uint32_t>(room);
      fits = isal_deflate_stateless(stream.get()) == COMP_OK && stream->total_out < content.size();
      return begin + (fits ? stream->total_out : 0);
    });
    return fits;
  }

 private:
  void make() {
    isal_create_hufftables(&codes_, &seen_);  // whatever was not seen has a long code
    seen_ = {};
    use_ = 0;
    made_ = true;
  }

  isal_hufftables codes_{};
  isal_huff_histogram seen_{};
  unsigned use_ = 0;  // of codes_
  bool made_ = false;
};

}  // namespace

void append_deflated(std::string& out, std::string_view content, Deflated kind) {
  thread_local std::array<std::unique_ptr<Codes>, 4> all_codes;
  if (content.size() <= kSmall) {
    std::unique_ptr<Codes>& codes = all_codes[static_cast<std::size_t>(kind)];
    if (!codes) codes = std::make_unique<Codes>();
    if (codes->append(out, content)) return;
  }
  append_by_itself(out, content);
}

}  // namespace pawl::git
