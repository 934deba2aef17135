// The branch's tree in memory: serialised as git stores it, edited in place, written as small deltas.
//
// Folders are read from the repository when first needed and forgotten again when they have not been used for a
// while, so a repository of a million files takes the memory of the few folders that change. Nothing but the paths
// put() names is ever changed; foreign entries keep their bytes. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <pawl/error.h>

#include "encoded.h"
#include "pack.h"

namespace pawl::git {

/// Reads the content of a tree object.
using ReadTree = std::function<Result<std::string>(const ObjectId&)>;

/// What put() did.
struct Put {
  enum class Kind : std::uint8_t {
    added,      // the path is new
    replaced,   // the path held another blob, `previous`
    unchanged,  // the path held this very blob
    conflict,   // the path cannot be had: `obstacle` is in the way
  };
  Kind kind = Kind::added;
  ObjectId previous{};
  std::string obstacle;  // "a/b is a file", "a/b is a folder"
};

class Tree {
 public:
  /// `root`: the tree to begin with; none for an empty one.
  Tree(ReadTree read, std::optional<ObjectId> root);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  /// Begins anew from another tree; forgets all that was not written.
  void reset(std::optional<ObjectId> root);

  /// Sets a file. Makes the folders it needs. Errors: repository (a tree object cannot be read); the tree is then
  /// as it was.
  [[nodiscard]] Result<Put> put(std::string_view path, const ObjectId& blob);

  /// Whether something was put since the last write().
  [[nodiscard]] bool changed() const noexcept;

  /// Adds all changed folders to `pack`; returns the root's id.
  [[nodiscard]] ObjectId write(Pack& pack);

  /// Forgets the folders that have not been used since the pack of this generation, which must be in the repository.
  void forget(std::uint64_t generation);

  /// Tells apart what is used now from what was used before: the generation of the pack being built.
  void begin(std::uint64_t generation) noexcept { generation_ = generation; }

  /// Bytes held, roughly.
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  class Folder;

  [[nodiscard]] Result<Folder*> root();
  [[nodiscard]] Result<Folder*> enter(Folder& folder, std::size_t at);

  ReadTree read_;
  std::unique_ptr<Folder> root_;     // null: not read yet
  std::optional<ObjectId> root_id_;  // as of the last write() or reset()
  std::uint64_t generation_ = 0;
};

}  // namespace pawl::git
