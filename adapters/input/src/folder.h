// FolderWalk: the files below a folder, in bytewise order of their relative paths, found while it goes.
//
// Holds the names of the folders between the root and the current file, never the whole tree. Links to files are
// followed, links to folders, folders named .git and one that is named to it are passed over.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <pawl/error.h>

namespace pawl::input {

class FolderWalk {
 public:
  /// `passed_over`: a folder below `root` that is not entered; empty: none.
  explicit FolderWalk(std::string root, std::string passed_over = {});

  /// Writes the next file's path relative to the root to `relative`; false: no more.
  /// Errors: input (a folder or file cannot be looked at; passed over by the next call).
  [[nodiscard]] Result<bool> next(std::string& relative);

  /// The path to open, and to name in messages.
  [[nodiscard]] std::string full_path(const std::string& relative) const;

 private:
  struct Level {
    std::string folder;              // relative to the root, with a slash at the end; "" is the root
    std::vector<std::string> names;  // sorted; folders end in '/', which is where their paths sort
    std::size_t at = 0;
  };
  [[nodiscard]] Result<void> enter(std::string folder);
  [[nodiscard]] bool is_passed_over(const std::string& path) const;

  std::string root_;  // ends in '/'
  std::string passed_over_;
  std::vector<Level> levels_;
  bool started_ = false;
};

/// Reads the regular file at `path` into `body`, re-using its memory. Returns the bytes read.
/// Errors: input (missing, unreadable, not a regular file, larger than `bytes_max`); names the file.
[[nodiscard]] Result<std::size_t> read_file(const std::string& path, std::size_t bytes_max, std::string& body);

}  // namespace pawl::input
