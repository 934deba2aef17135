// `pawl report`: one HTML page about a repository of results, from its records and its journal alone.
#pragma once

#include <string>

namespace pawl::tool {

struct ReportOptions {
  std::string repo;
  std::string output = "pawl-report.html";  // "-": standard output
  std::string branch;                       // empty: that of the last run
};

/// The process's exit code.
[[nodiscard]] int write_report(const ReportOptions& options);

}  // namespace pawl::tool
