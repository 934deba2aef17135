#include "pack.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include "io_error.h"
#include "open_file.h"
#include "pack_entry.h"
#include "pack_index.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHeaderBytes = 12;        // "PACK", version, number of objects
constexpr std::size_t kBorrowFrom = 64 * 1024;  // copying less costs less than one more piece to write
constexpr std::size_t kFirstSlots = 1024;
constexpr std::size_t kStoredBlock = 65535;  // RFC 1951 section 3.2.4: most bytes in a stored block

/// A zlib stream that stores its content.
void append_stored(std::string& out, std::string_view content) {
  out += "\x78\x01";
  std::string_view rest = content;
  do {
    const std::string_view block = rest.substr(0, kStoredBlock);
    rest.remove_prefix(block.size());
    const auto length = static_cast<std::uint16_t>(block.size());
    const auto inverted = static_cast<std::uint16_t>(~length);
    out.push_back(rest.empty() ? '\1' : '\0');
    for (const std::uint16_t word : {length, inverted}) {
      out.push_back(static_cast<char>(word & 0xff));
      out.push_back(static_cast<char>(word >> 8));
    }
    out += block;
  } while (!rest.empty());
  append_big_endian(out, libdeflate_adler32(1, content.data(), content.size()), 4);
}

ObjectId sha1_of(std::span<const std::string_view> pieces) {
  SHA_CTX context;
  SHA1_Init(&context);
  for (const std::string_view piece : pieces) SHA1_Update(&context, piece.data(), piece.size());
  ObjectId digest;
  SHA1_Final(digest.data(), &context);
  return digest;
}

constexpr char kTemporaryKeep[] = "tmp_keep_";

/// Whether a file can be renamed from one to the other. Anything that cannot be looked at fails later, with its name.
bool on_one_file_system(const PackFolders& folders) {
  struct stat packs{};
  struct stat scratch{};
  return ::stat(folders.packs.c_str(), &packs) == 0 && ::stat(folders.scratch.c_str(), &scratch) == 0 &&
         packs.st_dev == scratch.st_dev;
}

/// Writes `pieces` durably into a fresh file in `folder`; `path` is its name as soon as it exists.
Result<void> write_temporary(const fs::path& folder, const std::string& prefix,
                             std::span<const std::string_view> pieces, fs::path& path) {
  std::string pattern = (folder / (prefix + "XXXXXX")).string();
  const OpenFile file(::mkostemp(pattern.data(), O_CLOEXEC));
  if (file.fd() < 0) return std::unexpected(io_error("make", pattern));
  path = pattern;
  const Result<void> written = write_all(file.fd(), pieces, path);
  if (!written) return written;
  if (::fchmod(file.fd(), 0444) != 0) return std::unexpected(io_error("set the mode of", path));
  if (::fdatasync(file.fd()) != 0) return std::unexpected(io_error("sync", path));
  return {};
}

}  // namespace

Result<void> write_all(int fd, std::span<const std::string_view> pieces, const fs::path& path) {
  constexpr std::size_t kMostPieces = 512;  // below IOV_MAX
  std::array<iovec, kMostPieces> vectors;
  std::size_t done = 0;  // of pieces[0]
  while (!pieces.empty()) {
    const std::size_t count = std::min(pieces.size(), kMostPieces);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view rest = pieces[i].substr(i == 0 ? done : 0);
      vectors[i] = {const_cast<char*>(rest.data()), rest.size()};  // writev only reads
    }
    const ssize_t wrote = ::writev(fd, vectors.data(), static_cast<int>(count));
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return std::unexpected(io_error("write", path));
    }
    done += static_cast<std::size_t>(wrote);
    while (!pieces.empty() && done >= pieces[0].size()) {
      done -= pieces[0].size();
      pieces = pieces.subspan(1);
    }
  }
  return {};
}

Result<void> sync_folder(const fs::path& folder) {
  const OpenFile file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.fd() < 0) return std::unexpected(io_error("open", folder));
  if (::fsync(file.fd()) != 0) return std::unexpected(io_error("sync", folder));
  return {};
}

Pack::Pack(std::uint64_t generation) : generation_(generation), slots_(kFirstSlots) {
  owned_.assign("PACK\0\0\0\2\0\0\0\0", kHeaderBytes);
  size_ = kHeaderBytes;
}

