// What this part's own files may know of an open repository: libgit2's handle, and the branch's tip.
//
// Use it inside adapters/git only; everybody else has <pawl/git.h>. Thread rule: a handle is used by one thread at a
// time. Who needs git on a second thread opens a handle of its own with open_again().
#pragma once

#include <git2.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <pawl/error.h>
#include <pawl/git.h>

#include "encoded.h"

namespace pawl::git {

/// Gives any libgit2 handle back with the function that belongs to it.
template <auto Free>
struct GitFree {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    Free(handle);
  }
};
template <class Handle, auto Free>
using GitHandle = std::unique_ptr<Handle, GitFree<Free>>;

using RepositoryHandle = GitHandle<git_repository, git_repository_free>;
using ReferenceHandle = GitHandle<git_reference, git_reference_free>;
using OdbHandle = GitHandle<git_odb, git_odb_free>;
using OdbObjectHandle = GitHandle<git_odb_object, git_odb_object_free>;
using ConfigHandle = GitHandle<git_config, git_config_free>;
using IndexHandle = GitHandle<git_index, git_index_free>;
using CommitHandle = GitHandle<git_commit, git_commit_free>;
using TreeHandle = GitHandle<git_tree, git_tree_free>;
using DiffHandle = GitHandle<git_diff, git_diff_free>;
using SignatureHandle = GitHandle<git_signature, git_signature_free>;
using TransactionHandle = GitHandle<git_transaction, git_transaction_free>;

struct Repository::Impl {
  RepositoryHandle handle;
  std::filesystem::path git_dir;         // of this work tree
  std::filesystem::path common_dir;      // objects and refs; the same unless this is a linked work tree
  std::filesystem::path private_folder;  // git_dir/pawl
  std::filesystem::path work_tree;       // empty: bare
  std::string branch;                    // refs/heads/…
  bool created = false;
};

/// libgit2's handle. Never null.
[[nodiscard]] git_repository* handle(Repository& repository) noexcept;

/// A second handle of the same repository, for another thread. Errors: repository.
[[nodiscard]] Result<RepositoryHandle> open_again(const Repository::Impl& repository);

/// Commit the branch points to; none while the branch is unborn. Errors: repository.
[[nodiscard]] Result<std::optional<ObjectId>> branch_tip(Repository& repository);
[[nodiscard]] Result<std::optional<ObjectId>> branch_tip(git_repository* repository, const std::string& branch);

/// Whether HEAD points at this branch, born or not.
[[nodiscard]] bool is_checked_out(git_repository* repository, const std::string& branch) noexcept;

/// Root tree of a commit; none if there is no such commit. Errors: repository.
[[nodiscard]] Result<std::optional<ObjectId>> tree_of(Repository& repository, const ObjectId& commit);
[[nodiscard]] Result<std::optional<ObjectId>> tree_of(git_repository* repository, const ObjectId& commit);

/// Error{repository}: `what`, then libgit2's own words. Call it right after the failing call, on the same thread.
[[nodiscard]] Error git_error(std::string what);

[[nodiscard]] git_oid to_oid(const ObjectId& object_id) noexcept;
[[nodiscard]] ObjectId from_oid(const git_oid& oid) noexcept;

}  // namespace pawl::git
