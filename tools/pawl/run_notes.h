// Beginning and end of a run as git notes (--run-notes): in refs/notes/pawl, at the commit that the branch led to then.
#pragma once

#include <cstdint>

#include <pawl/git.h>
#include <pawl/observe.h>

#include "exit_code.h"
#include "options.h"

namespace pawl::tool {

/// At the branch's tip before the run; nothing if the branch is not born yet. Nothing without the option. Errors:
/// repository, usage (a date in the environment that cannot be read). No commit stage may use `repository`.
[[nodiscard]] Result<void> note_begin(const RunOptions& options, git::Repository& repository, std::uint64_t run);
/// At the tip after it. The same for the rest.
[[nodiscard]] Result<void> note_end(const RunOptions& options, git::Repository& repository, std::uint64_t run,
                                    ExitCode code, const observe::RunView& last);

}  // namespace pawl::tool
