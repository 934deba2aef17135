// Many packs become one by concatenation: see PackFiles::join().

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "child_process.h"
#include "file_mapping.h"
#include "io_error.h"
#include "open_file.h"
#include "pack.h"
#include "pack_entry.h"
#include "pack_layout.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kJoinBufferBytes = 256 * 1024;
constexpr std::size_t kLookEvery = 1024;  // entries, for an interrupt

std::uint64_t number_at(Bytes bytes, std::size_t at, std::size_t size) noexcept {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes.subspan(at, size)) value = value << 8 | byte;
  return value;
}

/// One of the packs, with its entries in pack order.
class Source {
 public:
  static Result<Source> open(const fs::path& stem) {
    Source source;
    source.path_ = stem;
    if (Result<void> mapped = source.map(".idx", source.index_file_); !mapped) return std::unexpected(mapped.error());
    if (Result<void> mapped = source.map(".pack", source.pack_file_); !mapped) return std::unexpected(mapped.error());
    source.index_ = source.index_file_.span();
    source.pack_ = source.pack_file_.span();
    if (!source.is_whole()) return std::unexpected(source.damaged());
    return source;
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] ObjectId id(std::size_t at) const noexcept {
    ObjectId id;
    std::memcpy(id.data(), index_.data() + kNames + entries_[at].in_index * kIdBytes, kIdBytes);
    return id;
  }
  [[nodiscard]] std::uint32_t crc32(std::size_t at) const noexcept {
    return static_cast<std::uint32_t>(
        number_at(index_, kNames + size() * kIdBytes + entries_[at].in_index * std::size_t{4}, 4));
  }
  [[nodiscard]] std::uint64_t offset(std::size_t at) const noexcept { return entries_[at].offset; }
  void settle(std::size_t at, std::uint32_t taken, bool copied) noexcept {
    entries_[at].taken = taken;
    entries_[at].copied = copied;
  }
  [[nodiscard]] std::uint32_t taken(std::size_t at) const noexcept { return entries_[at].taken; }
  [[nodiscard]] bool copied(std::size_t at) const noexcept { return entries_[at].copied; }
  [[nodiscard]] Bytes entry(std::size_t at) const noexcept {
    const std::uint64_t end = at + 1 < size() ? offset(at + 1) : pack_.size() - kIdBytes;
    return pack_.subspan(offset(at), end - offset(at));
  }
  /// The entry that begins at `offset`.
  [[nodiscard]] std::optional<std::size_t> find(std::uint64_t offset) const noexcept {
    const auto found = std::ranges::lower_bound(entries_, offset, {}, &Entry::offset);
    if (found == entries_.end() || found->offset != offset) return std::nullopt;
    return static_cast<std::size_t>(found - entries_.begin());
  }
  [[nodiscard]] Error damaged() const {
    return {ErrorCode::repository, path_.string() + ".pack is not a whole pack: run git fsck"};
  }
  /// Its pages count as memory of this process no longer.
  void forget() const noexcept { ::madvise(const_cast<std::uint8_t*>(pack_.data()), pack_.size(), MADV_DONTNEED); }

 private:
  struct Entry {
    std::uint64_t offset;
    std::uint32_t in_index;   // its place there
    std::uint32_t taken = 0;  // what it is in the new pack
    bool copied = false;      // by this source
  };

  Result<void> map(const char* suffix, FileMapping& mapping) {
    const fs::path path = path_.string() + suffix;
    const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat state{};
    if (file.fd() < 0 || ::fstat(file.fd(), &state) != 0) return std::unexpected(io_error("open", path));
    if (state.st_size < static_cast<off_t>(kPackHeader + kIdBytes)) return std::unexpected(damaged());
    mapping = FileMapping(file.fd(), static_cast<std::uint64_t>(state.st_size));
    if (mapping.bytes() == nullptr) return std::unexpected(io_error("map", path));
    return {};
  }

