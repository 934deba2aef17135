// A session: one run of the pipeline on one repository, from opening everything to the summary. The composition root.
#pragma once

#include "options.h"

namespace pawl::tool {

enum class Mode : std::uint8_t {
  run,     // what the journal holds first, then the inputs
  resume,  // what the journal holds
  failed,  // what the journal holds, then the failures that the branch records
  shell,   // what the journal holds, then what a person types
};

class Shell;

/// Does it all and returns the exit code; says what is wrong on standard error. With a shell (Mode::shell; else null)
/// that is where tasks come from.
[[nodiscard]] int run_session(const RunOptions& options, Mode mode, Shell* borrowed_shell = nullptr);

}  // namespace pawl::tool
