// The functions of the C library that stand in for: each finds out what file it is about, lets the rules judge, does
// what the real one does, and logs it. See file_shim.h.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <string>
#include <string_view>
#include <vector>

#include "rules.h"
#include "undo_log.h"

#define PAWL_SHIM extern "C" __attribute__((visibility("default")))
// The function that would have been called without us.
#define PAWL_REAL(name) static auto* const real = next<decltype(::name)>(#name)

namespace pawl::shim {
namespace {

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

Rules& rules() {
  static auto* const all = new Rules;  // never destroyed: others' destructors still write files
  return *all;
}
UndoLog& undo_log() {
  static auto* const log = new UndoLog;
  return *log;
}
const std::string& root() {
  static const auto* const name = [] {
    const char* given = std::getenv(kRootName);
    auto* text = new std::string(given != nullptr ? given : "");
    while (text->ends_with('/')) text->pop_back();
    return text;
  }();
  return *name;
}

/// Nothing is asked of us: every call goes straight on.
bool idle() { return !rules().any() && !undo_log().on(); }

bool concerns(const std::string& path) {
  return path.starts_with(root()) && (path.size() == root().size() || path[root().size()] == '/');
}

std::string link_target(const std::string& link) {
  char text[PATH_MAX];
  const ssize_t bytes = ::readlink(link.c_str(), text, sizeof text);
  return bytes > 0 ? std::string(text, static_cast<std::size_t>(bytes)) : std::string();
}

std::string path_of(int fd) { return link_target("/proc/self/fd/" + std::to_string(fd)); }

/// Absolute, without `.`, `..` and double slashes; symbolic links stay.
std::string path_at(int folder, const char* name) {
  if (name == nullptr) return {};
  std::string whole = name;
  if (!whole.starts_with('/'))
    whole = (folder == AT_FDCWD ? link_target("/proc/self/cwd") : path_of(folder)) + "/" + whole;
  std::string tidy;
  for (std::size_t begin = 0; begin < whole.size();) {
    const std::size_t end = std::min(whole.find('/', begin), whole.size());
    const std::string_view part = std::string_view(whole).substr(begin, end - begin);
    if (part == "..") {
      tidy.resize(tidy.empty() ? 0 : tidy.rfind('/'));
    } else if (!part.empty() && part != ".") {
      (tidy += '/') += part;
    }
    begin = end + 1;
  }
  return tidy.empty() ? "/" : tidy;
}

std::uint64_t folder_inode(const std::string& path) { return inode_of(parent_of(path)).number; }

/// Logs something that happened to a name.
void log_name(LogKind kind, const std::string& path, const Inode& inode, std::uint64_t kept = 0) {
  LogRecord record;
  record.kind = kind;
  record.file = inode.number;
  record.is_folder = inode.is_folder;
  record.folder = folder_inode(path);
  record.kept = kept;
  undo_log().add(record, path);
}

/// Logs that a file has another size; `cut_off` is what that took away.
void log_size(const Inode& before, std::uint64_t size, std::string_view cut_off) {
  LogRecord record;
  record.kind = LogKind::resize;
  record.file = before.number;
  record.old_size = before.size;
  record.length = size;
  undo_log().add(record, {}, {}, cut_off);
}

bool refused(const Verdict& verdict) {
  if (verdict.error == 0) return false;
  errno = verdict.error;
  return true;
}

/// For a call that came to its end.
template <class Value>
Value after(const Verdict& verdict, Value value) {
  if (verdict.kill_after) kill_self();
  return value;
}

constexpr bool may_change(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY; }

/// Everything that opens by a path: `call()` is the real one.
template <class Call>
auto opened(const std::string& path, int flags, decltype(std::declval<Call>()()) failed, Call call) {
  if (idle() || !may_change(flags) || !concerns(path)) return call();
  const Verdict verdict = rules().judge(Op::open, path);
  if (refused(verdict)) return failed;
  const UndoLog::Turn turn(undo_log());
  const Inode before = undo_log().on() ? inode_of(path) : Inode{};
  const bool cuts = (flags & O_TRUNC) != 0 && before.size != 0;
  const std::string cut_off = cuts ? read_bytes(path, 0, before.size) : std::string();
  const auto result = call();
  if (result == failed) return result;
  const int was = errno;
  if (undo_log().on() && before.number == 0) log_name(LogKind::create, path, inode_of(path));
  if (undo_log().on() && cuts) log_size(before, 0, cut_off);
  errno = was;
  return after(verdict, result);
}

/// A file made under a name that the C library chooses.
template <class Call>
int made(char* pattern, Call call) {
  if (idle()) return call();
  const std::string asked = path_at(AT_FDCWD, pattern);
  if (!concerns(asked)) return call();
  const Verdict verdict = rules().judge(Op::open, asked);
  if (refused(verdict)) return -1;
  const UndoLog::Turn turn(undo_log());
  const int fd = call();
  if (fd < 0) return fd;
  if (undo_log().on()) log_name(LogKind::create, path_at(AT_FDCWD, pattern), inode_of(fd));
  return after(verdict, fd);
}

/// Where a write without an offset goes.
constexpr off64_t kAtPosition = -1;

/// Everything that writes: `call(count)` writes at most so many bytes, `asked` being all.
template <class Call>
ssize_t written(int fd, off64_t offset, std::size_t asked, Call call) {
  if (idle()) return call(asked);
  const Inode inode = inode_of(fd);
  if (!inode.is_file) return call(asked);
  const std::string path = path_of(fd);
  if (!concerns(path)) return call(asked);
  const Verdict verdict = rules().judge(Op::write, path);
  if (refused(verdict)) return -1;
  const UndoLog::Turn turn(undo_log());
  LogRecord record;
  std::string before;
  if (undo_log().on()) {
    record.kind = LogKind::write;
    record.file = inode.number;
    record.old_size = inode_of(fd).size;  // now that it is our turn
    record.offset = static_cast<std::uint64_t>(offset);
    if (offset == kAtPosition) {
      const bool appends = (::fcntl(fd, F_GETFL) & O_APPEND) != 0;
      record.offset = appends ? record.old_size : static_cast<std::uint64_t>(::lseek64(fd, 0, SEEK_CUR));
    }
    const std::uint64_t end = std::min<std::uint64_t>(record.offset + asked, record.old_size);
    const std::string self = "/proc/self/fd/" + std::to_string(fd);  // also if it is open for writing only
    if (end > record.offset) before = read_bytes(self, record.offset, end - record.offset);
  }
  const ssize_t wrote = call(verdict.half && asked > 1 ? asked / 2 : asked);
  if (wrote <= 0) return wrote;
  record.length = static_cast<std::uint64_t>(wrote);
  undo_log().add(record, {}, {}, std::string_view(before).substr(0, static_cast<std::size_t>(wrote)));
  return after(verdict, wrote);
}

/// The first `most` bytes of `vectors`.
std::vector<iovec> first_of(const iovec* vectors, int count, std::size_t most) {
  std::vector<iovec> all(vectors, vectors + count);
  for (iovec& one : all) {
    one.iov_len = std::min(one.iov_len, most);
    most -= one.iov_len;
  }
  return all;
}
std::size_t bytes_of(const iovec* vectors, int count) {
  std::size_t sum = 0;
  for (int i = 0; i < count; ++i) sum += vectors[i].iov_len;
  return sum;
}

template <class Call>
int synced(int fd, Call call) {
  if (idle()) return call();
  const Inode inode = inode_of(fd);
  const std::string path = path_of(fd);
  if ((!inode.is_file && !inode.is_folder) || !concerns(path)) return call();
  LogRecord record;
  record.kind = LogKind::sync;
  record.file = inode.number;
  record.is_folder = inode.is_folder;
  record.offset = undo_log().on() ? undo_log().length() : 0;
  const Verdict verdict = rules().judge(Op::sync, path);
  const bool fails = verdict.error != 0;
  if (fails) record.kind = LogKind::sync_failed;
  const int result = fails ? -1 : call();
  if (result == 0 || fails) {
    const UndoLog::Turn turn(undo_log());
    undo_log().add(record, path);
  }
  if (refused(verdict)) return -1;
  return after(verdict, result);
}

template <class Call>
int renamed(const std::string& from, const std::string& to, Call call) {
  if (idle() || (!concerns(from) && !concerns(to))) return call();
  const Verdict verdict = rules().judge(Op::rename, to, from);
  if (refused(verdict)) return -1;
  const UndoLog::Turn turn(undo_log());
  LogRecord record;
  if (undo_log().on()) {
    const Inode inode = inode_of(from);
    record.kind = LogKind::rename;
    record.file = inode.number;
    record.is_folder = inode.is_folder;
    record.folder = folder_inode(from);
    record.other_folder = folder_inode(to);
    record.kept = undo_log().keep(to);
  }
  const int result = call();
  const int was = errno;
  if (result == 0) {
    undo_log().add(record, from, to);
  } else {
    undo_log().drop_kept(record.kept);
  }
  errno = was;
  return result == 0 ? after(verdict, result) : result;
}

template <class Call>
int linked(const std::string& from, const std::string& to, Call call) {
  if (idle() || !concerns(to)) return call();
  const Verdict verdict = rules().judge(Op::link, to, from);
  if (refused(verdict)) return -1;
  const UndoLog::Turn turn(undo_log());
  const int result = call();
  if (result != 0) return result;
  LogRecord record;
  record.kind = LogKind::link;
  record.file = undo_log().on() ? inode_of(to).number : 0;
  record.other_folder = undo_log().on() ? folder_inode(to) : 0;
  undo_log().add(record, from, to);
  return after(verdict, result);
}

template <class Call>
int removed(const std::string& path, Call call) {
  if (idle() || !concerns(path)) return call();
  const Verdict verdict = rules().judge(Op::unlink, path);
  if (refused(verdict)) return -1;
  const UndoLog::Turn turn(undo_log());
  const Inode inode = undo_log().on() ? inode_of(path) : Inode{};
  const std::uint64_t kept = undo_log().keep(path);
  const int result = call();
  const int was = errno;
  if (result == 0 && undo_log().on()) {
    log_name(inode.is_folder ? LogKind::remove_folder : LogKind::unlink, path, inode, kept);
  } else {
    undo_log().drop_kept(kept);
  }
  errno = was;
  return result == 0 ? after(verdict, result) : result;
}

template <class Call>
int folder_made(const std::string& path, Call call) {
  if (idle() || !concerns(path)) return call();
  const Verdict verdict = rules().judge(Op::mkdir, path);
  if (refused(verdict)) return -1;
  const UndoLog::Turn turn(undo_log());
  const int result = call();
  if (result != 0) return result;
  if (undo_log().on()) log_name(LogKind::make_folder, path, inode_of(path));
  return after(verdict, result);
}

/// Gives a file another size; `size` of a file that is only ever made larger is at least that.
template <class Call>
int resized(Op op, int fd, off64_t size, Call call) {
  if (idle()) return call();
  const std::string path = path_of(fd);
  if (!concerns(path)) return call();
  const Verdict verdict = rules().judge(op, path);
  if (refused(verdict)) return op == Op::allocate ? verdict.error : -1;
  const UndoLog::Turn turn(undo_log());
  const Inode before = inode_of(fd);
  const auto fresh = static_cast<std::uint64_t>(size);
  std::string cut_off;
  if (undo_log().on() && op == Op::truncate && fresh < before.size) {
    cut_off = read_bytes("/proc/self/fd/" + std::to_string(fd), fresh, before.size - fresh);
  }
  const int result = call();
  if (result != 0) return result;
  if (undo_log().on()) log_size(before, op == Op::truncate ? fresh : std::max(fresh, before.size), cut_off);
  return after(verdict, result);
}

int flags_of_mode(const char* mode) {
  const std::string_view text = mode != nullptr ? mode : "";
  const int access = text.find('+') != std::string_view::npos ? O_RDWR : O_WRONLY;
  if (text.starts_with('w')) return access | O_CREAT | O_TRUNC;
  if (text.starts_with('a')) return access | O_CREAT;
  return access == O_RDWR ? O_RDWR : O_RDONLY;
}

mode_t mode_of(int flags, va_list& rest) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? static_cast<mode_t>(va_arg(rest, unsigned)) : 0;
}

}  // namespace
}  // namespace pawl::shim