std::size_t Pack::slot_of(const ObjectId& object_id) const noexcept {
  // Ids are evenly spread already: their first bytes serve as the hash.
  std::uint64_t hash;
  std::memcpy(&hash, object_id.data(), sizeof hash);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  while (slots_[slot] != 0 && entries_[slots_[slot] - 1].object_id != object_id) slot = (slot + 1) & mask;
  return slot;
}

std::optional<std::uint64_t> Pack::find(const ObjectId& object_id) const noexcept {
  const std::uint32_t slot = slots_[slot_of(object_id)];
  if (slot == 0) return std::nullopt;
  return entries_[slot - 1].offset;
}

/// Reserves a place for an object; false if it is in already.
bool Pack::note(const ObjectId& object_id) {
  if (2 * (entries_.size() + 1) > slots_.size()) {
    slots_.assign(2 * slots_.size(), 0);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      slots_[slot_of(entries_[i].object_id)] = static_cast<std::uint32_t>(i + 1);
    }
  }
  const std::size_t slot = slot_of(object_id);
  if (slots_[slot] != 0) return false;
  entries_.push_back({object_id, 0, size_});
  slots_[slot] = static_cast<std::uint32_t>(entries_.size());
  return true;
}

/// Everything appended to owned_ since `begin` is the entry of the object noted last.
std::uint64_t Pack::finish_entry(std::size_t begin) {
  const std::string_view entry = std::string_view(owned_).substr(begin);
  entries_.back().crc32 = crc32_of(entry);
  size_ += entry.size();
  return entries_.back().offset;
}

std::optional<std::uint64_t> Pack::add(const ObjectId& object_id, ObjectType type, std::string_view content) {
  if (!note(object_id)) return std::nullopt;
  const std::size_t begin = owned_.size();
  append_pack_entry(owned_, type, content);
  return finish_entry(begin);
}

std::optional<std::uint64_t> Pack::add_ready(const ObjectId& object_id, std::string_view entry, std::uint32_t crc32) {
  if (!note(object_id)) return std::nullopt;
  if (entry.size() >= kBorrowFrom) {
    borrowed_pieces_.push_back({owned_.size(), entry});
  } else {
    owned_ += entry;
  }
  entries_.back().crc32 = crc32;
  size_ += entry.size();
  return entries_.back().offset;
}

std::optional<std::uint64_t> Pack::add_ready_delta(const ObjectId& object_id, std::uint64_t base_offset,
                                                   std::uint64_t size, std::string_view deflated) {
  if (!note(object_id)) return std::nullopt;
  const std::size_t begin = owned_.size();
  append_entry_header(owned_, kOffsetDelta, size);
  append_distance(owned_, size_ - base_offset);
  owned_ += deflated;
  return finish_entry(begin);
}

std::optional<std::uint64_t> Pack::add_delta(const ObjectId& object_id, std::uint64_t base_offset,
                                             std::string_view delta) {
  if (!note(object_id)) return std::nullopt;
  const std::size_t begin = owned_.size();
  append_entry_header(owned_, kOffsetDelta, delta.size());
  append_distance(owned_, size_ - base_offset);
  append_stored(owned_, delta);
  return finish_entry(begin);
}

std::vector<std::string_view> Pack::pieces() const {
  std::vector<std::string_view> pieces;
  pieces.reserve(2 * borrowed_pieces_.size() + 2);
  const std::string_view owned = owned_;
  std::size_t done = 0;
  for (const Borrowed& borrowed : borrowed_pieces_) {
    pieces.push_back(owned.substr(done, borrowed.after - done));
    pieces.push_back(borrowed.bytes);
    done = borrowed.after;
  }
  pieces.push_back(owned.substr(done));
  return pieces;
}

