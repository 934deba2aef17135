// The part of checking options that needs to know the format.
#pragma once

#include <pawl/error.h>
#include <pawl/input.h>

namespace pawl::input {

/// Do the options make sense for `format`, which is not automatic? Errors: usage.
[[nodiscard]] Result<void> check_fit(const Options& options, Format format);

}  // namespace pawl::input
