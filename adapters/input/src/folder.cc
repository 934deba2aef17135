#include "folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "owned_fd.h"

namespace pawl::input {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

std::unexpected<Error> cannot_read(const std::string& path, int error) {
  return failure(ErrorCode::input, "cannot read " + path + ": " + std::strerror(error), error);
}

enum class Kind { file, folder, none };

/// A name that cannot be looked at counts as a file: reading it then says what is wrong with it.
Kind kind_of(const std::string& folder, const dirent& entry) {
  if (entry.d_type == DT_REG) return Kind::file;
  const bool is_git = std::string_view(entry.d_name) == ".git";
  if (entry.d_type == DT_DIR) return is_git ? Kind::none : Kind::folder;
  const std::string path = folder + entry.d_name;
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return Kind::file;
  if (S_ISDIR(info.st_mode)) return is_git ? Kind::none : Kind::folder;
  if (S_ISLNK(info.st_mode) && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return Kind::none;
  return Kind::file;
}

}  // namespace

FolderWalk::FolderWalk(std::string root, std::string passed_over)
    : root_(std::move(root)), passed_over_(std::move(passed_over)) {
  if (!root_.ends_with('/')) root_ += '/';
}

std::string FolderWalk::full_path(const std::string& relative) const { return root_ + relative; }

Result<bool> FolderWalk::next(std::string& relative) {
  if (!std::exchange(started_, true)) {
    if (auto entered = enter(""); !entered) return std::unexpected(std::move(entered.error()));
  }
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.at == level.names.size()) {
      levels_.pop_back();
      continue;
    }
    std::string path = level.folder + level.names[level.at++];
    if (!path.ends_with('/')) {
      relative.assign(path);
      return true;
    }
    if (is_passed_over(full_path(path))) continue;
    if (auto entered = enter(std::move(path)); !entered) return std::unexpected(std::move(entered.error()));
  }
  return false;
}

/// By what they are, not by name: there are many ways to spell a path.
bool FolderWalk::is_passed_over(const std::string& path) const {
  struct stat one{}, other{};
  return !passed_over_.empty() && ::stat(passed_over_.c_str(), &other) == 0 && ::stat(path.c_str(), &one) == 0 &&
         one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

Result<void> FolderWalk::enter(std::string folder) {
  const std::string path = full_path(folder);
  const std::unique_ptr<DIR, CloseFolder> open(::opendir(path.c_str()));
  if (open == nullptr) return cannot_read(path, errno);
  Level level{std::move(folder), {}, 0};
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(open.get());
    if (entry == nullptr && errno != 0) return cannot_read(path, errno);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const Kind kind = kind_of(path, *entry);
    if (kind == Kind::none) continue;
    level.names.emplace_back(name);
    if (kind == Kind::folder) level.names.back() += '/';
  }
  std::ranges::sort(level.names);  // char_traits compares bytes as unsigned
  levels_.push_back(std::move(level));
  return {};
}

Result<std::size_t> read_file(const std::string& path, std::size_t bytes_max, std::string& body) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const OwnedFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) return cannot_read(path, errno);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return cannot_read(path, errno);
  if (!S_ISREG(info.st_mode)) return failure(ErrorCode::input, path + ": expected a regular file");
  const auto too_large = [&] {
    return failure(ErrorCode::input,
                   path + ": expected a file of at most " + std::to_string(bytes_max) + " bytes, got a larger one");
  };
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size > bytes_max) return too_large();
  std::size_t done = 0;
  body.resize(size + 1);  // one more, so that the last read() sees the end without growing
  while (true) {
    if (done == body.size()) body.resize(std::min(2 * body.size(), bytes_max + 1));
    const ssize_t got = ::read(file.get(), body.data() + done, body.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot_read(path, errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
    if (done > bytes_max) return too_large();
  }
  body.resize(done);
  return done;
}

}  // namespace pawl::input