using namespace pawl::shim;

// ---- open ------------------------------------------------------------------------------------------------------

#define PAWL_OPEN(name)                                                                         \
  PAWL_SHIM int name(const char* file, int flags, ...) {                                        \
    PAWL_REAL(name);                                                                            \
    va_list rest;                                                                               \
    va_start(rest, flags);                                                                      \
    const mode_t mode = mode_of(flags, rest);                                                   \
    va_end(rest);                                                                               \
    return opened(path_at(AT_FDCWD, file), flags, -1, [&] { return real(file, flags, mode); }); \
  }
PAWL_OPEN(open)
PAWL_OPEN(open64)

#define PAWL_OPENAT(name)                                                                             \
  PAWL_SHIM int name(int folder, const char* file, int flags, ...) {                                  \
    PAWL_REAL(name);                                                                                  \
    va_list rest;                                                                                     \
    va_start(rest, flags);                                                                            \
    const mode_t mode = mode_of(flags, rest);                                                         \
    va_end(rest);                                                                                     \
    return opened(path_at(folder, file), flags, -1, [&] { return real(folder, file, flags, mode); }); \
  }
PAWL_OPENAT(openat)
PAWL_OPENAT(openat64)

#define PAWL_CREAT(name)                                                                                        \
  PAWL_SHIM int name(const char* file, mode_t mode) {                                                           \
    PAWL_REAL(name);                                                                                            \
    return opened(path_at(AT_FDCWD, file), O_CREAT | O_WRONLY | O_TRUNC, -1, [&] { return real(file, mode); }); \
  }
