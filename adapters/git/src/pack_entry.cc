#include "pack_entry.h"

#include <libdeflate.h>

#include <algorithm>
#include <array>

#include "deflate.h"

namespace pawl::git {
namespace {

Deflated kind_of(ObjectType type) noexcept {
  switch (type) {
    case ObjectType::tree: return Deflated::tree;
    case ObjectType::blob: return Deflated::blob;
    case ObjectType::commit:
    case ObjectType::tag: break;
  }
  return Deflated::commit;
}

}  // namespace

void append_entry_header(std::string& out, std::uint8_t type_number, std::uint64_t inflated_size) {
  // First byte: 3 bits of type and the low 4 of the size; then 7 bits a byte; the top bit says that more follow.
  auto byte = static_cast<std::uint8_t>((type_number << 4) | (inflated_size & 15));
  inflated_size >>= 4;
  while (inflated_size != 0) {
    out.push_back(static_cast<char>(byte | 0x80));
    byte = inflated_size & 0x7f;
    inflated_size >>= 7;
  }
  out.push_back(static_cast<char>(byte));
}

void append_distance(std::string& out, std::uint64_t distance) {
  std::array<char, 10> digits;
  std::size_t begin = digits.size() - 1;
  digits[begin] = static_cast<char>(distance & 0x7f);
  while ((distance >>= 7) != 0) digits[--begin] = static_cast<char>(0x80 | (--distance & 0x7f));
  out.append(digits.data() + begin, digits.size() - begin);
}

std::optional<Distance> read_distance(std::span<const std::uint8_t> entry) noexcept {
  constexpr std::size_t kMostDigits = 9;  // of 7 bits, in 64
  std::uint64_t distance = 0;
  for (std::size_t at = 0; at < std::min(entry.size(), kMostDigits); ++at) {
    if (at != 0) ++distance;
    distance = distance << 7 | (entry[at] & 0x7f);
    if ((entry[at] & 0x80) == 0) return Distance{distance, at + 1};
  }
  return std::nullopt;
}

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

void append_pack_entry(std::string& out, ObjectType type, std::string_view content) {
  append_entry_header(out, static_cast<std::uint8_t>(type), content.size());
  append_deflated(out, content, kind_of(type));
}

std::uint32_t crc32_of(std::string_view bytes) noexcept { return libdeflate_crc32(0, bytes.data(), bytes.size()); }

}  // namespace pawl::git
