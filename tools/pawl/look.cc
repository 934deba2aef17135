#include "look.h"

#include <cerrno>
#include <utility>

namespace pawl::tool {

namespace {

git::RepositoryOptions looking_at(const std::string& repo, const std::string& branch) {
  return {repo, branch, git::RepositoryOptions::Missing::fail, git::RepositoryOptions::Use::look};
}

}  // namespace

Result<std::unique_ptr<git::Repository>> open_at_any_branch(const std::string& repo) {
  return git::Repository::open(looking_at(repo, "main"));  // a name, so that HEAD is not asked for one
}

Result<Looked> open_to_look(const std::string& repo, const std::string& branch) {
  auto repository = open_at_any_branch(repo);  // which branch, the settings of the last run say
  if (!repository) return std::unexpected(repository.error());
  Looked looked;
  const std::string settings = ((*repository)->private_folder() / "settings").string();
  // They are their owner's; others can look at what the branch has all the same.
  if (auto read = read_settings(looked.last, settings); !read && read.error().sys_errno != EACCES)
    return std::unexpected(read.error());
  repository = git::Repository::open(looking_at(repo, branch.empty() ? looked.last.branch : branch));
  if (!repository) return std::unexpected(repository.error());
  if (!branch.empty()) {
    const auto born = git::has_commits(**repository);
    if (!born) return std::unexpected(born.error());
    if (!*born) return failure(ErrorCode::usage, repo + " has no branch " + branch);
  }
  looked.repository = std::move(*repository);
  return looked;
}

}  // namespace pawl::tool
