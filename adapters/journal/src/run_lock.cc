#include <pawl/run_lock.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <utility>

#include "file.h"

// Locks of open file descriptions (fcntl(2), F_OFD_SETLK): like flock(2) they end with the open file, and unlike it
// they can be asked about without being taken, so that a look at the holder never gets in the way of a run that is
// starting.

namespace pawl::journal {
namespace {

struct flock whole_file() noexcept {
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  return range;
}

std::filesystem::path lock_path(const std::filesystem::path& folder) { return folder / "lock"; }

/// The pid in the lock's file, 0 if there is none or its process is gone (then the holder has not written its own yet).
pid_t written_pid(int file) noexcept {
  std::array<char, 32> text{};
  const ssize_t got = ::pread(file, text.data(), text.size(), 0);
  pid_t pid = 0;
  if (got <= 0 || std::from_chars(text.data(), text.data() + got, pid).ec != std::errc{} || pid <= 0) return 0;
  return ::kill(pid, 0) == 0 || errno == EPERM ? pid : 0;
}

}  // namespace

Result<RunLock> RunLock::take(const std::filesystem::path& private_folder) {
  if (auto made = make_folder(private_folder); !made) return std::unexpected(std::move(made.error()));
  const auto path = lock_path(private_folder);
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return io_failure("open", path, errno);
  RunLock lock(file);
  struct flock range = whole_file();
  if (::fcntl(file, F_OFD_SETLK, &range) != 0) {
    if (errno != EAGAIN && errno != EACCES) return io_failure("lock", path, errno);
    const pid_t pid = written_pid(file);
    // This one does not hold it, so its end must not clear the holder's pid.
    ::close(std::exchange(lock.file_, -1));
    return failure(ErrorCode::locked, private_folder.string() + " is in use by " +
                                          (pid > 0 ? "pawl process " + std::to_string(pid)
                                                   : std::string("another pawl process that is just starting")));
  }
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file, 0) != 0) return io_failure("truncate", path, errno);
  if (::pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return io_failure("write", path, errno);
  return lock;
}

Result<std::optional<pid_t>> RunLock::holder(const std::filesystem::path& private_folder) {
  const auto path = lock_path(private_folder);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    if (errno == ENOENT) return std::nullopt;
    return io_failure("open", path, errno);
  }
  struct flock range = whole_file();
  const bool asked = ::fcntl(file, F_OFD_GETLK, &range) == 0;
  const int sys_errno = errno;
  std::optional<pid_t> pid;
  if (asked && range.l_type != F_UNLCK) pid = written_pid(file);
  ::close(file);
  if (!asked) return io_failure("examine the lock", path, sys_errno);
  return pid;
}

RunLock::RunLock(RunLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

RunLock::~RunLock() {
  if (file_ < 0) return;
  // No pid of ours shall be taken for a holder's; if this fails, the lock is free all the same.
  static_cast<void>(!::ftruncate(file_, 0));
  ::close(file_);
}

}  // namespace pawl::journal
