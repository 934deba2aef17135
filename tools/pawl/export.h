// `pawl export`: what a repository holds, as the lines of OpenAI's Batch API. Changes nothing in the repository.
#pragma once

#include <string>

namespace pawl::tool {

struct ExportOptions {
  std::string repo;
  std::string branch;        // empty: that of the last run, else the checked-out one
  std::string output = "-";  // answers with 2xx, output lines
  std::string failures;      // everything else, output lines; empty: nowhere
  std::string failed_input;  // the same, as the input lines that ask for them again; empty: nowhere
  bool unfinished = false;   // tasks that wait in the journal go to the two above as well, behind the others
};

/// By stream, then in the order of its tasks. Returns the exit code: 0 exported, 2 usage, 3 repository or disk.
[[nodiscard]] int export_results(const ExportOptions& options);

}  // namespace pawl::tool
