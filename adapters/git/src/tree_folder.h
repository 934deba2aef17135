// One folder of the tree in memory. Part of tree.cc; see tree.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>

#include "encoded.h"
#include "pack.h"
#include "tree.h"

namespace pawl::git {

/// A tree object as git serialises it ("<mode> <name>\0<20 bytes>" …, in git's order), with an index over it, the
/// folders in it that are in memory, and the edits since it was last written.
class Tree::Folder {
 public:
  enum class Kind : std::uint8_t { file, link, folder, submodule };

  Folder() = default;
  /// Errors: repository (not the content of a tree).
  [[nodiscard]] static Result<std::unique_ptr<Folder>> parse(std::string content);

  /// Where an entry of this name is; none if there is none. Whether it is a folder decides where git sorts it, so a
  /// name is looked for as one or the other.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view name, bool folder) const;

  [[nodiscard]] Kind kind(std::size_t at) const noexcept { return entries_[at].kind; }
  [[nodiscard]] ObjectId id_of(std::size_t at) const noexcept;
  [[nodiscard]] std::unique_ptr<Folder>& child(std::size_t at) noexcept { return entries_[at].child; }

  /// Adds an entry that is not there yet. `generation`: of the pack being built.
  std::size_t insert(std::string_view name, Kind kind, const ObjectId& object_id, std::uint64_t generation);
  /// Points an entry to another object; a link becomes a plain file.
  void point(std::size_t at, const ObjectId& object_id, std::uint64_t generation);

  /// Adds this folder and the changed ones in it to `pack`; returns its id.
  ObjectId write(Pack& pack);
  void forget(std::uint64_t generation);
  [[nodiscard]] std::uint64_t bytes() const;

  bool changed = false;    // it or something in it differs from what was written last
  std::uint64_t used = 0;  // generation of its last use

 private:
  struct Entry {
    std::uint32_t begin;   // in content_
    std::uint8_t name_at;  // from begin: behind the mode and its space
    Kind kind;
    std::unique_ptr<Folder> child;  // null: not in memory
  };
  struct Edit {
    std::uint32_t begin, size;  // in content_ as it is now
    bool inserted;              // else overwritten
  };
  struct Base {  // the version written last
    std::uint64_t generation = 0;
    std::uint64_t offset = 0;
    std::size_t size = 0;
    unsigned depth = 0;
  };

  [[nodiscard]] std::size_t end_of(std::size_t at) const noexcept {
    return at + 1 < entries_.size() ? entries_[at + 1].begin : content_.size();
  }
  [[nodiscard]] std::string_view name_of(std::size_t at) const noexcept;
  [[nodiscard]] int compare(std::string_view name, bool folder, std::size_t at) const noexcept;
  [[nodiscard]] std::size_t lower_bound(std::string_view name, bool folder) const noexcept;
  void note(Edit edit, std::uint64_t generation);
  [[nodiscard]] std::string delta();

  std::string content_;
  std::vector<Entry> entries_;
  std::vector<Edit> edits_;  // since base_, unless base_ is of an older pack than the one being built
  Base base_;
};

}  // namespace pawl::git
