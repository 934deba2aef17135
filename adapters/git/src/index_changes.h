// What the index still has to learn from the branch.
//
// Between two writes of the index a fast run collects a hundred thousand changes, so one takes about 100 bytes and its
// path: all paths share one buffer, and of a file's state only what the index holds is kept. When not to use it: for
// anything that is looked up before it is complete; it is filled, sorted once and read. One thread.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "encoded.h"

namespace pawl::git {

/// A file as the index remembers it, to see later without reading it whether it was touched: gitformat-index(5), cut
/// to 32 bits as there.
struct FileState {
  std::uint32_t ctime_seconds = 0;
  std::uint32_t ctime_nanoseconds = 0;
  std::uint32_t mtime_seconds = 0;
  std::uint32_t mtime_nanoseconds = 0;
  std::uint32_t device = 0;
  std::uint32_t inode = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint32_t size = 0;

  friend bool operator==(const FileState&, const FileState&) = default;
};

[[nodiscard]] FileState state_of(const struct stat& file) noexcept;

class IndexChanges {
 public:
  struct Change {
    std::size_t path_at;  // in the buffer of paths; grows from change to change
    std::uint32_t path_bytes;
    bool executable;
    ObjectId blob;
    std::optional<ObjectId> previous;  // what the branch held before; none: the path was new
    FileState file;                    // all zero: not known, git compares the content itself
  };

  /// `file`: the file as written; none if it was left alone.
  void add(std::string_view path, const ObjectId& blob, const std::optional<ObjectId>& previous,
           const std::optional<struct stat>& file);
  void clear() noexcept;

  /// By path as git orders them (bytes); changes of one path stay in the order in which they were added.
  void sort();

  [[nodiscard]] bool empty() const noexcept { return changes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return changes_.size(); }
  [[nodiscard]] const Change& operator[](std::size_t at) const noexcept { return changes_[at]; }
  [[nodiscard]] std::string_view path(std::size_t at) const noexcept { return path_of(changes_[at]); }

  /// REQUIRES: sorted, at < size(). First position behind `at` with another path.
  [[nodiscard]] std::size_t next_path(std::size_t at) const noexcept;

  /// REQUIRES: sorted. The last of the changes [first, last) of one path that the index takes, the index holding
  /// `held` (none: nothing) for it. A change is taken if the index says what the branch said before or after it: else
  /// a person has staged something of their own.
  [[nodiscard]] std::optional<std::size_t> taken(std::size_t first, std::size_t last,
                                                 std::optional<ObjectId> held) const noexcept;

 private:
  [[nodiscard]] std::string_view path_of(const Change& change) const noexcept {
    return std::string_view(paths_).substr(change.path_at, change.path_bytes);
  }

  std::string paths_;
  std::vector<Change> changes_;
};

}  // namespace pawl::git
