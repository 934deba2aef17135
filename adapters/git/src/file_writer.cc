#include "file_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "object_id.h"
#include "open_file.h"

namespace pawl::git {
namespace {

constexpr char kTemporary[] = ".pawl-tmp";  // one at a time in a folder: it is one writer's

/// All of an open file; none if it cannot be read.
std::optional<std::string> read_all(int fd, std::size_t size) {
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(fd, content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    done += static_cast<std::size_t>(got);
  }
  return content;
}

/// Fills an empty file; its state afterwards, else an errno.
std::expected<struct stat, int> fill(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t wrote = ::write(fd, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return std::unexpected(wrote < 0 ? errno : EIO);
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  struct stat state{};
  if (::fstat(fd, &state) != 0) return std::unexpected(errno);
  return state;
}

/// Whether `error` says that something else has the name, as against the machine refusing.
bool is_in_the_way(int error) {
  return error == EEXIST || error == ELOOP || error == ENOTDIR || error == EISDIR || error == ENXIO ||
         error == ENAMETOOLONG;
}

/// Whether `present` is `content` with its end or parts in the middle missing, as zeros.
bool is_remains_of(std::string_view content, std::string_view present) {
  if (present.size() > content.size()) return false;
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (present[i] != content[i] && present[i] != '\0') return false;
  }
  return true;
}

}  // namespace

FileWriter::~FileWriter() {
  while (!folders_.empty()) leave();
}

void FileWriter::leave() noexcept {
  ::close(folders_.back().fd);
  folders_.pop_back();
}

/// Descriptor of a folder below root_, made if missing; else as Placed. "" is root_.
std::expected<int, int> FileWriter::folder(std::string_view path) {
  if (folders_.empty()) {
    const int fd = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return std::unexpected(is_in_the_way(errno) ? kOfAPerson : errno);
    folders_.push_back({0, fd});
  }
  const auto leads_to = [this, path](std::size_t bytes) {
    return bytes == 0 || (bytes <= path.size() && way_.compare(0, bytes, path.substr(0, bytes)) == 0 &&
                          (bytes == path.size() || path[bytes] == '/'));
  };
  while (!leads_to(folders_.back().bytes)) leave();
  while (folders_.back().bytes < path.size()) {
    const std::size_t begin = folders_.back().bytes == 0 ? 0 : folders_.back().bytes + 1;
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const auto entered = enter(folders_.back(), path.substr(begin, end - begin));
    if (!entered) return entered;
    way_.assign(path.substr(0, end));
    folders_.push_back({end, *entered});
  }
  return folders_.back().fd;
}

/// Mostly it is there, so it is made only if it is missed.
std::expected<int, int> FileWriter::enter(const Folder& parent, std::string_view name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  name_ = name;
  int fd = ::openat(parent.fd, name_.c_str(), kFlags);
  if (fd < 0 && errno == ENOENT && (::mkdirat(parent.fd, name_.c_str(), 0777) == 0 || errno == EEXIST)) {
    fd = ::openat(parent.fd, name_.c_str(), kFlags);
  }
  if (fd < 0) return std::unexpected(is_in_the_way(errno) ? kOfAPerson : errno);
  return fd;
}

/// Whether a file's content is the branch's, so that nothing of a person's is lost with it.
bool FileWriter::may_replace(const std::string& present, const FileChange& change) const {
  // A run that was killed while it wrote the file leaves a part of it, often nothing; the loss of power leaves holes.
  if (replace_ == Replace::remains_too && is_remains_of(change.content, present)) return true;
  if (!change.previous) return false;
  const Result<ObjectId> blob = hash_blob(present);
  return blob && *blob == *change.previous;
}

/// There is a file already: replaces it if may_replace().
Placed FileWriter::replace(int folder, const std::string& name, const FileChange& change) {
  const auto failed = [](int error) { return std::unexpected(is_in_the_way(error) ? kOfAPerson : error); };
  const OpenFile present(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  // One that may not be read, or just went, is a person's.
  if (present.fd() < 0) return failed(errno == EACCES || errno == ENOENT ? EEXIST : errno);
  struct stat before{};
  if (::fstat(present.fd(), &before) != 0) return failed(errno);
  if (!S_ISREG(before.st_mode)) return std::unexpected(kOfAPerson);
  errno = 0;  // stays so at an early end of the file: a person is at it
  const std::optional<std::string> content = read_all(present.fd(), static_cast<std::size_t>(before.st_size));
  if (!content) return failed(errno);
  if (*content == change.content) return before;
  if (!may_replace(*content, change)) return std::unexpected(kOfAPerson);

  ::unlinkat(folder, kTemporary, 0);  // of a run that was killed
  const OpenFile file(::openat(folder, kTemporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.fd() < 0) return failed(errno);
  Placed after = fill(file.fd(), change.content);
  if (after && (::fchmod(file.fd(), before.st_mode & 07777) != 0 ||
                ::renameat(folder, kTemporary, folder, name.c_str()) != 0 || ::fstat(file.fd(), &*after) != 0)) {
    after = failed(errno);
  }
  if (after) {
    ++written_;
  } else {
    ::unlinkat(folder, kTemporary, 0);
  }
  return after;
}

/// Brings one file onto the disk.
Placed FileWriter::place(const FileChange& change) {
  const std::size_t slash = change.path.rfind('/');
  const bool at_root = slash == std::string_view::npos;
  const auto parent = folder(at_root ? std::string_view{} : change.path.substr(0, slash));
  if (!parent) return std::unexpected(parent.error());
  name_ = change.path.substr(at_root ? 0 : slash + 1);
  const OpenFile file(::openat(*parent, name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (file.fd() < 0) {
    if (errno == EEXIST) return replace(*parent, name_, change);
    return std::unexpected(is_in_the_way(errno) ? kOfAPerson : errno);
  }
  Placed state = fill(file.fd(), change.content);
  if (state) {
    ++written_;
  } else {
    ::unlinkat(*parent, name_.c_str(), 0);  // half a file is worse than none
  }
  return state;
}

}  // namespace pawl::git
