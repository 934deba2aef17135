// Brings files of the branch onto the disk, in their folders, without ever touching what a person changed.
//
// A file is written if it is absent or has the content the branch had before. Symbolic links in a path are not
// followed. One thread, but several writers may be at work on one work tree if no folder is two writers'.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "encoded.h"

namespace pawl::git {

/// One file as a commit changed it.
struct FileChange {
  std::string_view path;
  std::string_view content;
  ObjectId blob{};
  std::optional<ObjectId> previous;  // what the branch held before; none: the path is new
};

/// The file's state; else kOfAPerson (left alone) or an errno.
using Placed = std::expected<struct stat, int>;
constexpr int kOfAPerson = 0;

class FileWriter {
 public:
  /// What may be replaced beside the branch's own content: when catching up, what a run that was killed has left.
  enum class Replace : std::uint8_t { own, remains_too };

  explicit FileWriter(std::filesystem::path root, Replace replace = Replace::own)
      : root_(std::move(root)), replace_(replace) {}
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  /// Brings one file onto the disk. The folders on its way stay open for the next one: give them folder by folder.
  [[nodiscard]] Placed place(const FileChange& change);

  /// Files written so far.
  [[nodiscard]] std::uint64_t written() const noexcept { return written_; }

 private:
  struct Folder {
    std::size_t bytes;  // of its path, the beginning of way_
    int fd;
  };

  [[nodiscard]] std::expected<int, int> folder(std::string_view path);
  [[nodiscard]] std::expected<int, int> enter(const Folder& parent, std::string_view name);
  void leave() noexcept;
  [[nodiscard]] bool may_replace(const std::string& present, const FileChange& change) const;
  [[nodiscard]] Placed replace(int folder, const std::string& name, const FileChange& change);

  std::filesystem::path root_;
  Replace replace_;
  std::vector<Folder> folders_;  // open, each in the one before it
  std::string way_;              // path of the last of them
  std::string name_;             // of the file at hand
  std::uint64_t written_ = 0;
};

}  // namespace pawl::git
