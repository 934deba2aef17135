// Merges what others have pushed into the branch, with the git program.
#pragma once

#include <filesystem>

#include <pawl/error.h>

#include "child_process.h"
#include "commit_text.h"
#include "encoded.h"
#include "repository.h"

namespace pawl::git {

struct MergeOptions {
  const Repository::Impl& borrowed_repository;
  const Identity& borrowed_identity;
  std::string remote;          // for the message
  std::filesystem::path root;  // of the work tree with the branch checked out; empty: only the branch moves
  const Interrupt& borrowed_interrupt;
};

/// Brings `theirs` into the branch, whose tip is `ours`: forward if nothing is to be merged, else by a commit with both
/// as parents. Answers the new tip. If it fails, branch and work tree are as they were. Files and index must be at
/// `ours`, and nobody of this process may move the branch meanwhile. Blocks.
/// Errors: repository (both sides changed a file; changes of a person's are in the way), io.
[[nodiscard]] Result<ObjectId> merge_into_branch(const MergeOptions& options, const ObjectId& ours,
                                                 const ObjectId& theirs);

}  // namespace pawl::git
