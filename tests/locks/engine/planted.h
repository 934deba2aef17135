// Calls to be found: a library named as if it were the engine's, which does what the engine must not.
#pragma once

#include <string>

#include "call_counter.h"

namespace pawl::locks {

/// Makes one call of this kind (`allocate` and `release`: one of each). Any thread.
[[gnu::visibility("default")]] void plant(Call call) noexcept;

/// Copies a string into a new one: an allocation that libstdc++ makes for us. Returns its length.
[[gnu::visibility("default")]] std::size_t plant_in_string(const std::string& text);

}  // namespace pawl::locks
