// The files and the index of the checked-out branch, following it as it moves.
//
// Files appear after the branch has moved, are written plainly, and nothing durable rests on them: they can always be
// checked out again. What a person changed is never overwritten: a file is touched only if it is absent or has the
// content the branch had before, see FileWriter; several threads write. Used by the publisher thread alone.
//
// The index is read and written as a whole, so a large one is written now and then and at the end. While it is behind
// the branch its lock is held: a person's commit made from it would take the new records out again. A marker in the
// private folder names the commit that files and index were brought to and that the disk has them of; it is there as
// long as they may lag, so that the next run catches up after a crash. It moves now and then, and goes at the end,
// after the file system with the files was synced. A file that the machine refuses to write (a full disk, say) holds
// the marker back for the rest of the run.
#pragma once

#include <git2.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>

#include "encoded.h"
#include "file_writer.h"
#include "index_changes.h"
#include "index_file.h"

namespace pawl::git {

class WorkTree {
 public:
  /// `repository` is borrowed. `root`: the folder with the files; `branch`: the one that is committed to.
  WorkTree(git_repository* repository, std::filesystem::path root, std::filesystem::path git_dir, std::string branch);
  WorkTree(const WorkTree&) = delete;
  WorkTree& operator=(const WorkTree&) = delete;

  /// Before the first update(): catches up with `tip` if a crash left the files behind, and notes where files and
  /// index are. Errors: io (naming the file).
  [[nodiscard]] Result<void> begin(const std::optional<ObjectId>& tip);

  /// Call before the branch moves: takes the lock of the index if the branch is checked out. Does not wait.
  /// Errors: locked (naming the file), io.
  [[nodiscard]] Result<void> lock_index();
  /// The branch did not move: lets go of the lock, unless the index is behind.
  void unlock_index() noexcept;

  /// The branch has moved to `tip` by these changes. Leaves everything alone while another branch is checked out.
  void update(const std::vector<FileChange>& changes, const ObjectId& tip);

  /// Brings the index up to date, and with `between` goes on after it; `now` is the last time. With `when_due`, only if
  /// the last time was long enough ago for what it cost, or so many changes wait that their memory counts. Errors:
  /// locked (somebody else holds index.lock), repository (the index cannot be read), io. May be tried again.
  enum class Write : std::uint8_t { when_due, between, now };
  [[nodiscard]] Result<void> write_index(Write when);

  /// Whether index changes wait to be written, or the lock to be let go.
  [[nodiscard]] bool behind() const noexcept { return !pending_.empty() || index_lock_.held(); }
  /// When write_index(when_due) will do something.
  [[nodiscard]] std::chrono::steady_clock::time_point due_at() const noexcept;

  struct Counts {
    std::uint64_t written = 0;  // files
    std::uint64_t left = 0;     // files not touched because something of a person's was in the way
    std::uint64_t failed = 0;   // files that could not be written
  };
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }
  [[nodiscard]] const std::string& first_left() const noexcept { return first_left_; }      // path; empty: none
  [[nodiscard]] const std::string& first_failed() const noexcept { return first_failed_; }  // likewise
  [[nodiscard]] int first_failure() const noexcept { return first_failure_; }               // errno

  /// Where the lock of the index is noted, see LockNote.
  [[nodiscard]] static std::filesystem::path lock_note(const std::filesystem::path& git_dir);

  /// Whether the branch is the one whose files these are.
  [[nodiscard]] bool checked_out() const;
  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }

 private:
  [[nodiscard]] FileChange as_on_disk(const FileChange& change) const;
  void note(const FileChange& change, const Placed& file);
  void place_all(std::span<const FileChange> changes);
  void catch_up(const std::optional<ObjectId>& from, const ObjectId& tip);
  [[nodiscard]] Result<void> mark(const std::optional<ObjectId>& commit);
  [[nodiscard]] Result<void> settle_files() const;
  [[nodiscard]] Result<void> bring_index_up();
  [[nodiscard]] Result<void> bring_index_up_with_library();

  git_repository* borrowed_repository_;
  std::filesystem::path root_;
  IndexPlaces index_places_;
  IndexLock index_lock_;  // held while the index is behind the branch
  std::filesystem::path marker_path_;
  std::string branch_;
  IndexChanges pending_;
  std::optional<ObjectId> tip_;  // that pending_ leads to
  std::chrono::steady_clock::time_point last_write_{};
  std::chrono::steady_clock::duration last_cost_{};
  std::chrono::steady_clock::time_point last_mark_{};
  bool last_failed_ = false;
  bool touched_ = false;  // files, since the last mark()
  // What a later change of a failed path finds on the disk, so that it is not taken for a person's.
  std::map<std::string, std::optional<ObjectId>, std::less<>> failed_;
  Counts counts_;
  std::string first_left_;
  std::string first_failed_;
  int first_failure_ = 0;
};

}  // namespace pawl::git
