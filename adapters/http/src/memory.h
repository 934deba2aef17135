// What libcurl allocates, watched: it says "out of memory" both when there is none and when something outgrows a bound
// of its own, such as a header line of 100 KB. Only its allocator can tell which it was.
#pragma once

#include <curl/curl.h>

#include <cstddef>

namespace pawl::http {

/// curl_global_init(), once in a process, with allocation functions that take note. If somebody has started libcurl
/// before, it keeps the functions it has and nothing is noted. Any thread.
[[nodiscard]] CURLcode start_libcurl() noexcept;

/// An allocation of libcurl's has failed on this thread since the last call.
[[nodiscard]] bool take_allocation_failure() noexcept;

/// The function libcurl allocates with, for tests: nullptr and a note if there is no memory.
[[nodiscard]] void* allocate_for_libcurl(std::size_t size) noexcept;

}  // namespace pawl::http
