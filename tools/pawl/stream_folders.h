// Whether the folders that the first results of a run go into can be had: asked before anything is called.
#pragma once

#include <memory>
#include <vector>

#include <pawl/error.h>
#include <pawl/git.h>
#include <pawl/input.h>

#include "options.h"

namespace pawl::tool {

/// Looks at the stream of each input's first task, which for pipes is known only where all their tasks have one;
/// nothing in layout raw. Streams that come up later are met by the commit stage, which leaves their tasks in the
/// journal. `readers` are those of options.inputs; nothing is read from them. Errors: usage (names the file and the way
/// out), repository.
[[nodiscard]] Result<void> check_stream_folders(const RunOptions& options,
                                                const std::vector<std::unique_ptr<input::Reader>>& readers,
                                                git::Repository& repository);

}  // namespace pawl::tool
