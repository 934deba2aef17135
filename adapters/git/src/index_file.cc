#include "index_file.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "index_reader.h"
#include "io_error.h"
#include "open_file.h"
#include "pack.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::size_t kNoChange = static_cast<std::size_t>(-1);
constexpr std::uint32_t kModeTypeBits = 0170000;
constexpr std::uint32_t kModeSubmodule = 0160000;

/// Tells whether a file was put in the place of another. All zero: there is none.
struct FileIdentity {
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::array<std::int64_t, 4> times{};  // of content and inode, seconds and nanoseconds

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

FileIdentity identity_of(const struct stat& file) noexcept {
  return {file.st_ino,
          file.st_size,
          {file.st_mtim.tv_sec, file.st_mtim.tv_nsec, file.st_ctim.tv_sec, file.st_ctim.tv_nsec}};
}

/// Instead of `removed` bytes of the old file at `offset`, the new one has the entry of a change.
struct Edit {
  std::uint64_t offset;
  std::uint32_t removed;   // 0: the path is new
  std::uint16_t flags;     // of the old entry, what of them stays
  std::uint16_t extended;  // likewise
  std::size_t change;      // kNoChange: zeros, as many as removed
  std::uint32_t mode;
};

/// What becomes of the old file.
struct Plan {
  std::uint32_t version = 2;
  std::uint32_t entries = 0;
  std::uint64_t entries_end = kIndexHeaderBytes;
  IndexReader::Piece kept;
  std::vector<Edit> edits;  // by offset
};

/// Finds out, path after path in order, whether a file stands where others need a folder. Of all paths before, only
/// those that the present one begins with matter, and they are beginnings of each other.
class FilesOnTheWay {
 public:
  /// The file that stands where `path` needs a folder; none: nothing is in the way. What `add` was told about it.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view path) {
    const auto common = std::ranges::mismatch(path, last_).in1 - path.begin();
    while (!files_.empty() && files_.back().bytes > static_cast<std::size_t>(common)) files_.pop_back();
    for (const File& file : files_) {
      if (file.bytes < path.size() && path[file.bytes] == '/') return file.edit;
    }
    return std::nullopt;
  }
  /// REQUIRES: find(path) was called last.
  void add(std::string_view path, std::size_t edit) {
    files_.push_back({path.size(), edit});
    last_ = path;
  }

 private:
  struct File {
    std::size_t bytes;  // of its path, the beginning of last_
    std::size_t edit;
  };
  std::string last_;
  std::vector<File> files_;
};

