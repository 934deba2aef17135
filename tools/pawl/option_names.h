// What the parts call their options, in the words that a person typed.
#pragma once

#include <pawl/error.h>

namespace pawl::tool {

/// The error of a part that was given options made from the command line's, with the name of the command line's option:
/// "time_max is 0 ms" becomes "--max-time is 0 ms". Others stay as they are. Pure.
[[nodiscard]] Error in_typed_words(Error error);

}  // namespace pawl::tool
