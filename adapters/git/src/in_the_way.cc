#include <sys/stat.h>

#include <string>
#include <string_view>

#include <pawl/git.h>

#include "repository.h"

namespace pawl::git {
namespace {

/// A file, a link or a submodule of this name at the top of the branch.
Result<bool> is_file_of_branch(Repository& repository, const std::string& name) {
  const auto tip = branch_tip(repository);
  if (!tip) return std::unexpected(tip.error());
  if (!*tip) return false;
  const auto root = tree_of(repository, **tip);
  if (!root) return std::unexpected(root.error());
  if (!*root) return false;
  const git_oid id = to_oid(**root);
  git_tree* raw = nullptr;
  if (git_tree_lookup(&raw, handle(repository), &id) != 0)
    return std::unexpected(git_error("cannot read the tree at the tip of " + repository.branch()));
  const TreeHandle tree(raw);
  const git_tree_entry* entry = git_tree_entry_byname(tree.get(), name.c_str());
  return entry != nullptr && git_tree_entry_type(entry) != GIT_OBJECT_TREE;
}

}  // namespace

Result<std::string> in_the_way(Repository& repository, std::string_view stream, CommitOptions::WorkTree work_tree) {
  const std::string name = safe_component(stream);
  const auto of_branch = is_file_of_branch(repository, name);
  if (!of_branch) return std::unexpected(of_branch.error());
  if (*of_branch) return name + " is a file on " + repository.branch();
  if (work_tree == CommitOptions::WorkTree::leave || repository.work_tree().empty() ||
      !is_checked_out(handle(repository), repository.branch()))
    return std::string();
  const auto path = repository.work_tree() / name;
  struct stat about{};
  if (::lstat(path.c_str(), &about) != 0 || S_ISDIR(about.st_mode)) return std::string();
  return path.string() + " is a file";
}

}  // namespace pawl::git