/// Merges the changes with the old file's entries, in order.
class Planner {
 public:
  Planner(const IndexChanges& changes, const fs::path& root, const struct stat* old)
      : borrowed_changes_(changes),
        old_(old != nullptr),
        old_seconds_(old != nullptr ? static_cast<std::uint32_t>(old->st_mtim.tv_sec) : 0),
        root_(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

  /// None: the file is not one this can write.
  std::optional<Plan> make(int fd, std::uint64_t size) {
    if (old_) {
      IndexReader reader(fd, size);
      if (!reader.begin()) return std::nullopt;
      while (const std::optional<IndexEntry> entry = reader.next()) {
        if (!in_order(*entry)) return std::nullopt;
        pass(*entry);
      }
      if (!reader.finish()) return std::nullopt;
      plan_.version = reader.version();
      plan_.entries = reader.entries();
      plan_.entries_end = reader.entries_end();
      plan_.kept = reader.kept();
    }
    while (at_ < borrowed_changes_.size()) insert_next(plan_.entries_end);
    std::erase_if(plan_.edits, [](const Edit& edit) { return edit.offset == kBlocked; });
    for (const Edit& edit : plan_.edits) plan_.entries += edit.removed == 0 ? 1 : 0;
    return std::move(plan_);
  }

 private:
  static constexpr std::uint64_t kBlocked = static_cast<std::uint64_t>(-1);

  [[nodiscard]] bool in_order(const IndexEntry& entry) {
    const int order = last_path_.compare(entry.path);
    const auto stage = static_cast<std::uint16_t>(entry.flags & kStageBits);
    if (order > 0 || (order == 0 && last_stage_ >= stage)) return false;
    last_path_ = entry.path;
    last_stage_ = stage;
    return true;
  }

  /// An entry of the old file: the changes up to its path find their places.
  void pass(const IndexEntry& entry) {
    while (at_ < borrowed_changes_.size() && borrowed_changes_.path(at_) < entry.path) insert_next(entry.offset);
    if (const std::optional<std::size_t> blocked = way_.find(entry.path); blocked && *blocked != kNoChange) {
      plan_.edits[*blocked].offset = kBlocked;  // a person has staged a folder there
    }
    way_.add(entry.path, kNoChange);
    if (at_ < borrowed_changes_.size() && borrowed_changes_.path(at_) == entry.path) {
      if (replace_next(entry)) return;
    }
    if (may_hide_a_change(entry)) {
      plan_.edits.push_back({entry.offset + kSizeFieldAt, sizeof(std::uint32_t), 0, 0, kNoChange, 0});
    }
  }

  void insert_next(std::uint64_t offset) {
    const std::size_t first = std::exchange(at_, borrowed_changes_.next_path(at_));
    const std::optional<std::size_t> taken = borrowed_changes_.taken(first, at_, std::nullopt);
    const std::string_view path = borrowed_changes_.path(first);
    if (!taken || way_.find(path)) return;
    way_.add(path, plan_.edits.size());
    const std::uint32_t mode = borrowed_changes_[*taken].executable ? kModeExecutable : kModeFile;
    plan_.edits.push_back({offset, 0, 0, 0, *taken, mode});
  }

  /// False: the entry stays as it is.
  bool replace_next(const IndexEntry& entry) {
    const std::size_t first = std::exchange(at_, borrowed_changes_.next_path(at_));
    if ((entry.flags & kStageBits) != 0) return false;  // in conflict: a person is at it
    const std::optional<std::size_t> taken = borrowed_changes_.taken(first, at_, entry.blob);
    if (!taken) return false;
    const bool executable = borrowed_changes_[*taken].executable || entry.mode == kModeExecutable;
    plan_.edits.push_back({entry.offset, entry.bytes, static_cast<std::uint16_t>(entry.flags & kAssumeValid),
                           static_cast<std::uint16_t>(entry.extended & kSkipWorkTree), *taken,
                           executable ? kModeExecutable : kModeFile});
    return true;
  }

  /// git sees a file as unchanged by its times and size, except if it is as young as the index: then it might have
  /// been changed once more within the clock's tick, and git compares the content. The new index is younger, so for
  /// such a file that must be said in another way, git's own: a size of 0. Nanoseconds, which git itself may have been
  /// built to ignore, spare nearly all unchanged files that.
  [[nodiscard]] bool may_hide_a_change(const IndexEntry& entry) const {
    constexpr std::uint16_t kNotCompared = kSkipWorkTree | kIntentToAdd;
    if (entry.file.mtime_seconds < old_seconds_ || entry.file.size == 0) return false;
    if ((entry.flags & (kAssumeValid | kStageBits)) != 0 || (entry.extended & kNotCompared) != 0) return false;
    if ((entry.mode & kModeTypeBits) == kModeSubmodule) return false;
    struct stat now{};
    if (::fstatat(root_.fd(), std::string(entry.path).c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) return false;
    const FileState file = state_of(now);
    return file.mtime_seconds != entry.file.mtime_seconds || file.mtime_nanoseconds != entry.file.mtime_nanoseconds ||
           file.ctime_seconds != entry.file.ctime_seconds || file.ctime_nanoseconds != entry.file.ctime_nanoseconds ||
           file.inode != entry.file.inode || file.size != entry.file.size;
  }

  const IndexChanges& borrowed_changes_;
  bool old_;
  std::uint32_t old_seconds_;  // the old file's mtime
  OpenFile root_;
  std::size_t at_ = 0;  // first change without a place
  std::string last_path_;
  std::uint16_t last_stage_ = 0;
  FilesOnTheWay way_;
  Plan plan_;
};

/// The new file: gathers, hashes and writes. The first error stays.
class Output {
 public:
  Output(int fd, const fs::path& path) : borrowed_fd_(fd), path_(path) {
    buffer_.reserve(2 * kBufferBytes);
    SHA1_Init(&hash_);
  }
  void put(std::uint32_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) buffer_.push_back(static_cast<char>(value >> shift));
  }
  void put(std::string_view bytes) {
    buffer_ += bytes;
    if (buffer_.size() >= kBufferBytes) flush();
  }
  void zeros(std::size_t count) { buffer_.append(count, '\0'); }

  /// Copies a piece of the old file.
  void copy(int from, const fs::path& from_path, std::uint64_t offset, std::uint64_t bytes) {
    while (bytes != 0 && result_) {
      const std::size_t before = buffer_.size();
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kBufferBytes));
      buffer_.resize(before + part);
      const ssize_t got = ::pread(from, buffer_.data() + before, part, static_cast<off_t>(offset));
      buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        result_ = std::unexpected(io_error("read", from_path));
        return;
      }
      offset += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::uint64_t>(got);
      if (buffer_.size() >= kBufferBytes) flush();
    }
  }
  /// The checksum, and all that is not written yet.
  [[nodiscard]] Result<void> finish() {
    flush();
    std::array<unsigned char, SHA_DIGEST_LENGTH> checksum;
    SHA1_Final(checksum.data(), &hash_);
    buffer_.assign(reinterpret_cast<const char*>(checksum.data()), checksum.size());
    write();
    return result_;
  }

 private:
  void flush() {
    SHA1_Update(&hash_, buffer_.data(), buffer_.size());
    write();
  }
  void write() {
    const std::string_view bytes = buffer_;
    if (result_) result_ = write_all(borrowed_fd_, {&bytes, 1}, path_);
    buffer_.clear();
  }

  int borrowed_fd_;
  const fs::path& path_;
  std::string buffer_;
  SHA_CTX hash_;
  Result<void> result_;
};

