// Single values of git's configuration.
#pragma once

#include <git2.h>

#include <string>

namespace pawl::git {

/// The value of a key; empty if there is none, or no configuration.
[[nodiscard]] std::string configured(git_config* config, const std::string& key);

}  // namespace pawl::git
