// IdTable: on which line did this id stand before? Some 14 to 21 bytes an id, whatever its length.
//
// It keeps a 64-bit hash and a line number per id, in two flat arrays (open addressing, linear probing). Two different
// ids are taken for one if their hashes are equal: at 10 million ids a chance of 3 in a million. Growing holds the old
// and the new arrays for a moment. Not thread-safe; nothing can be removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pawl::input {

class IdTable {
 public:
  /// Notes that `id` stands on `line`. If it was noted before: that line, and nothing changes.
  [[nodiscard]] std::optional<std::uint64_t> insert(std::string_view id, std::uint64_t line);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return hashes_.capacity() * sizeof(hashes_[0]) + lines_.capacity() * sizeof(lines_[0]);
  }

 private:
  [[nodiscard]] std::size_t find(std::uint64_t hash) const noexcept;
  void grow();

  std::vector<std::uint64_t> hashes_;  // 0: free
  std::vector<std::uint32_t> lines_;   // line numbers from 2^32 on are kept as 2^32 - 1
  std::size_t size_ = 0;
};

}  // namespace pawl::input
