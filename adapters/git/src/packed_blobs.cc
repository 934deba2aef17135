#include "packed_blobs.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "delta.h"
#include "object_id.h"
#include "open_file.h"
#include "pack_entry.h"
#include "pack_layout.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTrailers = 2 * 20;     // of pack and index
constexpr std::uint64_t kLargest = 1u << 30;  // what is larger is left to git
constexpr std::uint64_t kNoEntry = 0;         // no entry begins there
constexpr std::size_t kBases = 256;           // a power of two
constexpr std::uint64_t kLargestBase = 64 * 1024;
constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15;  // 2^64 by the golden ratio, to spread offsets
constexpr std::uint64_t kTouchedMost = 64ull * 1024 * 1024;
constexpr std::uint64_t kTouchedAround = 64 * 1024;  // the kernel maps so much with each page, if it has that

std::uint32_t word_at(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return static_cast<std::uint32_t>(bytes[at]) << 24 | static_cast<std::uint32_t>(bytes[at + 1]) << 16 |
         static_cast<std::uint32_t>(bytes[at + 2]) << 8 | bytes[at + 3];
}

FileMapping map(const fs::path& path, std::int64_t* made) {
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct ::stat status{};
  if (file.fd() < 0 || ::fstat(file.fd(), &status) != 0 || status.st_size <= 0) return {};
  if (made != nullptr) *made = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  return {file.fd(), static_cast<std::uint64_t>(status.st_size)};
}

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* one) const noexcept { libdeflate_free_decompressor(one); }
};

libdeflate_decompressor* decompressor_of_this_thread() {
  thread_local const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> one{libdeflate_alloc_decompressor()};
  return one.get();
}

/// What an entry begins with, before its stream.
struct EntryStart {
  std::uint8_t type = 0;
  std::uint64_t size = 0;      // inflated
  std::uint64_t distance = 0;  // of an offset delta's base, backwards
  std::size_t bytes = 0;
};

bool read_start(std::span<const std::uint8_t> entry, EntryStart& start) noexcept {
  // Type and size: 4 bits of the size beside the type, then 7 a byte, the low ones first.
  std::size_t at = 0;
  const std::uint8_t first = entry[at++];
  start.type = first >> 4 & 7;
  start.size = first & 15;
  int shift = 4;
  for (std::uint8_t byte = first; (byte & 0x80) != 0; shift += 7) {
    if (at >= entry.size() || shift > 28) return false;
    byte = entry[at++];
    start.size |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
  }
  if (start.type == kOffsetDelta) {
    const std::optional<Distance> distance = read_distance(entry.subspan(at));
    if (!distance) return false;
    start.distance = distance->bytes;
    at += distance->digits;
  }
  start.bytes = at;
  return at < entry.size();
}

/// A zlib stream of `size` bytes.
bool inflate(std::span<const std::uint8_t> stream, std::uint64_t size, std::string& content) {
  libdeflate_decompressor* const decompressor = decompressor_of_this_thread();
  if (size > kLargest || decompressor == nullptr) return false;
  // Not the room that the callback is told of: libstdc++ 12 tells it of the capacity if the string has to grow.
  content.resize_and_overwrite(size, [&](char* out, std::size_t) {
    std::size_t taken = 0, made = 0;
    const auto result =
        libdeflate_zlib_decompress_ex(decompressor, stream.data(), stream.size(), out, size, &taken, &made);
    return result == LIBDEFLATE_SUCCESS && made == size ? size : 0;
  });
  return content.size() == size;
}

}  // namespace

bool PackedBlobs::load(const fs::path& index, Pack& pack) {
  fs::path data = index;
  data.replace_extension(".pack");
  pack.index_file = map(index, nullptr);
  pack.pack_file = map(data, &pack.made);
  pack.index = pack.index_file.span();
  pack.pack = pack.pack_file.span();
  if (pack.pack.size() < kPackHeader + 20 || pack.index.size() < kNames + kTrailers) return false;
  if (!std::ranges::equal(pack.index.first(kIndexStart.size()), kIndexStart)) return false;
  pack.objects = word_at(pack.index, kNames - 4);
  return pack.index.size() >= kNames + pack.objects * (20 + 4 + 4) + kTrailers;
}