  bool is_whole() {
    constexpr std::array<std::uint8_t, 8> kPackStart = {'P', 'A', 'C', 'K', 0, 0, 0, 2};
    if (index_.size() < kNames + 2 * kIdBytes || !std::ranges::equal(index_.first(8), kIndexStart)) return false;
    if (!std::ranges::equal(pack_.first(8), kPackStart)) return false;
    const std::uint64_t count = number_at(index_, kNames - 4, 4);
    const std::uint64_t least = kNames + count * (kIdBytes + 8) + 2 * kIdBytes;
    if (count != number_at(pack_, 8, 4) || index_.size() < least) return false;
    const std::size_t large = (index_.size() - least) / 8;
    // The index names the pack it belongs to.
    if (!std::ranges::equal(pack_.last(kIdBytes), index_.subspan(index_.size() - 2 * kIdBytes, kIdBytes))) return false;
    constexpr std::uint64_t kLarge = 1ull << 31;
    const std::size_t offsets = kNames + count * (kIdBytes + 4);
    entries_.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      std::uint64_t offset = number_at(index_, offsets + i * std::size_t{4}, 4);
      if ((offset & kLarge) != 0) {
        offset &= kLarge - 1;
        if (offset >= large) return false;
        offset = number_at(index_, offsets + count * 4 + offset * 8, 8);
      }
      entries_[i] = {offset, i};
    }
    std::ranges::sort(entries_, {}, &Entry::offset);
    std::uint64_t last = kPackHeader - 1;
    for (std::size_t at = 0; at < size(); ++at) {
      if (offset(at) <= last || offset(at) >= pack_.size() - kIdBytes) return false;
      last = offset(at);
    }
    return true;
  }

  fs::path path_;
  FileMapping index_file_;
  FileMapping pack_file_;
  Bytes index_;
  Bytes pack_;
  std::vector<Entry> entries_;  // by offset
};

/// The new pack: gathers, hashes and writes.
class JoinedPack {
 public:
  JoinedPack(int fd, const fs::path& path) : borrowed_fd_(fd), path_(path) { SHA1_Init(&hash_); }

  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
  Result<void> put(std::string_view bytes) {
    offset_ += bytes.size();
    buffer_ += bytes;
    return buffer_.size() < kJoinBufferBytes ? Result<void>{} : flush();
  }
  /// The trailer, and all that is not written yet.
  Result<ObjectId> finish() {
    if (Result<void> flushed = flush(); !flushed) return std::unexpected(flushed.error());
    ObjectId trailer;
    SHA1_Final(trailer.data(), &hash_);
    const std::string_view bytes(reinterpret_cast<const char*>(trailer.data()), trailer.size());
    if (Result<void> written = write_all(borrowed_fd_, {&bytes, 1}, path_); !written) {
      return std::unexpected(written.error());
    }
    return trailer;
  }

 private:
  Result<void> flush() {
    SHA1_Update(&hash_, buffer_.data(), buffer_.size());
    const std::string_view bytes = buffer_;
    Result<void> written = write_all(borrowed_fd_, {&bytes, 1}, path_);
    buffer_.clear();
    return written;
  }

  int borrowed_fd_;
  const fs::path& path_;
  std::string buffer_;
  std::uint64_t offset_ = 0;
  SHA_CTX hash_;
};

/// What has been taken from all sources so far, by id.
class Taken {
 public:
  explicit Taken(std::size_t most) {
    entries_.reserve(most);
    std::size_t slots = 1024;
    while (slots < 2 * most) slots *= 2;
    slots_.resize(slots);
  }
  /// Where the object stands in entries(), and whether it was not there before.
  std::pair<std::uint32_t, bool> add(const PackIndexEntry& entry) {
    std::uint32_t& slot = slots_[slot_of(entry.object_id)];
    if (slot != 0) return {slot - 1, false};
    entries_.push_back(entry);
    slot = static_cast<std::uint32_t>(entries_.size());
    return {slot - 1, true};
  }
  [[nodiscard]] std::vector<PackIndexEntry>& entries() noexcept { return entries_; }

 private:
  [[nodiscard]] std::size_t slot_of(const ObjectId& id) const noexcept {
    std::uint64_t hash;  // ids are evenly spread already
    std::memcpy(&hash, id.data(), sizeof hash);
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot] != 0 && entries_[slots_[slot] - 1].object_id != id) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }

  std::vector<PackIndexEntry> entries_;
  std::vector<std::uint32_t> slots_;  // index + 1, 0 for free; a power of two
};

/// A moved entry is as it was but for the distance to its base, if it is an offset delta.
/// `moved`: the entry with another distance; empty: it stands as it is. False: damaged.
bool move_entry(const Source& source, std::size_t at, std::span<const PackIndexEntry> taken, std::uint64_t new_offset,
                std::string& moved) {
  moved.clear();
  const Bytes entry = source.entry(at);
  if ((entry[0] >> 4 & 7) != kOffsetDelta) return true;
  std::size_t header = 0;
  while (header < entry.size() && (entry[header] & 0x80) != 0) ++header;
  if (++header >= entry.size()) return false;
  const std::optional<Distance> read = read_distance(entry.subspan(header));
  if (!read) return false;
  const std::uint64_t distance = read->bytes;
  const std::uint64_t old_offset = source.offset(at);
  const auto base = distance < old_offset ? source.find(old_offset - distance) : std::nullopt;
  if (!base) return false;
  const std::uint64_t base_offset = taken[source.taken(*base)].offset;  // 0: comes later
  if (base_offset == 0 || base_offset >= new_offset) return false;
  if (new_offset - base_offset == distance) return true;
  const auto* begin = reinterpret_cast<const char*>(entry.data());
  moved.assign(begin, header);
  append_distance(moved, new_offset - base_offset);
  const std::size_t rest = header + read->digits;
  moved.append(begin + rest, entry.size() - rest);
  return true;
}

