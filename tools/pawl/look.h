// Opens a repository of results to look at it: nothing is made or changed, whoever owns it.
#pragma once

#include <memory>
#include <string>

#include <pawl/error.h>
#include <pawl/git.h>

#include "options.h"

namespace pawl::tool {

/// For its private folder: a run may be live, and whichever branch is checked out, or none, is another matter. branch()
/// says nothing. Errors: repository.
[[nodiscard]] Result<std::unique_ptr<git::Repository>> open_at_any_branch(const std::string& repo);

struct Looked {
  std::unique_ptr<git::Repository> repository;
  RunOptions last;  // of the last run here, as far as it is kept; defaults if there was none, or it is another user's
};

/// `branch`: empty: that of the last run, else the checked-out one. Errors: repository, usage (damaged settings; no
/// such branch).
[[nodiscard]] Result<Looked> open_to_look(const std::string& repo, const std::string& branch);

}  // namespace pawl::tool
