// What a repository remembers of a run: made from its options, and held against those of the next one.
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include <pawl/error.h>
#include <pawl/journal.h>

#include "options.h"

namespace pawl::tool {

/// `options` as a later run needs them, wherever it is started: the branch by its full name, files by their absolute
/// paths, the name of the variable that the token came from. `branch`: that of the open repository. `run`: TaskId::run.
[[nodiscard]] RunOptions to_remember(const RunOptions& options, const std::string& branch, std::uint64_t run);

/// Whether what the journal holds would go elsewhere, or not be called, because it was asked for with other options
/// than these. `branch` is the full name. Errors: usage.
[[nodiscard]] Result<void> check_left_tasks(const journal::Left& left, const RunOptions& before, const RunOptions& now,
                                            const std::string& branch);

/// Whether what the journal holds was asked for with a token that a run, which remembers nothing, has not. Errors:
/// usage.
[[nodiscard]] Result<void> check_token(const journal::Left& left, const RunOptions& before, const RunOptions& now);

/// Takes out of `options`, which are remembered ones with what the command line says over them, what cannot stand
/// beside that. `command` has been parsed.
void forget_what_is_excluded(const CLI::App& command, RunOptions& options);

}  // namespace pawl::tool
