// `pawl top`: a live run on the whole terminal.
#pragma once

#include <string>

namespace pawl::tool {

struct TopOptions {
  std::string repo;
};

/// Shows the run until it ends or the person leaves, and returns the exit code. Without a terminal it is `pawl status
/// --watch`; without a live run, `pawl status`. Call with signals blocked (block_signals()).
[[nodiscard]] int show_top(const TopOptions& options);

}  // namespace pawl::tool
