#include "index_changes.h"

#include <algorithm>

namespace pawl::git {

FileState state_of(const struct stat& file) noexcept {
  return {.ctime_seconds = static_cast<std::uint32_t>(file.st_ctim.tv_sec),
          .ctime_nanoseconds = static_cast<std::uint32_t>(file.st_ctim.tv_nsec),
          .mtime_seconds = static_cast<std::uint32_t>(file.st_mtim.tv_sec),
          .mtime_nanoseconds = static_cast<std::uint32_t>(file.st_mtim.tv_nsec),
          .device = static_cast<std::uint32_t>(file.st_dev),
          .inode = static_cast<std::uint32_t>(file.st_ino),
          .user = static_cast<std::uint32_t>(file.st_uid),
          .group = static_cast<std::uint32_t>(file.st_gid),
          .size = static_cast<std::uint32_t>(file.st_size)};
}

void IndexChanges::add(std::string_view path, const ObjectId& blob, const std::optional<ObjectId>& previous,
                       const std::optional<struct stat>& file) {
  changes_.push_back({.path_at = paths_.size(),
                      .path_bytes = static_cast<std::uint32_t>(path.size()),
                      .executable = file && (file->st_mode & S_IXUSR) != 0,
                      .blob = blob,
                      .previous = previous,
                      .file = file ? state_of(*file) : FileState{}});
  paths_ += path;
}

void IndexChanges::clear() noexcept {
  changes_.clear();
  paths_.clear();
}

void IndexChanges::sort() {
  std::ranges::sort(changes_, [this](const Change& a, const Change& b) {
    const int order = path_of(a).compare(path_of(b));  // as memcmp, the shorter first: git's own order
    return order != 0 ? order < 0 : a.path_at < b.path_at;
  });
}

std::size_t IndexChanges::next_path(std::size_t at) const noexcept {
  const std::string_view here = path(at);
  do ++at;
  while (at < size() && path(at) == here);
  return at;
}

std::optional<std::size_t> IndexChanges::taken(std::size_t first, std::size_t last,
                                               std::optional<ObjectId> held) const noexcept {
  std::optional<std::size_t> chosen;
  for (std::size_t at = first; at < last; ++at) {
    const Change& change = changes_[at];
    if (held ? *held != change.blob && held != change.previous : change.previous.has_value()) continue;
    held = change.blob;
    chosen = at;
  }
  return chosen;
}

}  // namespace pawl::git
