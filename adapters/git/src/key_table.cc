#include "key_table.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "pack_entry.h"

namespace pawl::git {
namespace {

constexpr std::array<char, 8> kMagic = {'p', 'a', 'w', 'l', 'k', 'e', 'y', 's'};
constexpr std::uint32_t kVersion = 2;
constexpr std::uint64_t kFirstBucketBits = 4;
constexpr std::uint64_t kLastBucketBits = 40;

template <class T>
std::string_view bytes_from(const T& object, std::size_t begin, std::size_t end = sizeof(T)) noexcept {
  return {reinterpret_cast<const char*>(&object) + begin, end - begin};
}

bool all_zero(std::string_view bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

// Bytes read before the end of the file, or -1 with errno.
::ssize_t read_at(int fd, std::span<char> bytes, std::uint64_t offset) noexcept {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ::ssize_t n = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<::off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return static_cast<::ssize_t>(done);
}

bool write_at(int fd, std::string_view bytes, std::uint64_t offset) noexcept {
  while (!bytes.empty()) {
    const ::ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<::off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return true;
}

bool matches(const KeyTable::Entry& entry, std::uint64_t hash, KeyTable::Kind kind) noexcept {
  return entry.hash == hash && entry.kind == static_cast<std::uint8_t>(kind);
}

}  // namespace

// ---- file ------------------------------------------------------------------------------------------------------

int FileHandle::release() noexcept { return std::exchange(fd_, -1); }

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

Error KeyTable::io_error(const char* what) const {
  const int number = errno;
  return {ErrorCode::io, std::string(what) + " the index of keys " + file_.string() + ": " + std::strerror(number),
          number};
}

KeyTable::Page KeyTable::page_at(std::uint64_t number) const noexcept {
  Page page;
  const ::ssize_t size =
      read_at(handle_.get(), {reinterpret_cast<char*>(&page), sizeof page}, (number + 1) * kPageSize);
  if (size < 0) {
    std::fprintf(stderr, "pawl: %s\n", io_error("reading").context.c_str());
    std::abort();
  }
  return page;  // zeros where the file has been cut short
}

bool KeyTable::page_is_sound(const Page& page, std::uint64_t number) noexcept {
  if (page.crc == 0 && page.count == 0) return all_zero(bytes_from(page, 0));  // never written: the file is sparse
  return page.number == number && page.count <= kEntriesPerPage &&
         page.crc == crc32_of(bytes_from(page, offsetof(Page, count)));
}

Result<void> KeyTable::write_page(std::uint64_t number, Page& page) {
  page.number = number;
  page.crc = crc32_of(bytes_from(page, offsetof(Page, count)));
  if (write_at(handle_.get(), bytes_from(page, 0), (number + 1) * kPageSize)) return {};
  return std::unexpected(io_error("writing"));
}

Result<void> KeyTable::write_header() {
  header_.crc = crc32_of(bytes_from(header_, 0, offsetof(Header, crc)));
  if (write_at(handle_.get(), bytes_from(header_, 0), 0)) return {};
  return std::unexpected(io_error("writing"));
}

Result<void> KeyTable::sync() {
  if (::fdatasync(handle_.get()) != 0) return std::unexpected(io_error("syncing"));
  // The file may have been renamed into its place since.
  const FileHandle folder(::open(file_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return std::unexpected(io_error("syncing the folder of"));
  return {};
}

// ---- open and create -------------------------------------------------------------------------------------------

bool KeyTable::header_is_sound(std::uint64_t file_size) const noexcept {
  return header_.magic == kMagic && header_.version == kVersion &&
         header_.crc == crc32_of(bytes_from(header_, 0, offsetof(Header, crc))) &&
         header_.bucket_bits >= kFirstBucketBits && header_.bucket_bits <= kLastBucketBits &&
         file_size == (buckets() + 1) * kPageSize;
}

bool KeyTable::pages_are_sound() const noexcept {
  std::uint64_t entries = 0;
  std::uint64_t keys = 0;
  for (std::uint64_t number = 0; number < buckets(); ++number) {
    const Page page = page_at(number);
    if (!page_is_sound(page, number)) return false;
    entries += page.count;
    for (std::size_t i = 0; i < page.count; ++i) keys += page.entries[i].kind == static_cast<std::uint8_t>(Kind::key);
  }
  // A page that lost its content and reads as zeros is found by the sums.
  return entries == header_.entries && keys == header_.keys;
}

Result<std::optional<KeyTable>> KeyTable::open(const std::filesystem::path& file, const Source& source) {
  KeyTable table(file, FileHandle(::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW)));
  if (table.handle_.get() < 0) {
    if (errno == ENOENT || errno == ELOOP) return std::nullopt;
    return std::unexpected(table.io_error("opening"));
  }
  struct ::stat status{};
  if (::fstat(table.handle_.get(), &status) != 0) return std::unexpected(table.io_error("opening"));
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  const ::ssize_t size = read_at(table.handle_.get(), {reinterpret_cast<char*>(&table.header_), sizeof(Header)}, 0);
  if (size < 0) return std::unexpected(table.io_error("reading"));
  if (static_cast<std::size_t>(size) != sizeof(Header)) return std::nullopt;
  if (!table.header_is_sound(static_cast<std::uint64_t>(status.st_size))) return std::nullopt;
  const Source held{table.header_.branch_hash, table.header_.has_tip, table.header_.tip};
  if (table.header_.clean != 1 || held != source) return std::nullopt;
  if (!table.pages_are_sound()) return std::nullopt;
  return table;
}

Result<KeyTable> KeyTable::create_empty(const std::filesystem::path& file, const HashSeed& seed,
                                        std::uint64_t bucket_bits) {
  KeyTable table(file, FileHandle(::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)));
  if (table.handle_.get() < 0) return std::unexpected(table.io_error("making"));
  table.header_.magic = kMagic;
  table.header_.version = kVersion;
  table.header_.seed = seed;
  table.header_.bucket_bits = bucket_bits;
  const std::uint64_t size = (table.buckets() + 1) * kPageSize;
  if (::ftruncate(table.handle_.get(), static_cast<::off_t>(size)) != 0) {
    return std::unexpected(table.io_error("making"));
  }
  if (auto written = table.write_header(); !written) return std::unexpected(std::move(written.error()));
  return table;
}

Result<KeyTable> KeyTable::create(const std::filesystem::path& file) {
  HashSeed seed;
  while (::getrandom(seed.data(), sizeof seed, 0) != static_cast<::ssize_t>(sizeof seed)) {
    if (errno != EINTR) return failure(ErrorCode::io, "no random numbers for the index of keys", errno);
  }
  std::filesystem::path fresh = file;
  fresh += ".new";
  auto table = create_empty(fresh, seed, kFirstBucketBits);
  if (!table) return table;
  table->file_ = file;
  if (::rename(fresh.c_str(), file.c_str()) != 0) return std::unexpected(table->io_error("making"));
  return table;
}

// ---- entries ---------------------------------------------------------------------------------------------------

std::optional<KeyTable::Entry> KeyTable::find(std::uint64_t hash, Kind kind) const noexcept {
  std::uint64_t number = bucket_of(hash);
  for (std::uint64_t looked_at = 0; looked_at < buckets(); ++looked_at) {
    const Page page = page_at(number);
    const std::size_t count = std::min<std::size_t>(page.count, kEntriesPerPage);  // whoever else wrote to the file
    for (std::size_t i = 0; i < count; ++i) {
      if (matches(page.entries[i], hash, kind)) return page.entries[i];
    }
    // Nothing is ever deleted: a page with room has always had it, so nothing went past it.
    if (page.count < kEntriesPerPage) break;
    number = (number + 1) & (buckets() - 1);
  }
  return std::nullopt;
}

Result<void> KeyTable::put(const Entry& entry) {
  if (header_.clean != 0) {
    if (auto marked = mark_in_use(); !marked) return marked;
  }
  if ((header_.entries + 1) * 10 > buckets() * kEntriesPerPage * 7) {
    if (auto grown = grow(); !grown) return grown;
  }
  return insert(entry);
}

// Load stays below 70 %, so there is a page with room.
Result<void> KeyTable::insert(const Entry& entry) {
  std::uint64_t number = bucket_of(entry.hash);
  for (;;) {
    Page page = page_at(number);
    page.count = std::min<std::uint32_t>(page.count, kEntriesPerPage);
    std::size_t place = 0;
    while (place < page.count && !matches(page.entries[place], entry.hash, static_cast<Kind>(entry.kind))) ++place;
    if (place < kEntriesPerPage) {
      page.entries[place] = entry;
      if (place == page.count) {
        ++page.count;
        ++header_.entries;
        if (entry.kind == static_cast<std::uint8_t>(Kind::key)) ++header_.keys;
      }
      return write_page(number, page);
    }
    number = (number + 1) & (buckets() - 1);
  }
}

Result<void> KeyTable::mark_in_use() {
  header_.clean = 0;
  if (auto written = write_header(); !written) return written;
  // Synced before anything else is written: after a power failure a clean header must not stand before keys that
  // were put in since and never committed.
  return sync();
}

Result<void> KeyTable::mark_clean(const Source& source) {
  const Source held{header_.branch_hash, header_.has_tip, header_.tip};
  if (header_.clean != 0 && held == source) return {};
  if (auto synced = sync(); !synced) return synced;
  header_.branch_hash = source.branch_hash;
  header_.has_tip = source.has_tip;
  header_.tip = source.tip;
  header_.clean = 1;
  if (auto written = write_header(); !written) return written;
  return sync();
}

// ---- growing ---------------------------------------------------------------------------------------------------

Result<void> KeyTable::grow() {
  if (header_.bucket_bits == kLastBucketBits) {
    return failure(ErrorCode::io, "the index of keys " + file_.string() + " is full", ENOSPC);
  }
  std::filesystem::path fresh = file_;
  fresh += ".new";
  auto larger = create_empty(fresh, header_.seed, header_.bucket_bits + 1);
  if (!larger) return std::unexpected(std::move(larger.error()));
  if (auto moved = move_entries_to(*larger); !moved) return moved;
  if (::rename(fresh.c_str(), file_.c_str()) != 0) return std::unexpected(io_error("growing"));
  larger->file_ = file_;
  *this = std::move(*larger);
  return {};
}

// The upper bits choose the bucket, so those of bucket i go to 2i and 2i + 1: one pass in file order. Entries that
// did not fit into their own bucket are few; they follow at the end.
Result<void> KeyTable::move_entries_to(KeyTable& larger) const {
  std::vector<Entry> strays;
  for (std::uint64_t number = 0; number < buckets(); ++number) {
    const Page page = page_at(number);
    std::array<Page, 2> halves;
    for (std::size_t i = 0; i < page.count; ++i) {
      const std::uint64_t home = larger.bucket_of(page.entries[i].hash);
      if (home / 2 != number) {
        strays.push_back(page.entries[i]);
        continue;
      }
      Page& half = halves[home & 1];
      half.entries[half.count++] = page.entries[i];
    }
    for (std::size_t half = 0; half < halves.size(); ++half) {
      if (halves[half].count == 0) continue;
      if (auto written = larger.write_page(2 * number + half, halves[half]); !written) return written;
    }
  }
  for (const Entry& entry : strays) {
    if (auto inserted = larger.insert(entry); !inserted) return inserted;
  }
  larger.header_.entries = header_.entries;
  larger.header_.keys = header_.keys;
  return {};
}

}  // namespace pawl::git
