// `pawl-load run`: a load test of the whole pipeline: real tool, real files, real sockets, a fresh repository.
#pragma once

#include <cstdint>
#include <string>

#include <pawl/error.h>

#include "task_lines.h"

namespace pawl::load {

struct DriveOptions {
  TaskOptions tasks;
  std::string latency = "0";  // as pawl-mockapi takes it
  unsigned parallel_max = 256;
  unsigned call_threads = 1;
  unsigned commit_tasks = 256;
  unsigned repeat = 1;              // 1 … 1,000; the middle run and the spread are printed
  std::string pawl;                 // the tool under test; empty: beside this one
  std::string folder;               // where inputs and repositories go; empty: a temporary one, removed afterwards
  std::string durability = "sync";  // as pawl run takes it
  bool no_worktree = false;
};

/// Runs it and prints to standard output. Returns the exit code: 0, or 1 if a run of pawl failed or the repository does
/// not hold every task. Errors: usage, io.
[[nodiscard]] Result<int> drive(const DriveOptions& options);

}  // namespace pawl::load
