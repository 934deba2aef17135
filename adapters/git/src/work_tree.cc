#include "work_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

#include <pawl/thread.h>

#include "io_error.h"
#include "object_id.h"
#include "open_file.h"
#include "pack.h"
#include "repository.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr int kIndexShare = 20;              // at most 1/20 of the time goes into writing the index
constexpr std::size_t kMostPending = 65536;  // changes, about 130 bytes each, before the index must take them
constexpr std::chrono::seconds kMarkEvery{30};
constexpr std::size_t kMostFailed = 65536;  // paths remembered
constexpr std::size_t kMostWriters = 4;     // threads
constexpr std::size_t kWorthAWriter = 64;   // changes; starting a thread costs as much as writing two or three files
constexpr std::chrono::milliseconds kLeastPause{20};  // between two writes of the index

/// The commit a file names; none if there is no such file, or no such name in it.
std::optional<ObjectId> read_commit_name(const fs::path& path) {
  std::ifstream file(path);
  std::string text;
  file >> text;
  const Result<ObjectId> object_id = from_hex(text);
  return object_id ? std::optional(*object_id) : std::nullopt;
}

TreeHandle tree_at(git_repository* repository, const ObjectId& commit) {
  const Result<std::optional<ObjectId>> tree = tree_of(repository, commit);
  if (!tree || !*tree) return nullptr;
  const git_oid oid = to_oid(**tree);
  git_tree* raw = nullptr;
  return git_tree_lookup(&raw, repository, &oid) == 0 ? TreeHandle(raw) : nullptr;
}

/// "" for a file of the root.
std::string_view folder_part(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return path.substr(0, slash == std::string_view::npos ? 0 : slash);
}

git_index_entry entry_of(const char* path, const IndexChanges::Change& change) {
  git_index_entry entry{};
  entry.mode = change.executable ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;
  entry.id = to_oid(change.blob);
  entry.path = path;
  const FileState& file = change.file;
  entry.ctime = {static_cast<std::int32_t>(file.ctime_seconds), file.ctime_nanoseconds};
  entry.mtime = {static_cast<std::int32_t>(file.mtime_seconds), file.mtime_nanoseconds};
  entry.dev = file.device;
  entry.ino = file.inode;
  entry.uid = file.user;
  entry.gid = file.group;
  entry.file_size = file.size;
  return entry;
}

}  // namespace

WorkTree::WorkTree(git_repository* repository, fs::path root, fs::path git_dir, std::string branch)
    : borrowed_repository_(repository),
      root_(std::move(root)),
      index_places_{git_dir / "index", git_dir / "pawl" / "index.new", root_},
      index_lock_(index_places_.index, lock_note(git_dir)),
      marker_path_(git_dir / "pawl" / "work-tree"),
      branch_(std::move(branch)) {}

fs::path WorkTree::lock_note(const fs::path& git_dir) { return git_dir / "pawl" / "index-lock"; }

bool WorkTree::checked_out() const { return is_checked_out(borrowed_repository_, branch_); }

Result<void> WorkTree::lock_index() { return checked_out() ? index_lock_.take() : Result<void>{}; }

void WorkTree::unlock_index() noexcept {
  if (pending_.empty()) index_lock_.release();
}

/// What a change finds on the disk: not what the branch had, if that could not be written.
FileChange WorkTree::as_on_disk(const FileChange& change) const {
  FileChange on_disk = change;
  if (const auto earlier = failed_.find(change.path); earlier != failed_.end()) on_disk.previous = earlier->second;
  return on_disk;
}

/// A change has been placed, or not.
void WorkTree::note(const FileChange& change, const Placed& file) {
  const auto earlier = failed_.find(change.path);
  const bool refused = !file && file.error() != kOfAPerson;
  if (refused) {
    if (counts_.failed++ == 0) {
      first_failed_ = change.path;
      first_failure_ = file.error();
    }
    if (earlier == failed_.end() && failed_.size() < kMostFailed) failed_.emplace(change.path, change.previous);
  } else {
    if (earlier != failed_.end()) failed_.erase(earlier);
    if (!file && counts_.left++ == 0) first_left_ = change.path;
  }
  // The index follows the branch also where the file does not: else the next commit of a person would take it out.
  pending_.add(change.path, change.blob, change.previous, file ? std::optional(*file) : std::nullopt);
}

