#include "id_table.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

namespace pawl::input {
namespace {

constexpr std::size_t kFirstSlots = 1024;

std::uint64_t hash_of(std::string_view id) noexcept {
  // An odd multiplier spreads the hash into the high bits, which choose the slot.
  const std::uint64_t hash = std::hash<std::string_view>{}(id) * 0x9e3779b97f4a7c15u;
  return hash == 0 ? 1 : hash;
}

/// Maps the hash to 0 … slots - 1 by its high bits, so that any number of slots will do.
std::size_t home_of(std::uint64_t hash, std::size_t slots) noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::size_t>((static_cast<Wide>(hash) * slots) >> 64);
}

}  // namespace

std::optional<std::uint64_t> IdTable::insert(std::string_view id, std::uint64_t line) {
  if (size_ >= hashes_.size() / 20 * 17) grow();  // at most 85 % full
  const std::uint64_t hash = hash_of(id);
  const std::size_t slot = find(hash);
  if (hashes_[slot] == hash) return lines_[slot];
  hashes_[slot] = hash;
  lines_[slot] = static_cast<std::uint32_t>(std::min<std::uint64_t>(line, std::numeric_limits<std::uint32_t>::max()));
  ++size_;
  return std::nullopt;
}

std::size_t IdTable::find(std::uint64_t hash) const noexcept {
  std::size_t slot = home_of(hash, hashes_.size());
  while (hashes_[slot] != 0 && hashes_[slot] != hash) slot = slot + 1 == hashes_.size() ? 0 : slot + 1;
  return slot;
}

void IdTable::grow() {
  const std::size_t slots = std::max(kFirstSlots, hashes_.size() + hashes_.size() / 2);
  const auto old_hashes = std::exchange(hashes_, std::vector<std::uint64_t>(slots));
  const auto old_lines = std::exchange(lines_, std::vector<std::uint32_t>(slots));
  for (std::size_t i = 0; i < old_hashes.size(); ++i) {
    if (old_hashes[i] == 0) continue;
    const std::size_t slot = find(old_hashes[i]);
    hashes_[slot] = old_hashes[i];
    lines_[slot] = old_lines[i];
  }
}

}  // namespace pawl::input