PAWL_CREAT(creat)
PAWL_CREAT(creat64)

#define PAWL_FOPEN(name)                                                                                 \
  PAWL_SHIM FILE* name(const char* file, const char* mode) {                                             \
    PAWL_REAL(name);                                                                                     \
    FILE* const none = nullptr;                                                                          \
    return opened(path_at(AT_FDCWD, file), flags_of_mode(mode), none, [&] { return real(file, mode); }); \
  }
PAWL_FOPEN(fopen)
PAWL_FOPEN(fopen64)

#define PAWL_MKSTEMP(name)                               \
  PAWL_SHIM int name(char* pattern) {                    \
    PAWL_REAL(name);                                     \
    return made(pattern, [&] { return real(pattern); }); \
  }
PAWL_MKSTEMP(mkstemp)
PAWL_MKSTEMP(mkstemp64)

#define PAWL_MKOSTEMP(name)                                     \
  PAWL_SHIM int name(char* pattern, int flags) {                \
    PAWL_REAL(name);                                            \
    return made(pattern, [&] { return real(pattern, flags); }); \
  }
PAWL_MKOSTEMP(mkostemp)
PAWL_MKOSTEMP(mkostemp64)

PAWL_SHIM char* mkdtemp(char* pattern) noexcept {
  PAWL_REAL(mkdtemp);
  if (idle()) return real(pattern);
  const UndoLog::Turn turn(undo_log());
  char* const result = real(pattern);
  const std::string path = path_at(AT_FDCWD, result);
  if (result != nullptr && undo_log().on() && concerns(path)) log_name(LogKind::make_folder, path, inode_of(path));
  return result;
}