/// Places the changes of one publication. Each folder is one writer's, so what happens to a path keeps its order. In a
/// publication the streams take turns; by folder, each is opened once and the disk's blocks of it are neighbours.
void WorkTree::place_all(std::span<const FileChange> changes) {
  struct Place {
    std::string_view folder;
    std::uint32_t change;
    auto operator<=>(const Place&) const = default;
  };
  std::vector<Place> places;
  places.reserve(changes.size());
  for (const FileChange& change : changes) {
    places.push_back({folder_part(change.path), static_cast<std::uint32_t>(places.size())});
  }
  std::ranges::sort(places);  // within a folder as they came
  std::vector<std::span<const Place>> folders;
  for (auto begin = places.begin(); begin != places.end();) {
    const auto end = std::find_if(begin, places.end(), [&](const Place& at) { return at.folder != begin->folder; });
    folders.emplace_back(begin, end);
    begin = end;
  }
  std::size_t writers = std::min<std::size_t>(std::thread::hardware_concurrency(), kMostWriters);
  writers = std::clamp<std::size_t>(changes.size() / kWorthAWriter, 1, std::max<std::size_t>(writers, 1));
  std::vector<Placed> placed(changes.size(), std::unexpected(kOfAPerson));
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::size_t> next{0};
  const auto write = [&] {
    FileWriter writer(root_);
    // Whoever is behind takes fewer, so that nobody waits long for another's last one.
    for (std::size_t at = next.fetch_add(1); at < folders.size(); at = next.fetch_add(1)) {
      // A path that comes again after it was refused finds what it found then.
      std::map<std::string_view, std::optional<ObjectId>> refused;
      for (const Place& place : folders[at]) {
        FileChange on_disk = as_on_disk(changes[place.change]);
        const auto earlier = refused.find(on_disk.path);
        if (earlier != refused.end()) on_disk.previous = earlier->second;
        Placed& file = placed[place.change];
        file = writer.place(on_disk);
        if (!file && file.error() != kOfAPerson) refused.emplace(on_disk.path, on_disk.previous);
      }
    }
    written += writer.written();
  };
  {
    std::vector<std::jthread> others;
    try {
      while (others.size() + 1 < writers) {
        others.emplace_back([&write] {
          name_this_thread("pawl-files");
          put_this_thread_behind();
          write();
        });
      }
    } catch (const std::system_error&) {  // no more threads are to be had
    }
    write();
  }
  counts_.written += written;
  for (std::size_t i = 0; i < changes.size(); ++i) note(changes[i], placed[i]);
}

void WorkTree::update(const std::vector<FileChange>& changes, const ObjectId& tip) {
  if (!checked_out()) {
    pending_.clear();
    index_lock_.release();
    tip_.reset();
    return;
  }
  touched_ = true;
  place_all(changes);
  tip_ = tip;
}

std::chrono::steady_clock::time_point WorkTree::due_at() const noexcept {
  if (pending_.empty() || (pending_.size() >= kMostPending && !last_failed_)) return {};
  return last_write_ + std::max<std::chrono::steady_clock::duration>(kIndexShare * last_cost_, kLeastPause);
}

Result<void> WorkTree::write_index(Write when) {
  if (pending_.empty()) index_lock_.release();
  const auto start = std::chrono::steady_clock::now();
  if (when == Write::when_due && (pending_.empty() || start < due_at())) return {};
  if (!pending_.empty() && !checked_out()) {
    pending_.clear();
    index_lock_.release();
  }
  if (pending_.empty()) return when == Write::now ? mark(std::nullopt) : Result<void>{};
  const Result<void> brought = bring_index_up();
  last_write_ = std::chrono::steady_clock::now();
  last_cost_ = last_write_ - start;
  last_failed_ = !brought;
  if (!brought) return brought;
  pending_.clear();
  if (when == Write::now) return mark(std::nullopt);
  // Syncing the files may take long, so not every time; the older the marker, the more is done again after a crash.
  // One that cannot be moved on costs no more than that.
  if (last_write_ - last_mark_ >= kMarkEvery) static_cast<void>(mark(tip_));
  return {};
}

Result<void> WorkTree::bring_index_up() {
  const Result<IndexOutcome> outcome = update_index(index_places_, pending_, index_lock_);
  if (!outcome) return std::unexpected(outcome.error());
  return *outcome == IndexOutcome::declined ? bring_index_up_with_library() : Result<void>{};
}

/// For an index that only libgit2 can write, or can say why not. A copy, because the library would take the lock that
/// is held; not the repository's own index object, because that would rehash every young file on writing; git does it
/// itself where needed.
Result<void> WorkTree::bring_index_up_with_library() {
  if (const Result<void> taken = index_lock_.take(); !taken) return taken;
  const fs::path& copy = index_places_.temporary;
  std::error_code failed;
  if (fs::copy_file(index_places_.index, copy, fs::copy_options::overwrite_existing, failed); failed) {
    return failure(ErrorCode::io,
                   "cannot copy " + index_places_.index.string() + " to " + copy.string() + ": " + failed.message(),
                   failed.value());
  }
  git_index* raw = nullptr;
  if (git_index_open(&raw, copy.c_str()) != 0) {
    return std::unexpected(git_error("cannot read " + index_places_.index.string()));
  }
  const IndexHandle index(raw);
  for (std::size_t at = 0, next = 0; at < pending_.size(); at = next) {
    next = pending_.next_path(at);
    const std::string path(pending_.path(at));
    const git_index_entry* present = git_index_get_bypath(index.get(), path.c_str(), 0);
    const std::optional<ObjectId> held = present != nullptr ? std::optional(from_oid(present->id)) : std::nullopt;
    const std::optional<std::size_t> taken = pending_.taken(at, next, held);
    if (!taken) continue;
    git_index_entry entry = entry_of(path.c_str(), pending_[*taken]);
    if (present != nullptr && present->mode == GIT_FILEMODE_BLOB_EXECUTABLE) entry.mode = present->mode;
    if (git_index_add(index.get(), &entry) != 0) {
      return std::unexpected(git_error("cannot add " + path + " to the index"));
    }
  }
  if (git_index_write(index.get()) != 0) return std::unexpected(git_error("cannot write " + copy.string()));
  index_lock_.becomes(copy);
  if (::rename(copy.c_str(), index_lock_.path().c_str()) != 0 ||
      ::rename(index_lock_.path().c_str(), index_places_.index.c_str()) != 0) {
    return std::unexpected(io_error("replace", index_places_.index));
  }
  index_lock_.gone();
  return {};
}

