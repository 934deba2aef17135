// The entries of an index file, versions 2 and 3, one after another through a small buffer. gitformat-index(5).
//
// Reading it changes nothing and keeps nothing: memory does not grow with the file. When not to use it: for a single
// path of a file one has in memory anyway. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "encoded.h"
#include "index_changes.h"

namespace pawl::git {

constexpr std::size_t kIndexHeaderBytes = 12;     // "DIRC", version, number of entries
constexpr std::uint16_t kAssumeValid = 0x8000;    // flags: a person says the file does not change
constexpr std::uint16_t kExtended = 0x4000;       // flags: a second word of them follows
constexpr std::uint16_t kStageBits = 0x3000;      // flags: side of a conflict, 0 for none
constexpr std::uint16_t kPathBytesBits = 0x0fff;  // flags: length of the path, or this if it is no shorter
constexpr std::uint16_t kSkipWorkTree = 0x4000;   // extended flags: sparse checkout has no file for it
constexpr std::uint16_t kIntentToAdd = 0x2000;    // extended flags: git add -N
constexpr std::size_t kSizeFieldAt = 36;          // of an entry: the size of the file
constexpr std::size_t kFixedEntryBytes = 62;      // of an entry, up to the path
constexpr std::size_t kExtendedEntryBytes = 64;   // the same with extended flags
constexpr std::uint32_t kModeFile = 0100644;
constexpr std::uint32_t kModeExecutable = 0100755;

/// Bytes of an entry in the file: at least one NUL behind the path, up to a multiple of 8.
[[nodiscard]] constexpr std::size_t entry_bytes(std::size_t fixed, std::size_t path) noexcept {
  return (fixed + path + 8) / 8 * 8;
}

struct IndexEntry {
  std::uint64_t offset;   // in the file
  std::uint32_t bytes;    // in the file
  std::string_view path;  // until the next call
  std::uint32_t mode;
  std::uint16_t flags;
  std::uint16_t extended;  // 0 if there are none
  FileState file;
  ObjectId blob;
};

class IndexReader {
 public:
  /// `fd` is borrowed, at its beginning, and has `size` bytes.
  IndexReader(int fd, std::uint64_t size);
  ~IndexReader();
  IndexReader(const IndexReader&) = delete;
  IndexReader& operator=(const IndexReader&) = delete;

  /// Reads the header. False: not an index of version 2 or 3.
  [[nodiscard]] bool begin();
  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
  [[nodiscard]] std::uint32_t entries() const noexcept { return entries_; }

  /// The next entry; none at the end, and if the file is damaged: finish() tells which.
  [[nodiscard]] std::optional<IndexEntry> next();

  /// Where the entries end and the extensions begin. Known at the end.
  [[nodiscard]] std::uint64_t entries_end() const noexcept { return entries_end_; }

  struct Piece {
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  /// After the last entry: reads what follows. False: damaged (order, lengths, checksum), or it has an extension that
  /// one must understand. The extension to keep is `kept()`.
  [[nodiscard]] bool finish();
  [[nodiscard]] const Piece& kept() const noexcept { return kept_; }

 private:
  struct Hash;

  [[nodiscard]] bool need(std::size_t bytes);
  void skip(std::size_t bytes) noexcept { begin_ += bytes; }
  [[nodiscard]] const std::uint8_t* here() const noexcept { return buffer_.data() + begin_; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return read_ - (end_ - begin_); }
  [[nodiscard]] std::optional<std::size_t> path_bytes(std::size_t fixed, std::uint16_t flags);
  [[nodiscard]] bool pass(std::uint64_t bytes);

  int borrowed_fd_;
  std::uint64_t body_;  // bytes before the checksum
  std::uint64_t read_ = 0;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;  // of what is in the buffer and not taken yet
  std::size_t end_ = 0;
  std::unique_ptr<Hash> hash_;
  std::uint32_t version_ = 0;
  std::uint32_t entries_ = 0;
  std::uint32_t seen_ = 0;
  std::uint64_t entries_end_ = 0;
  bool damaged_ = false;
  Piece kept_;
};

}  // namespace pawl::git