void put_entry(Output& out, const Edit& edit, const IndexChanges::Change& change, std::string_view path) {
  const FileState& file = change.file;
  for (const std::uint32_t word :
       {file.ctime_seconds, file.ctime_nanoseconds, file.mtime_seconds, file.mtime_nanoseconds, file.device, file.inode,
        edit.mode, file.user, file.group, file.size}) {
    out.put(word, 4);
  }
  out.put({reinterpret_cast<const char*>(change.blob.data()), change.blob.size()});
  const auto shown_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(path.size(), kPathBytesBits));
  const bool extended = edit.extended != 0;
  out.put(edit.flags | (extended ? kExtended : 0u) | shown_bytes, 2);
  if (extended) out.put(edit.extended, 2);
  const std::size_t fixed = extended ? kExtendedEntryBytes : kFixedEntryBytes;
  out.put(path);
  out.zeros(entry_bytes(fixed, path.size()) - fixed - path.size());
}

/// The index that is being made: the old file, and the new one under its temporary name.
class Replacement {
 public:
  Replacement(const IndexPlaces& places, const IndexChanges& changes)
      : borrowed_places_(places), borrowed_changes_(changes), old_(::open(places.index.c_str(), kOldFlags)) {}
  ~Replacement() {
    if (there_) ::unlink(borrowed_places_.temporary.c_str());
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  enum class State : std::uint8_t { written, needless, declined };
  [[nodiscard]] Result<State> write() {
    struct stat old{};
    const bool present = old_.fd() >= 0;
    if (!present && errno == ELOOP) return State::declined;
    if (!present && errno != ENOENT) return std::unexpected(io_error("open", borrowed_places_.index));
    if (present && ::fstat(old_.fd(), &old) != 0) return std::unexpected(io_error("look at", borrowed_places_.index));
    if (present) identity_ = identity_of(old);
    const std::optional<Plan> plan = Planner(borrowed_changes_, borrowed_places_.root, present ? &old : nullptr)
                                         .make(old_.fd(), static_cast<std::uint64_t>(old.st_size));
    if (!plan) return State::declined;
    if (std::ranges::all_of(plan->edits, [](const Edit& edit) { return edit.change == kNoChange; })) {
      return State::needless;
    }

    const fs::path& path = borrowed_places_.temporary;
    ::unlink(path.c_str());  // of a run that was killed
    const OpenFile file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.fd() < 0) return std::unexpected(io_error("make", path));
    there_ = true;
    if (present && ::fchmod(file.fd(), old.st_mode & 07777) != 0) {
      return std::unexpected(io_error("set the mode of", path));
    }
    if (const Result<void> filled = fill(*plan, file.fd()); !filled) return std::unexpected(filled.error());
    if (::fdatasync(file.fd()) != 0) return std::unexpected(io_error("sync", path));
    return State::written;
  }

