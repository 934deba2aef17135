#include "undo_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace pawl::shim {
namespace {

// All of these go straight to the kernel: the names of the C library are ours to interpose.
int raw_open(const std::string& path, int flags) {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path.c_str(), flags | O_CLOEXEC, 0600));
}

[[noreturn]] void give_up(const char* what, const std::string& path) {
  std::fprintf(stderr, "file shim: cannot %s %s: errno %d\n", what, path.c_str(), errno);
  std::_Exit(99);
}

Inode as_inode(const struct stat& status) {
  return {status.st_ino, static_cast<std::uint64_t>(status.st_size), S_ISDIR(status.st_mode), S_ISREG(status.st_mode)};
}

}  // namespace

Inode inode_of(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 ? as_inode(status) : Inode{};
}

Inode inode_of(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? as_inode(status) : Inode{};
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string read_bytes(const std::string& path, std::uint64_t offset, std::uint64_t count) {
  std::string bytes(count, '\0');
  const int fd = count == 0 ? -1 : raw_open(path, O_RDONLY);
  std::size_t got = 0;
  while (fd >= 0 && got < bytes.size()) {
    const long n = ::syscall(SYS_pread64, fd, bytes.data() + got, bytes.size() - got, offset + got);
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  if (fd >= 0) static_cast<void>(::syscall(SYS_close, fd));
  bytes.resize(got);
  return bytes;
}

UndoLog::UndoLog() {
  const char* state = std::getenv(kStateName);
  if (state == nullptr || *state == '\0') return;
  state_ = state;
  static_cast<void>(::syscall(SYS_mkdirat, AT_FDCWD, (state_ + "/kept").c_str(), 0700));
  fd_ = raw_open(state_ + "/log", O_WRONLY | O_CREAT | O_APPEND);
  if (fd_ < 0) give_up("open the log in", state_);
}

UndoLog::Turn::Turn(UndoLog& log) noexcept : borrowed_log_(log) {
  if (borrowed_log_.on()) ::pthread_mutex_lock(&borrowed_log_.mutex_);
}
UndoLog::Turn::~Turn() {
  if (borrowed_log_.on()) ::pthread_mutex_unlock(&borrowed_log_.mutex_);
}

std::uint64_t UndoLog::keep(const std::string& path) {
  const Inode inode = inode_of(path);
  if (!on() || !inode.is_file) return 0;
  for (;; ++next_kept_) {
    const std::string name = state_ + "/kept/" + std::to_string(next_kept_);
    if (::syscall(SYS_linkat, AT_FDCWD, path.c_str(), AT_FDCWD, name.c_str(), 0) == 0) return next_kept_++;
    if (errno != EEXIST) give_up("keep", path);
  }
}

void UndoLog::drop_kept(std::uint64_t kept) {
  if (kept == 0) return;
  static_cast<void>(::syscall(SYS_unlinkat, AT_FDCWD, (state_ + "/kept/" + std::to_string(kept)).c_str(), 0));
}

void UndoLog::add(LogRecord record, std::string_view path, std::string_view other, std::string_view data) {
  if (!on()) return;
  record.path_bytes = static_cast<std::uint32_t>(path.size());
  record.other_bytes = static_cast<std::uint32_t>(other.size());
  record.data_bytes = data.size();
  std::string bytes(reinterpret_cast<const char*>(&record), sizeof record);
  bytes.append(path).append(other).append(data);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const long n = ::syscall(SYS_write, fd_, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) give_up("write the log in", state_);
    done += static_cast<std::size_t>(n);
  }
}

std::uint64_t UndoLog::length() const { return inode_of(fd_).size; }

}  // namespace pawl::shim