Result<PackFiles> PackFiles::write(Pack& pack, const PackFolders& folders) {
  if (::mkdir(folders.packs.c_str(), 0777) != 0 && errno != EEXIST) {
    return std::unexpected(io_error("make", folders.packs));
  }
  const fs::path folder = temporary_folder(folders);
  std::string count;
  append_big_endian(count, pack.entries_.size(), 4);
  std::memcpy(pack.owned_.data() + 8, count.data(), count.size());

  std::vector<std::string_view> pieces = pack.pieces();
  const ObjectId trailer = sha1_of(pieces);
  pieces.emplace_back(reinterpret_cast<const char*>(trailer.data()), trailer.size());

  PackFiles files(folders);
  files.name_ = "pack-" + to_hex(trailer);
  const Result<void> pack_written = write_temporary(folder, kTemporaryPack, pieces, files.temporary_pack_);
  if (!pack_written) return std::unexpected(pack_written.error());
  const std::string index = render_pack_index(pack.entries_, trailer);
  const std::string_view whole = index;
  const Result<void> index_written = write_temporary(folder, kTemporaryIndex, {&whole, 1}, files.temporary_index_);
  if (!index_written) return std::unexpected(index_written.error());
  files.bytes_ = pack.size_ + trailer.size() + index.size();
  files.objects_ = pack.entries_.size();
  return files;
}

fs::path PackFiles::temporary_folder(const PackFolders& folders) {
  return on_one_file_system(folders) ? folders.scratch : folders.packs;
}

PackFiles::PackFiles(PackFiles&& other) noexcept
    : folder_(std::move(other.folder_)),
      owner_(std::move(other.owner_)),
      name_(std::move(other.name_)),
      temporary_pack_(std::exchange(other.temporary_pack_, {})),
      temporary_index_(std::exchange(other.temporary_index_, {})),
      kept_(std::exchange(other.kept_, {})),
      bytes_(other.bytes_),
      objects_(other.objects_) {}

PackFiles::~PackFiles() {
  // What cannot be removed now is removed by clean_up().
  for (const fs::path* path : {&temporary_pack_, &temporary_index_, &kept_}) {
    if (!path->empty()) ::unlink(path->c_str());
  }
}

/// Tells a `.keep` file of ours from a person's, and from that of a run in another work tree of the repository.
std::string PackFiles::owner_line(const PackFolders& folders) {
  return "pawl: being published from " + folders.scratch.string() + "\n";
}

void PackFiles::clean_up(const PackFolders& folders) noexcept {
  std::error_code ignored;  // a folder that cannot be read is complained about by those who need it
  for (fs::directory_iterator entry(folders.scratch, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    const bool ours =
        name.starts_with(kTemporaryPack) || name.starts_with(kTemporaryIndex) || name.starts_with(kTemporaryKeep);
    if (ours) ::unlink(entry->path().c_str());
  }
  const std::string owner = owner_line(folders);
  for (fs::directory_iterator entry(folders.packs, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    if (entry->path().extension() != ".keep") continue;
    std::ifstream file(entry->path());
    std::string line;
    if (std::getline(file, line) && line + '\n' == owner) ::unlink(entry->path().c_str());
  }
}

/// From here on neither `git gc` nor `git repack` touches a pack of that name.
Result<void> PackFiles::keep() {
  const fs::path path = folder_ / (name_ + ".keep");
  if (::access(path.c_str(), F_OK) == 0) return {};  // a person keeps that very pack
  // Whole or not at all: an empty one that a kill left could not be told from a person's.
  std::string pattern = (temporary_pack_.parent_path() / (std::string(kTemporaryKeep) + "XXXXXX")).string();
  const OpenFile file(::mkostemp(pattern.data(), O_CLOEXEC));
  if (file.fd() < 0) return std::unexpected(io_error("make", pattern));
  kept_ = pattern;
  const std::string_view owner = owner_;
  if (const Result<void> written = write_all(file.fd(), {&owner, 1}, kept_); !written) return written;
  if (::rename(kept_.c_str(), path.c_str()) != 0) return std::unexpected(io_error("make", path));
  kept_ = path;
  return {};
}

Result<void> PackFiles::install() {
  if (const Result<void> kept = keep(); !kept) return kept;
  const auto rename_to = [this](fs::path& from, const char* suffix) -> Result<void> {
    const fs::path to = folder_ / (name_ + suffix);
    if (::rename(from.c_str(), to.c_str()) != 0) return std::unexpected(io_error("rename to", to));
    from.clear();
    return {};
  };
  // Readers find a pack by its index, so the index comes last.
  if (const Result<void> renamed = rename_to(temporary_pack_, ".pack"); !renamed) return renamed;
  if (const Result<void> renamed = rename_to(temporary_index_, ".idx"); !renamed) return renamed;
  return sync_folder(folder_);
}

}  // namespace pawl::git
