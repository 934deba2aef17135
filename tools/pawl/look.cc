#include "look.h"

#include <utility>

namespace pawl::tool {

Result<Looked> open_to_look(const std::string& repo, const std::string& branch) {
  // Which branch, the settings of the last run say; any name opens the repository to find them.
  git::RepositoryOptions where{repo, "main", git::RepositoryOptions::Missing::fail, git::RepositoryOptions::Use::look};
  auto repository = git::Repository::open(where);
  if (!repository) return std::unexpected(repository.error());
  Looked looked;
  const std::string settings = ((*repository)->private_folder() / "settings").string();
  if (auto read = read_settings(looked.last, settings); !read) return std::unexpected(read.error());
  where.branch = branch.empty() ? looked.last.branch : branch;
  repository = git::Repository::open(where);
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
