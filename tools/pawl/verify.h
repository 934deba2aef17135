// `pawl verify`: an audit of a repository of results, its branch and its journal. Changes nothing; beside a live run,
// too.
#pragma once

#include <string>

namespace pawl::tool {

struct VerifyOptions {
  std::string repo;
  std::string branch;  // empty: that of the last run, else the checked-out one
  bool json = false;
};

/// Prints what it finds, a line each, to standard output; nothing if all is sound. Returns the exit code: 0 sound,
/// 1 faults, 3 the repository or the journal cannot be read.
[[nodiscard]] int verify(const VerifyOptions& options);

}  // namespace pawl::tool
