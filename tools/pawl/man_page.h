// The man page pawl(1), for `pawl man`: written from what the command line takes.
#pragma once

#include <string>

#include "described.h"

namespace pawl::tool {

/// In roff, for the macros of man(7); ASCII as long as the texts of the options are. Pure.
[[nodiscard]] std::string man_page(const DescribedTool& tool);

}  // namespace pawl::tool
