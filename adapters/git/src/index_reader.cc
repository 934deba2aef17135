#include "index_reader.h"

#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace pawl::git {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kMostPathBytes = 64 * 1024;  // far over what a file system takes
constexpr std::size_t kChecksumBytes = 20;
constexpr std::size_t kExtensionHeaderBytes = 8;  // name, length

std::uint32_t word_at(const std::uint8_t* at) noexcept {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

std::uint16_t half_at(const std::uint8_t* at) noexcept {
  return static_cast<std::uint16_t>(std::uint16_t{at[0]} << 8 | at[1]);
}

/// Reads up to `size` bytes; less only at the end of the file or on an error.
std::size_t read_some(int fd, std::uint8_t* to, std::size_t size) noexcept {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd, to + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace

struct IndexReader::Hash {
  SHA_CTX context;
};

IndexReader::IndexReader(int fd, std::uint64_t size)
    : borrowed_fd_(fd),
      body_(size > kChecksumBytes ? size - kChecksumBytes : 0),
      buffer_(kReadBytes),
      hash_(std::make_unique<Hash>()) {
  SHA1_Init(&hash_->context);
}

IndexReader::~IndexReader() = default;

/// Has `bytes` of the body in the buffer, if there are as many.
bool IndexReader::need(std::size_t bytes) {
  if (end_ - begin_ >= bytes) return true;
  if (bytes > body_ - offset()) return false;
  std::memmove(buffer_.data(), here(), end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (buffer_.size() < bytes) buffer_.resize(2 * bytes);
  const std::uint64_t most = std::min<std::uint64_t>(buffer_.size() - end_, body_ - read_);
  const std::size_t got = read_some(borrowed_fd_, buffer_.data() + end_, most);
  SHA1_Update(&hash_->context, buffer_.data() + end_, got);
  end_ += got;
  read_ += got;
  return end_ - begin_ >= bytes;
}

bool IndexReader::begin() {
  if (!need(kIndexHeaderBytes) || std::memcmp(here(), "DIRC", 4) != 0) return false;
  version_ = word_at(here() + 4);
  entries_ = word_at(here() + 8);
  skip(kIndexHeaderBytes);
  entries_end_ = kIndexHeaderBytes;
  return version_ == 2 || version_ == 3;
}

/// Length of the path behind the fixed part: in the flags, or, if it does not fit there, up to the NUL.
std::optional<std::size_t> IndexReader::path_bytes(std::size_t fixed, std::uint16_t flags) {
  std::size_t length = flags & kPathBytesBits;
  if (length == kPathBytesBits) {
    for (;; ++length) {
      if (length > kMostPathBytes || !need(fixed + length + 1)) return std::nullopt;
      if (here()[fixed + length] == 0) break;
    }
  }
  if (length == 0 || !need(entry_bytes(fixed, length)) || here()[fixed + length] != 0) return std::nullopt;
  return length;
}

std::optional<IndexEntry> IndexReader::next() {
  if (damaged_ || seen_ == entries_) return std::nullopt;
  damaged_ = true;  // until the entry proves sound
  if (!need(kFixedEntryBytes + 2)) return std::nullopt;
  const std::uint16_t flags = half_at(here() + 60);
  const bool extended = (flags & kExtended) != 0;
  if (extended && version_ < 3) return std::nullopt;
  const std::size_t fixed = extended ? kExtendedEntryBytes : kFixedEntryBytes;
  const std::optional<std::size_t> length = path_bytes(fixed, flags);
  if (!length) return std::nullopt;

  const std::uint8_t* at = here();
  IndexEntry entry{.offset = offset(),
                   .bytes = static_cast<std::uint32_t>(entry_bytes(fixed, *length)),
                   .path = {reinterpret_cast<const char*>(at) + fixed, *length},
                   .mode = word_at(at + 24),
                   .flags = flags,
                   .extended = extended ? half_at(at + 62) : std::uint16_t{0},
                   .file = {.ctime_seconds = word_at(at),
                            .ctime_nanoseconds = word_at(at + 4),
                            .mtime_seconds = word_at(at + 8),
                            .mtime_nanoseconds = word_at(at + 12),
                            .device = word_at(at + 16),
                            .inode = word_at(at + 20),
                            .user = word_at(at + 28),
                            .group = word_at(at + 32),
                            .size = word_at(at + kSizeFieldAt)},
                   .blob = {}};
  std::memcpy(entry.blob.data(), at + 40, entry.blob.size());
  skip(entry.bytes);
  entries_end_ = offset();
  ++seen_;
  damaged_ = false;
  return entry;
}

/// Goes past bytes nobody needs.
bool IndexReader::pass(std::uint64_t bytes) {
  while (bytes != 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kReadBytes));
    if (!need(part)) return false;
    skip(part);
    bytes -= part;
  }
  return true;
}

bool IndexReader::finish() {
  if (damaged_ || seen_ != entries_) return false;
  while (offset() != body_) {
    const std::uint64_t begin = offset();
    if (!need(kExtensionHeaderBytes)) return false;
    const std::string_view name(reinterpret_cast<const char*>(here()), 4);
    if (name[0] < 'A' || name[0] > 'Z') return false;  // not optional
    const std::uint64_t bytes = kExtensionHeaderBytes + word_at(here() + 4);
    if (name == "REUC") kept_ = {begin, bytes};
    if (!pass(bytes)) return false;
  }
  std::array<std::uint8_t, kChecksumBytes> stored;
  ObjectId computed;
  static_assert(sizeof stored == sizeof computed);
  if (read_some(borrowed_fd_, stored.data(), stored.size()) != stored.size()) return false;
  SHA1_Final(computed.data(), &hash_->context);
  constexpr std::array<std::uint8_t, kChecksumBytes> kNone{};  // index.skipHash
  return stored == computed || stored == kNone;
}

}  // namespace pawl::git