/// Every object of all sources once, without an offset yet; the sources learn which is whose.
Taken take_all(std::vector<Source>& sources) {
  std::size_t all = 0;
  for (const Source& source : sources) all += source.size();
  Taken taken(all);
  for (Source& source : sources) {
    for (std::size_t at = 0; at < source.size(); ++at) {
      const auto [place, fresh] = taken.add({source.id(at), source.crc32(at), 0});
      source.settle(at, place, fresh);
    }
  }
  return taken;
}

/// A fresh file for what is temporary; `path` gets its name.
Result<std::unique_ptr<OpenFile>> make_temporary(const fs::path& folder, const char* prefix, fs::path& path) {
  std::string pattern = (folder / (std::string(prefix) + "XXXXXX")).string();
  auto file = std::make_unique<OpenFile>(::mkostemp(pattern.data(), O_CLOEXEC));
  if (file->fd() < 0) return std::unexpected(io_error("make", pattern));
  path = pattern;
  if (::fchmod(file->fd(), 0444) != 0) return std::unexpected(io_error("set the mode of", path));
  return file;
}

}  // namespace

Result<PackFiles> PackFiles::join(std::span<const fs::path> sources, const PackFolders& folders,
                                  const Interrupt& interrupt) {
  std::vector<Source> opened;
  for (const fs::path& stem : sources) {
    Result<Source> source = Source::open(stem);
    if (!source) return std::unexpected(std::move(source.error()));
    opened.push_back(std::move(*source));
  }
  Taken taken = take_all(opened);
  std::vector<PackIndexEntry>& entries = taken.entries();
  PackFiles files(folders);
  const fs::path folder = temporary_folder(folders);
  const Result<std::unique_ptr<OpenFile>> pack = make_temporary(folder, kTemporaryPack, files.temporary_pack_);
  if (!pack) return std::unexpected(pack.error());
  JoinedPack out((*pack)->fd(), files.temporary_pack_);
  std::string header("PACK\0\0\0\2", 8);
  append_big_endian(header, entries.size(), 4);
  if (const Result<void> put = out.put(header); !put) return std::unexpected(put.error());
  std::string moved;
  for (const Source& source : opened) {
    for (std::size_t at = 0; at < source.size(); ++at) {
      if (at % kLookEvery == 0 && interrupt.raised()) return failure(ErrorCode::repository, "interrupted");
      if (!source.copied(at)) continue;
      if (!move_entry(source, at, entries, out.offset(), moved)) return std::unexpected(source.damaged());
      const Bytes entry = source.entry(at);
      const std::string_view as_it_was(reinterpret_cast<const char*>(entry.data()), entry.size());
      PackIndexEntry& taken_as = entries[source.taken(at)];
      taken_as.offset = out.offset();
      if (!moved.empty()) taken_as.crc32 = crc32_of(moved);
      if (const Result<void> put = out.put(moved.empty() ? as_it_was : moved); !put) {
        return std::unexpected(put.error());
      }
    }
    source.forget();
  }
  const Result<ObjectId> trailer = out.finish();
  if (!trailer) return std::unexpected(trailer.error());
  if (::fdatasync((*pack)->fd()) != 0) return std::unexpected(io_error("sync", files.temporary_pack_));

  const std::string index = render_pack_index(entries, *trailer);
  const std::string_view whole = index;
  const Result<std::unique_ptr<OpenFile>> idx = make_temporary(folder, kTemporaryIndex, files.temporary_index_);
  if (!idx) return std::unexpected(idx.error());
  if (const Result<void> written = write_all((*idx)->fd(), {&whole, 1}, files.temporary_index_); !written) {
    return std::unexpected(written.error());
  }
  if (::fdatasync((*idx)->fd()) != 0) return std::unexpected(io_error("sync", files.temporary_index_));
  files.name_ = "pack-" + to_hex(*trailer);
  files.bytes_ = out.offset() + kIdBytes + index.size();
  files.objects_ = entries.size();
  return files;
}

}  // namespace pawl::git
