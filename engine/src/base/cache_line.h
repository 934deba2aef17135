// The distance that keeps two atomics written by different threads off one cache line.
#pragma once

#include <cstddef>

namespace pawl {

inline constexpr std::size_t kCacheLine = 64;

}  // namespace pawl