/// What files and index hold reaches the disk.
Result<void> WorkTree::settle_files() const {
  std::optional<dev_t> synced;
  for (const fs::path& folder : {root_, index_places_.index.parent_path()}) {
    const OpenFile file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat state{};
    if (file.fd() < 0 || ::fstat(file.fd(), &state) != 0) return std::unexpected(io_error("look at", folder));
    if (synced == state.st_dev) continue;  // mostly both are on one file system
    if (::syncfs(file.fd()) != 0) return std::unexpected(io_error("sync", folder));
    synced = state.st_dev;
  }
  return {};
}

/// Writes the marker durably, removes it for none; before either, what it says of the files becomes durable.
/// Errors: io (naming the file).
Result<void> WorkTree::mark(const std::optional<ObjectId>& commit) {
  last_mark_ = std::chrono::steady_clock::now();
  if (counts_.failed != 0) return {};  // the next run begins where this one was complete
  if (touched_) {
    if (const Result<void> settled = settle_files(); !settled) return settled;
  }
  touched_ = false;
  if (!commit) {
    if (::unlink(marker_path_.c_str()) != 0 && errno != ENOENT)
      return std::unexpected(io_error("remove", marker_path_));
    return {};
  }
  const fs::path fresh = marker_path_.string() + ".new";
  {
    const OpenFile file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.fd() < 0) return std::unexpected(io_error("make", fresh));
    const std::string line = to_hex(*commit) + '\n';
    const std::string_view piece = line;
    if (const Result<void> written = write_all(file.fd(), {&piece, 1}, fresh); !written) return written;
    if (::fdatasync(file.fd()) != 0) return std::unexpected(io_error("sync", fresh));
  }
  if (::rename(fresh.c_str(), marker_path_.c_str()) != 0) return std::unexpected(io_error("make", marker_path_));
  return sync_folder(marker_path_.parent_path());
}

Result<void> WorkTree::begin(const std::optional<ObjectId>& tip) {
  if (!checked_out()) return {};
  constexpr ObjectId kUnborn{};  // git's own way to write "no commit"
  const std::optional<ObjectId> from = read_commit_name(marker_path_);
  if (from && tip && *from != *tip) {
    catch_up(*from == kUnborn ? std::nullopt : from, *tip);
    tip_ = tip;
  }
  // While changes wait for the index, the marker stays behind with it.
  return pending_.empty() ? mark(tip.value_or(kUnborn)) : Result<void>{};
}

/// Applies what the branch gained between two commits. Files that vanished are a person's business.
void WorkTree::catch_up(const std::optional<ObjectId>& from, const ObjectId& tip) {
  const TreeHandle before = from ? tree_at(borrowed_repository_, *from) : nullptr;
  const TreeHandle after = tree_at(borrowed_repository_, tip);
  if (!after || (from && !before)) return;
  git_diff* raw = nullptr;
  if (git_diff_tree_to_tree(&raw, borrowed_repository_, before.get(), after.get(), nullptr) != 0) return;
  const DiffHandle diff(raw);
  git_odb* raw_odb = nullptr;
  if (git_repository_odb(&raw_odb, borrowed_repository_) != 0) return;
  const OdbHandle odb(raw_odb);
  // A run that was killed while it wrote a file leaves a part of it.
  FileWriter writer(root_, FileWriter::Replace::remains_too);
  for (std::size_t i = 0; i < git_diff_num_deltas(diff.get()); ++i) {
    const git_diff_delta* delta = git_diff_get_delta(diff.get(), i);
    const bool added = delta->status == GIT_DELTA_ADDED;
    if ((!added && delta->status != GIT_DELTA_MODIFIED) || delta->new_file.mode != GIT_FILEMODE_BLOB) continue;
    git_odb_object* raw_object = nullptr;
    if (git_odb_read(&raw_object, odb.get(), &delta->new_file.id) != 0) continue;
    const OdbObjectHandle object(raw_object);
    FileChange change;
    change.path = delta->new_file.path;
    change.content = {static_cast<const char*>(git_odb_object_data(object.get())), git_odb_object_size(object.get())};
    change.blob = from_oid(delta->new_file.id);
    if (!added) change.previous = from_oid(delta->old_file.id);
    touched_ = true;
    note(change, writer.place(as_on_disk(change)));
  }
  counts_.written += writer.written();
}

}  // namespace pawl::git
