// Records as they lie on the branch.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include <pawl/error.h>
#include <pawl/git.h>

#include "record.h"

namespace pawl::git {

/// Calls `visit` for every record on the branch: a file that parses and lies where its content says. Everything else
/// on the branch is passed over. In no order, by several threads, one call at a time. Stops soon after the first error,
/// which may be `visit`'s. Errors: repository.
[[nodiscard]] Result<void> for_each_record(Repository& repository,
                                           const std::function<Result<void>(const ParsedRecord&)>& visit);

/// The record at `path` at the tip of the branch; none if there is no file or it is not a record. Errors: repository.
[[nodiscard]] Result<std::optional<ParsedRecord>> record_at(Repository& repository, const std::string& path);

}  // namespace pawl::git