  /// Whether the old file is still what the new one was made from.
  [[nodiscard]] bool fits() const {
    struct stat now{};
    const bool present = ::lstat(borrowed_places_.index.c_str(), &now) == 0;
    return identity_ == (present ? identity_of(now) : FileIdentity{});
  }

  /// The new file takes the place of the lock, and then of the index.
  [[nodiscard]] Result<void> install(const fs::path& lock) {
    if (::rename(borrowed_places_.temporary.c_str(), lock.c_str()) != 0) {
      return std::unexpected(io_error("rename to", lock));
    }
    there_ = false;
    if (::rename(lock.c_str(), borrowed_places_.index.c_str()) != 0) {
      return std::unexpected(io_error("rename to", borrowed_places_.index));
    }
    return {};
  }

 private:
  static constexpr int kOldFlags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;

  [[nodiscard]] Result<void> fill(const Plan& plan, int fd) const {
    Output out(fd, borrowed_places_.temporary);
    const auto copy = [&](std::uint64_t from, std::uint64_t bytes) {
      out.copy(old_.fd(), borrowed_places_.index, from, bytes);
    };
    out.put("DIRC");
    out.put(plan.version, 4);
    out.put(plan.entries, 4);
    std::uint64_t done = kIndexHeaderBytes;
    for (const Edit& edit : plan.edits) {
      copy(done, edit.offset - done);
      if (edit.change == kNoChange) {
        out.zeros(edit.removed);
      } else {
        put_entry(out, edit, borrowed_changes_[edit.change], borrowed_changes_.path(edit.change));
      }
      done = edit.offset + edit.removed;
    }
    copy(done, plan.entries_end - done);
    copy(plan.kept.offset, plan.kept.bytes);
    return out.finish();
  }

  const IndexPlaces& borrowed_places_;
  const IndexChanges& borrowed_changes_;
  OpenFile old_;
  FileIdentity identity_;
  bool there_ = false;  // the temporary file
};

}  // namespace

Result<IndexOutcome> update_index(const IndexPlaces& places, IndexChanges& changes, IndexLock& lock) {
  changes.sort();
  if (const Result<void> free = lock.is_free(); !free) return std::unexpected(free.error());
  // The second time the lock is held from the beginning: whoever respects it cannot change the index again.
  for (int turn = 0; turn < 2; ++turn) {
    Replacement replacement(places, changes);
    const Result<Replacement::State> state = replacement.write();
    if (!state) return std::unexpected(state.error());
    if (*state == Replacement::State::declined) return IndexOutcome::declined;
    if (*state == Replacement::State::needless) {
      lock.release();
      return IndexOutcome::current;
    }
    if (const Result<void> taken = lock.take(); !taken) return std::unexpected(taken.error());
    if (!replacement.fits()) continue;
    lock.becomes(places.temporary);
    if (const Result<void> installed = replacement.install(lock.path()); !installed) {
      return std::unexpected(installed.error());
    }
    lock.gone();
    return IndexOutcome::current;
  }
  return failure(ErrorCode::repository, places.index.string() + " changes without its lock being held");
}

}  // namespace pawl::git
