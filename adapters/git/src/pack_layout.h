// Where things lie in a pack and in its index, version 2 (gitformat-pack(5)).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "encoded.h"

namespace pawl::git {

inline constexpr std::size_t kIdBytes = std::tuple_size_v<ObjectId>;
inline constexpr std::size_t kPackHeader = 12;  // "PACK", version, number of objects
inline constexpr std::array<std::uint8_t, 8> kIndexStart = {0xff, 't', 'O', 'c', 0, 0, 0, 2};
inline constexpr std::size_t kFanout = kIndexStart.size();
inline constexpr std::size_t kNames = kFanout + std::size_t{256} * 4;  // of the index: the ids, in order

}  // namespace pawl::git
