// index.lock, as git takes it: whoever makes the file has it.
//
// While it is held, a person's `git commit` or `git add` is refused by git. So it is held from before the checked-out
// branch moves until the index says what the branch says: a commit made in between from an index that knows nothing of
// the new records would take them out of the branch. A lock of others is never touched. One thread.
#pragma once

#include <filesystem>
#include <optional>

#include <pawl/error.h>

#include "lock_note.h"

namespace pawl::git {

class IndexLock {
 public:
  /// Not held yet. `index`: the file it guards; `note`: where it says that the lock is ours, see LockNote.
  IndexLock(const std::filesystem::path& index, std::filesystem::path note);
  ~IndexLock() { release(); }
  IndexLock(const IndexLock&) = delete;
  IndexLock& operator=(const IndexLock&) = delete;

  /// Error{locked} if somebody else has it; success if it is free or ours.
  [[nodiscard]] Result<void> is_free() const;

  /// Does not wait; nothing to do if it is held. Errors: locked (naming the file), io.
  [[nodiscard]] Result<void> take();

  void release() noexcept;

  [[nodiscard]] bool held() const noexcept { return held_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// `file` is about to be renamed to path(). REQUIRES: held.
  void becomes(const std::filesystem::path& file) { note_->covers(file); }
  /// It has become the index, and is held no longer.
  void gone() noexcept;

 private:
  [[nodiscard]] Result<void> in_the_way() const;

  std::filesystem::path path_;
  std::filesystem::path note_path_;
  std::optional<LockNote> note_;
  bool held_ = false;
};

}  // namespace pawl::git
