// `pawl shell`: a session whose input is a prompt.
#pragma once

#include "options.h"

namespace pawl::tool {

/// Does it all and returns the exit code; says what is wrong on standard error. Call with signals blocked
/// (block_signals()) and before other threads are started.
[[nodiscard]] int run_shell(RunOptions options);

}  // namespace pawl::tool