// What fortified code calls instead. The C library declares them only there.
#define PAWL_OPEN_2(name, plain)                   \
  PAWL_SHIM int name(const char* file, int flags); \
  PAWL_SHIM int name(const char* file, int flags) { return plain(file, flags); }
PAWL_OPEN_2(__open_2, open)
PAWL_OPEN_2(__open64_2, open64)
#define PAWL_OPENAT_2(name, plain)                             \
  PAWL_SHIM int name(int folder, const char* file, int flags); \
  PAWL_SHIM int name(int folder, const char* file, int flags) { return plain(folder, file, flags); }
PAWL_OPENAT_2(__openat_2, openat)
PAWL_OPENAT_2(__openat64_2, openat64)

PAWL_SHIM int close(int fd) {
  PAWL_REAL(close);
  if (!rules().any() || !inode_of(fd).is_file) return real(fd);
  const std::string path = path_of(fd);
  if (!concerns(path)) return real(fd);
  const Verdict verdict = rules().judge(Op::close, path);
  const int result = real(fd);  // also one that fails has closed it
  if (refused(verdict)) return -1;
  return after(verdict, result);
}

// ---- write and sync --------------------------------------------------------------------------------------------

PAWL_SHIM ssize_t write(int fd, const void* bytes, size_t count) {
  PAWL_REAL(write);
  return written(fd, kAtPosition, count, [&](std::size_t most) { return real(fd, bytes, most); });
}
PAWL_SHIM ssize_t writev(int fd, const iovec* vectors, int count) {
  PAWL_REAL(writev);
  return written(fd, kAtPosition, bytes_of(vectors, count),
                 [&](std::size_t most) { return real(fd, first_of(vectors, count, most).data(), count); });
}

#define PAWL_PWRITE(name, offset_type)                                                                  \
  PAWL_SHIM ssize_t name(int fd, const void* bytes, size_t count, offset_type offset) {                 \
    PAWL_REAL(name);                                                                                    \
    return written(fd, offset, count, [&](std::size_t most) { return real(fd, bytes, most, offset); }); \
  }
PAWL_PWRITE(pwrite, off_t)
PAWL_PWRITE(pwrite64, off64_t)

#define PAWL_PWRITEV(name, offset_type)                                                                               \
  PAWL_SHIM ssize_t name(int fd, const iovec* vectors, int count, offset_type offset) {                               \
    PAWL_REAL(name);                                                                                                  \
    return written(fd, offset, bytes_of(vectors, count),                                                              \
                   [&](std::size_t most) { return real(fd, first_of(vectors, count, most).data(), count, offset); }); \
  }
PAWL_PWRITEV(pwritev, off_t)
PAWL_PWRITEV(pwritev64, off64_t)

