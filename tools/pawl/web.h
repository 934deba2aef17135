// The server of --metrics: a run on HTTP.
#pragma once

#include <memory>

#include <pawl/web.h>

#include "options.h"

namespace pawl::tool {

/// Listens where --metrics says; without it `web` stays null. Errors: usage (not an address; it cannot be bound),
/// locked (a live run of the repository has it), io.
[[nodiscard]] Result<void> open_web(const RunOptions& options, std::unique_ptr<observe::WebServer>& web);

/// What a person is told of it: where it is, and who else can see it.
[[nodiscard]] std::string web_notice(const RunOptions& options, const observe::WebServer& web);

}  // namespace pawl::tool
