// A hash table in a file: 64-bit hashes to small entries, no memory per entry. The index of keys is one.
//
// Use it as a cache only: it is written without syncs, so after a crash it may hold anything, and it says so: the
// header is marked in use, durably, before the first change, and marked clean at the end. Entries are never deleted.
//
// Layout: a page of header, then 2^n pages (buckets) of 84 entries of 48 bytes behind 32 bytes of page header; every
// page has a CRC-32. The upper n bits of the hash choose the bucket; when it is full the next one is taken. Above
// 70 % load the file is written anew with twice the buckets. Numbers as they lie in memory: the file is private to
// one machine. It is not mapped: a mapping of all that a run touches would count as the process's memory.
//
// Not thread-safe: the index has the mutex.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <pawl/error.h>

#include "encoded.h"
#include "key_hash.h"

namespace pawl::git {

/// Closes a file descriptor.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) noexcept : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(other.release()) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle();
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int release() noexcept;
  int fd_ = -1;
};

class KeyTable {
 public:
  /// What kind of thing a hash stands for. Never 0: that is a free place.
  enum class Kind : std::uint8_t { key = 1, stream = 2 };

  struct Entry {
    std::uint64_t hash = 0;
    std::uint64_t number : 48 = 0;  // position of a key, or next position of a stream
    std::uint64_t kind : 8 = 0;
    std::uint64_t success : 8 = 0;
    std::array<std::uint8_t, 16> digest{};
    std::uint64_t run = 0;  // of a key: the TaskId of its record; 0 if it is not known
    std::uint64_t ordinal = 0;
  };
  static_assert(sizeof(Entry) == 48);
  static constexpr std::uint64_t kMaxNumber = (std::uint64_t{1} << 48) - 1;

  /// What the table is the cache of.
  struct Source {
    std::uint64_t branch_hash = 0;  // sip_hash with a zero seed of the branch's full name
    std::uint8_t has_tip = 0;       // 0: the branch is unborn
    ObjectId tip{};
    bool operator==(const Source&) const = default;
  };

  /// Opens `file` if it is a clean, undamaged table of `source`; reads all of it once to know. nullopt: there is none,
  /// it is damaged, unclean, or of another source. Errors: io.
  [[nodiscard]] static Result<std::optional<KeyTable>> open(const std::filesystem::path& file, const Source& source);

  /// Makes an empty table in place of whatever `file` is. Errors: io.
  [[nodiscard]] static Result<KeyTable> create(const std::filesystem::path& file);

  /// Ends the process if the disk cannot read: what is accepted is in the journal.
  [[nodiscard]] std::optional<Entry> find(std::uint64_t hash, Kind kind) const noexcept;
  /// Adds an entry or replaces the one of the same hash and kind. Errors of this and the next: io.
  [[nodiscard]] Result<void> put(const Entry& entry);
  /// Makes the table clean for `source`, durably.
  [[nodiscard]] Result<void> mark_clean(const Source& source);

  [[nodiscard]] const HashSeed& seed() const noexcept { return header_.seed; }
  [[nodiscard]] std::uint64_t keys() const noexcept { return header_.keys; }

  static constexpr std::size_t kPageSize = 4096;
  static constexpr std::size_t kEntriesPerPage = 84;

 private:
  struct Header {
    std::array<char, 8> magic{};
    std::uint32_t version = 0;
    std::uint32_t clean = 0;
    HashSeed seed{};
    std::uint64_t branch_hash = 0;
    std::uint64_t bucket_bits = 0;
    std::uint64_t keys = 0;     // entries of Kind::key
    std::uint64_t entries = 0;  // of any kind
    ObjectId tip{};
    std::uint8_t has_tip = 0;
    std::array<std::uint8_t, 3> unused{};
    std::uint32_t unused_too = 0;
    std::uint32_t crc = 0;  // of all before it
  };
  struct Page {
    std::uint32_t crc = 0;  // of all after it
    std::uint32_t count = 0;
    std::uint64_t number = 0;  // of the bucket: a page in the wrong place is a damaged one
    std::array<std::uint64_t, 2> unused{};
    std::array<Entry, kEntriesPerPage> entries{};
    std::array<std::uint64_t, 4> unused_too{};
  };
  static_assert(sizeof(Page) == kPageSize);

  KeyTable(std::filesystem::path file, FileHandle handle) : file_(std::move(file)), handle_(std::move(handle)) {}
  [[nodiscard]] static Result<KeyTable> create_empty(const std::filesystem::path& file, const HashSeed& seed,
                                                     std::uint64_t bucket_bits);

  [[nodiscard]] std::uint64_t buckets() const noexcept { return std::uint64_t{1} << header_.bucket_bits; }
  [[nodiscard]] std::uint64_t bucket_of(std::uint64_t hash) const noexcept {
    return hash >> (64 - header_.bucket_bits);
  }
  [[nodiscard]] Page page_at(std::uint64_t number) const noexcept;
  [[nodiscard]] static bool page_is_sound(const Page& page, std::uint64_t number) noexcept;
  [[nodiscard]] Result<void> write_page(std::uint64_t number, Page& page);
  [[nodiscard]] Result<void> write_header();
  [[nodiscard]] Result<void> sync();
  [[nodiscard]] Result<void> mark_in_use();
  [[nodiscard]] bool header_is_sound(std::uint64_t file_size) const noexcept;
  [[nodiscard]] bool pages_are_sound() const noexcept;
  [[nodiscard]] Result<void> insert(const Entry& entry);
  [[nodiscard]] Result<void> grow();
  [[nodiscard]] Result<void> move_entries_to(KeyTable& larger) const;
  [[nodiscard]] Error io_error(const char* what) const;

  std::filesystem::path file_;
  FileHandle handle_;
  Header header_;
};

}  // namespace pawl::git
