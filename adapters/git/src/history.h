// The first-parent history of a branch, oldest commit first, and the files that each commit changed.
//
// Trees are compared as git serialises them, and only where they differ, so a commit costs what it changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <pawl/error.h>

#include "encoded.h"
#include "repository.h"

namespace pawl::git {

struct HistoryCommit {
  ObjectId id{};
  ObjectId tree{};
  std::string run;                       // trailer Pawl-Run; empty: a commit of another
  std::optional<std::uint64_t> number;   // trailer Pawl-Commit: 1, 2, … within the run
  std::optional<std::uint64_t> results;  // trailer Pawl-Results: files it changes
  bool raw = false;                      // trailer Pawl-Layout: raw
};

/// Reads the header and the trailers of a commit. `first_parent`: none at a root.
/// Errors: repository (not a commit).
[[nodiscard]] Result<HistoryCommit> parse_commit(std::string_view content, std::optional<ObjectId>& first_parent);

struct History {
  std::vector<HistoryCommit> commits;  // oldest first
  bool whole = true;                   // false: a shallow clone, the oldest commit here has parents elsewhere
};
/// Errors: repository (a commit is missing or damaged).
[[nodiscard]] Result<History> read_history(git_repository* repository, git_odb* odb, std::optional<ObjectId> tip);

struct PathChange {
  std::string path;
  std::optional<ObjectId> before;  // none: the file is new
  std::optional<ObjectId> after;   // none: the file is gone
  bool plain = true;               // what is there now, or was, is an ordinary file
};

class TreeDiff {
 public:
  explicit TreeDiff(git_odb* odb) : borrowed_odb_(odb) {}

  /// Files that differ, by path. `before`: none stands for an empty tree. Errors: repository (a tree is missing or
  /// damaged).
  [[nodiscard]] Result<std::vector<PathChange>> compare(const std::optional<ObjectId>& before, const ObjectId& after);

 private:
  using Content = std::shared_ptr<const std::string>;
  struct Hash {
    std::size_t operator()(const ObjectId& id) const noexcept;
  };

  [[nodiscard]] Result<Content> read(const ObjectId& tree);
  [[nodiscard]] Result<void> enter(const std::optional<ObjectId>& before, const std::optional<ObjectId>& after,
                                   const std::string& folder);

  git_odb* borrowed_odb_;
  std::unordered_map<ObjectId, Content, Hash> cache_;  // what one commit has is what the next one is compared with
  std::size_t cached_bytes_ = 0;
  std::vector<PathChange> changes_;
};

}  // namespace pawl::git
