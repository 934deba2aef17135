// `pawl status`: of a live run through its socket, of a stopped one from its journal and branch.
#pragma once

#include <string>

#include <pawl/error.h>

namespace pawl::tool {

struct StatusOptions {
  std::string repo;
  bool json = false;
  bool watch = false;
};

/// Prints to standard output and returns the exit code.
[[nodiscard]] int show_status(const StatusOptions& options);

/// Path of the settings that the last run of a repository left. Errors: repository, io.
[[nodiscard]] Result<std::string> settings_file(const std::string& repo);

}  // namespace pawl::tool
