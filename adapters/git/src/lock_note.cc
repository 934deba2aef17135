#include "lock_note.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr char kNoContent[] = "-";
constexpr std::string_view kTaking = "taking ";
constexpr std::int64_t kRightAfter = 1'000'000'000;  // ns
constexpr std::int64_t kClockStep = 10'000'000;      // ns; file times are those of the last clock tick

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content;
  std::getline(file, content, '\0');
  return content;
}

/// Whether the lock is the file that one line of a note describes. False: it is another, or not there.
bool is_ours(const std::string& line, std::string& lock) {
  std::istringstream fields(line);
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  std::string content;
  if (!(fields >> device >> inode >> seconds >> nanoseconds >> content) || fields.get() != ' ') return false;
  std::getline(fields, lock, '\0');  // the path may hold anything else
  struct stat now{};
  if (!lock.ends_with(".lock") || ::lstat(lock.c_str(), &now) != 0 || !S_ISREG(now.st_mode)) return false;
  if (now.st_dev != device || now.st_ino != inode) return false;
  if (now.st_mtim.tv_sec == seconds && now.st_mtim.tv_nsec == nanoseconds) return true;
  return content != kNoContent && content_of(lock) == content + '\n';  // killed while it was made durable
}

/// Adds a line; lines end with NUL, because a path may hold anything else.
void append(int fd, std::string line) {
  line.push_back('\0');
  while (fd >= 0 && ::write(fd, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

std::int64_t nanoseconds_of(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

/// Whether `lock` is the empty one that a process made that was killed right after it noted that it was about to.
bool was_being_taken(const fs::path& note, const std::string& lock) {
  struct stat noted{};
  struct stat taken{};
  if (!lock.ends_with(".lock") || ::stat(note.c_str(), &noted) != 0 || ::lstat(lock.c_str(), &taken) != 0) return false;
  if (!S_ISREG(taken.st_mode) || taken.st_size != 0 || taken.st_uid != ::geteuid()) return false;
  const std::int64_t after = nanoseconds_of(taken.st_mtim) - nanoseconds_of(noted.st_mtim);
  return after >= -kClockStep && after <= kRightAfter;
}

/// Whether other machines may be at the same files.
bool may_be_shared(const fs::path& path) {
  constexpr std::int64_t kShared[] = {NFS_SUPER_MAGIC,       SMB_SUPER_MAGIC,       0xFF534D42 /* CIFS */,
                                      0xFE534D42 /* SMB2 */, 0x65735546 /* FUSE */, V9FS_MAGIC,
                                      CODA_SUPER_MAGIC,      AFS_SUPER_MAGIC,       0x00C36400 /* Ceph */};
  struct statfs system{};
  if (::statfs(path.c_str(), &system) != 0) return true;
  const auto type = static_cast<std::int64_t>(static_cast<std::uint32_t>(system.f_type));
  return std::ranges::find(kShared, type) != std::end(kShared);
}

}  // namespace

void remove_lock_of_an_earlier_start(const fs::path& lock) {
  struct stat taken{};
  if (::lstat(lock.c_str(), &taken) != 0 || !S_ISREG(taken.st_mode) || taken.st_uid != ::geteuid()) return;
  timespec now{};
  timespec running{};
  if (::clock_gettime(CLOCK_REALTIME, &now) != 0 || ::clock_gettime(CLOCK_BOOTTIME, &running) != 0) return;
  if (nanoseconds_of(taken.st_mtim) >= nanoseconds_of(now) - nanoseconds_of(running)) return;
  if (!may_be_shared(lock)) ::unlink(lock.c_str());
}

LockNote::LockNote(fs::path note, fs::path lock)
    : note_(std::move(note)),
      lock_(std::move(lock)),
      fd_(::open(note_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600)) {
  append(fd_, std::string(kTaking) + lock_.string());
}

LockNote::~LockNote() {
  if (fd_ < 0) return;
  ::unlink(note_.c_str());
  ::close(fd_);
}

void LockNote::covers(const fs::path& file, std::string_view content) {
  struct stat state{};
  if (fd_ < 0 || ::lstat(file.c_str(), &state) != 0) return;
  std::ostringstream line;
  line << state.st_dev << ' ' << state.st_ino << ' ' << state.st_mtim.tv_sec << ' ' << state.st_mtim.tv_nsec << ' '
       << (content.empty() ? std::string_view(kNoContent) : content) << ' ' << lock_.string();
  append(fd_, line.str());
}

void remove_noted_lock(const fs::path& note) {
  std::ifstream file(note, std::ios::binary);
  if (!file) return;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line, '\0') && !file.eof();) lines.push_back(line);  // whole ones
  for (const std::string& line : lines) {
    const bool taking = line.starts_with(kTaking);
    std::string lock = taking ? line.substr(kTaking.size()) : std::string();
    if (taking ? lines.size() == 1 && was_being_taken(note, lock) : is_ours(line, lock)) ::unlink(lock.c_str());
  }
  ::unlink(note.c_str());
}

}  // namespace pawl::git
