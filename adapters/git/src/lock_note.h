// A note of a git lock that this process holds, so that the next run can tell the lock of a killed one from others'.
//
// A lock file says nothing about its owner, and a killed process leaves it behind for ever. The note, in the private
// folder, names the lock file by its inode and times; the next run removes the lock only if it is still that very file.
// A process killed between taking a lock and noting it leaves the note that it was about to, and an empty lock made
// within a second after that note: that lock goes, too. REQUIRES: the run
// lock is held, so that no other live process has a note there.
#pragma once

#include <filesystem>
#include <string_view>

namespace pawl::git {

/// Make it before taking the lock; the note goes with it. Failing to write it costs only the clean-up after a kill.
class LockNote {
 public:
  LockNote(std::filesystem::path note, std::filesystem::path lock);
  ~LockNote();
  LockNote(const LockNote&) = delete;
  LockNote& operator=(const LockNote&) = delete;

  /// `file` is the lock, or becomes it by being renamed; `content`: what will be written into it, if known.
  void covers(const std::filesystem::path& file, std::string_view content = {});

 private:
  std::filesystem::path note_;
  std::filesystem::path lock_;
  int fd_;  // open from before the lock is taken: the time until it is noted counts
};

/// Removes a lock file of this user that is older than the machine's last start, if its file system is a local one:
/// whoever took it went with the power, and no note tells, because notes are not made durable.
void remove_lock_of_an_earlier_start(const std::filesystem::path& lock);

/// Removes the lock that a killed process noted at `note` if it is still there and the same, then the note.
void remove_noted_lock(const std::filesystem::path& note);

}  // namespace pawl::git
