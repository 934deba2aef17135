// Opens a repository of results to look at it: nothing is made or changed, whoever owns it.
#pragma once

#include <memory>
#include <string>

#include <pawl/error.h>
#include <pawl/git.h>

#include "options.h"

namespace pawl::tool {

struct Looked {
  std::unique_ptr<git::Repository> repository;
  RunOptions last;  // of the last run here, as far as it is kept; defaults if there was none
};

/// `branch`: empty: that of the last run, else the checked-out one. Errors: repository, usage (damaged settings; no
/// such branch).
[[nodiscard]] Result<Looked> open_to_look(const std::string& repo, const std::string& branch);

}  // namespace pawl::tool
