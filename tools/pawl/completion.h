// Completion scripts for shells, for `pawl completion`: written from what the command line takes. They ask nobody when
// a person presses Tab: all that can be completed, but for file names, stands in them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "described.h"

namespace pawl::tool {

/// Those there are a script for.
[[nodiscard]] const std::vector<std::string>& completion_shells();

/// The script of `shell`, which is one of completion_shells(). Pure.
[[nodiscard]] std::string completion(const DescribedTool& tool, std::string_view shell);

}  // namespace pawl::tool