PAWL_SHIM int fsync(int fd) {
  PAWL_REAL(fsync);
  return synced(fd, [&] { return real(fd); });
}
PAWL_SHIM int fdatasync(int fd) {
  PAWL_REAL(fdatasync);
  return synced(fd, [&] { return real(fd); });
}
PAWL_SHIM int syncfs(int fd) noexcept {
  PAWL_REAL(syncfs);
  const std::uint64_t covered = undo_log().on() ? undo_log().length() : 0;
  const int result = real(fd);
  LogRecord record;  // of no file: of all
  record.kind = LogKind::sync;
  record.offset = covered;
  if (result == 0) undo_log().add(record);
  return result;
}

// ---- names -----------------------------------------------------------------------------------------------------

PAWL_SHIM int rename(const char* from, const char* to) noexcept {
  PAWL_REAL(rename);
  return renamed(path_at(AT_FDCWD, from), path_at(AT_FDCWD, to), [&] { return real(from, to); });
}
PAWL_SHIM int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  PAWL_REAL(renameat);
  return renamed(path_at(from_folder, from), path_at(to_folder, to),
                 [&] { return real(from_folder, from, to_folder, to); });
}
PAWL_SHIM int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  PAWL_REAL(renameat2);
  return renamed(path_at(from_folder, from), path_at(to_folder, to),
                 [&] { return real(from_folder, from, to_folder, to, flags); });
}
PAWL_SHIM int link(const char* from, const char* to) noexcept {
  PAWL_REAL(link);
  return linked(path_at(AT_FDCWD, from), path_at(AT_FDCWD, to), [&] { return real(from, to); });
}
PAWL_SHIM int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
  PAWL_REAL(linkat);
  return linked(path_at(from_folder, from), path_at(to_folder, to),
                [&] { return real(from_folder, from, to_folder, to, flags); });
}
PAWL_SHIM int unlink(const char* name) noexcept {
  PAWL_REAL(unlink);
  return removed(path_at(AT_FDCWD, name), [&] { return real(name); });
}
PAWL_SHIM int unlinkat(int folder, const char* name, int flags) noexcept {
  PAWL_REAL(unlinkat);
  return removed(path_at(folder, name), [&] { return real(folder, name, flags); });
}
PAWL_SHIM int rmdir(const char* name) noexcept {
  PAWL_REAL(rmdir);
  return removed(path_at(AT_FDCWD, name), [&] { return real(name); });
}
PAWL_SHIM int remove(const char* name) noexcept {
  PAWL_REAL(remove);
  return removed(path_at(AT_FDCWD, name), [&] { return real(name); });
}
PAWL_SHIM int mkdir(const char* name, mode_t mode) noexcept {
  PAWL_REAL(mkdir);
  return folder_made(path_at(AT_FDCWD, name), [&] { return real(name, mode); });
}
PAWL_SHIM int mkdirat(int folder, const char* name, mode_t mode) noexcept {
  PAWL_REAL(mkdirat);
  return folder_made(path_at(folder, name), [&] { return real(folder, name, mode); });
}

// ---- size ------------------------------------------------------------------------------------------------------

#define PAWL_FTRUNCATE(name, size_type)                                     \
  PAWL_SHIM int name(int fd, size_type size) noexcept {                     \
    PAWL_REAL(name);                                                        \
    return resized(Op::truncate, fd, size, [&] { return real(fd, size); }); \
  }
PAWL_FTRUNCATE(ftruncate, off_t)
PAWL_FTRUNCATE(ftruncate64, off64_t)

#define PAWL_POSIX_FALLOCATE(name, size_type)                                                \
  PAWL_SHIM int name(int fd, size_type offset, size_type size) {                             \
    PAWL_REAL(name);                                                                         \
    return resized(Op::allocate, fd, offset + size, [&] { return real(fd, offset, size); }); \
  }
PAWL_POSIX_FALLOCATE(posix_fallocate, off_t)
PAWL_POSIX_FALLOCATE(posix_fallocate64, off64_t)

#define PAWL_FALLOCATE(name, size_type)                                                                      \
  PAWL_SHIM int name(int fd, int mode, size_type offset, size_type size) {                                   \
    PAWL_REAL(name);                                                                                         \
    if (mode != 0) return real(fd, mode, offset, size);                                                      \
    const int code = resized(Op::allocate, fd, offset + size, [&] { return real(fd, mode, offset, size); }); \
    return code > 0 ? -1 : code;                                                                             \
  }
PAWL_FALLOCATE(fallocate, off_t)
PAWL_FALLOCATE(fallocate64, off64_t)