PackedBlobs PackedBlobs::open(const fs::path& folder) {
  PackedBlobs blobs;
  std::error_code ignored;  // what is not found here is asked of git
  for (fs::directory_iterator at(folder, ignored), end; !ignored && at != end; at.increment(ignored)) {
    if (at->path().extension() != ".idx") continue;
    Pack pack;
    if (load(at->path(), pack)) blobs.packs_.push_back(std::move(pack));
  }
  std::ranges::sort(blobs.packs_, {}, &Pack::made);
  return blobs;
}

std::uint64_t PackedBlobs::offset_of(const Pack& pack, const ObjectId& blob) noexcept {
  std::size_t low = blob[0] == 0 ? 0 : word_at(pack.index, kFanout + (blob[0] - 1u) * 4);
  std::size_t high = word_at(pack.index, kFanout + blob[0] * 4u);
  if (high > pack.objects) return kNoEntry;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const int order = std::memcmp(pack.index.data() + kNames + middle * 20, blob.data(), blob.size());
    if (order == 0) {
      const std::uint32_t offset = word_at(pack.index, kNames + pack.objects * 24 + middle * 4);
      return (offset & 0x80000000u) == 0 && offset < pack.pack.size() - 20 ? offset : kNoEntry;  // beyond 2 GiB: git's
    }
    (order < 0 ? low : high) = order < 0 ? middle + 1 : middle;
  }
  return kNoEntry;
}

/// Of the cursor's pack.
bool PackedBlobs::read_at(std::uint64_t offset, Cursor& cursor, std::string& content) const {
  const std::span<const std::uint8_t> pack = packs_[cursor.pack].pack;
  EntryStart start;
  if (offset < kPackHeader || offset >= pack.size() || !read_start(pack.subspan(offset), start)) return false;
  const std::span<const std::uint8_t> stream = pack.subspan(offset + start.bytes);
  if (start.type == static_cast<std::uint8_t>(ObjectType::blob)) return inflate(stream, start.size, content);
  if (start.type != kOffsetDelta || start.distance >= offset) return false;
  const std::string* const base = base_at(offset - start.distance, cursor);
  return base != nullptr && inflate(stream, start.size, cursor.delta) &&
         apply_delta(content, *base, cursor.delta, kLargest);
}

/// The whole blob there; null: there is none.
const std::string* PackedBlobs::base_at(std::uint64_t offset, Cursor& cursor) const {
  cursor.bases.resize(kBases);
  Cursor::Base& base = cursor.bases[offset * kSpread >> 32 & (kBases - 1)];
  if (base.offset == offset && base.pack == cursor.pack) return &base.content;
  base.offset = kNoEntry;
  const std::span<const std::uint8_t> pack = packs_[cursor.pack].pack;
  EntryStart start;
  if (offset < kPackHeader || !read_start(pack.subspan(offset), start)) return nullptr;
  if (start.type != static_cast<std::uint8_t>(ObjectType::blob) || start.size > kLargestBase) return nullptr;
  if (!inflate(pack.subspan(offset + start.bytes), start.size, base.content)) return nullptr;
  base.pack = cursor.pack;
  base.offset = offset;
  return &base.content;
}

/// Goes on to a pack, or on in it. What was read lies behind.
void PackedBlobs::move(Cursor& cursor, std::size_t pack) const noexcept {
  if (pack == cursor.pack && cursor.touched < kTouchedMost) return;
  packs_[cursor.pack].index_file.give_pages_back();
  packs_[cursor.pack].pack_file.give_pages_back();
  cursor.pack = pack;
  cursor.touched = 0;
}

bool PackedBlobs::read(const ObjectId& blob, Cursor& cursor, std::string& content) const {
  const std::size_t count = packs_.size();
  for (std::size_t i = 0; i < count; ++i) {
    // First where the last one was, then the packs behind and before it, ever farther away.
    const std::size_t apart = (i + 1) / 2;
    const std::size_t number = (cursor.pack + (i % 2 == 1 ? apart : count - apart)) % count;
    const Pack& pack = packs_[number];
    const std::uint64_t offset = offset_of(pack, blob);
    if (offset == kNoEntry) continue;
    move(cursor, number);
    if (!read_at(offset, cursor, content)) return false;
    cursor.touched += kTouchedAround + content.size();
    return true;
  }
  return false;
}

}  // namespace pawl::git
