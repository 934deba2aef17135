#include "queue/credits.h"

#include <algorithm>

namespace pawl {

Credits::Credits(const Limits& limits)
    : size_(limits.tasks_in_flight),
      slab_(std::make_unique<Slot[]>(size_)),
      free_(size_),
      lot_(std::clamp<std::size_t>(size_ / 64, 1, kMostAtOnce)),
      ahead_limit_(size_ / 2),
      bytes_limit_(limits.bytes_in_flight) {
  for (std::uint32_t index = size_; index != 0; --index) {
    slot(index).index = index;
    free_.give(&index, 1);
  }
}

}  // namespace pawl
