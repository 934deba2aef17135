#include "delta.h"

#include <algorithm>
#include <cstdint>

namespace pawl::git {
namespace {

// Layout of git's delta instructions, gitformat-pack(5).
constexpr std::size_t kMostInsert = 127;
constexpr std::size_t kMostCopy = 0xffff;
constexpr std::size_t kCopyOfNoSize = 0x10000;
constexpr std::size_t kWorthACopy = 8;  // bytes; an instruction takes up to seven

/// Joins neighbouring pieces before it makes instructions of them.
class DeltaWriter {
 public:
  DeltaWriter(std::string& out, std::string_view now) : out_(out), now_(now) {}

  void copy(std::size_t offset, std::size_t size) {
    if (size == 0) return;
    if (copy_size_ != 0 && insert_size_ == 0 && offset == copy_offset_ + copy_size_) {
      copy_size_ += size;
    } else {
      flush();
      copy_offset_ = offset;
      copy_size_ = size;
    }
    at_ += size;
  }
  void insert(std::size_t size) {
    insert_size_ += size;
    at_ += size;
  }
  void flush() {
    append_copy(out_, copy_offset_, copy_size_);
    append_insert(out_, now_.substr(at_ - insert_size_, insert_size_));
    copy_size_ = 0;
    insert_size_ = 0;
  }

 private:
  std::string& out_;
  std::string_view now_;
  std::size_t at_ = 0;  // in now_: what is before it has been told
  std::size_t copy_offset_ = 0;
  std::size_t copy_size_ = 0;
  std::size_t insert_size_ = 0;  // behind the copy
};

/// Takes one of the sizes from the front: 7 bits a byte, the low ones first.
bool take_delta_size(std::string_view& delta, std::size_t& size) {
  size = 0;
  for (int shift = 0; shift < 63 && !delta.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(delta.front());
    delta.remove_prefix(1);
    size |= static_cast<std::size_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

/// The first line, with its end.
std::string_view first_line(std::string_view text) {
  const std::size_t end = text.find('\n');
  return text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
}

}  // namespace

void append_delta_size(std::string& out, std::size_t size) {
  while (size > 0x7f) {
    out.push_back(static_cast<char>(0x80 | (size & 0x7f)));
    size >>= 7;
  }
  out.push_back(static_cast<char>(size));
}

void append_copy(std::string& out, std::size_t offset, std::size_t size) {
  while (size > 0) {
    const std::size_t part = std::min(size, kMostCopy);
    const std::size_t opcode_at = out.size();
    unsigned opcode = 0x80;
    out.push_back('\0');
    for (unsigned byte = 0; byte < 4; ++byte) {
      const auto value = static_cast<char>(offset >> (8 * byte));
      if (value == 0) continue;
      opcode |= 1u << byte;
      out.push_back(value);
    }
    for (unsigned byte = 0; byte < 2; ++byte) {
      const auto value = static_cast<char>(part >> (8 * byte));
      if (value == 0) continue;
      opcode |= 0x10u << byte;
      out.push_back(value);
    }
    out[opcode_at] = static_cast<char>(opcode);
    offset += part;
    size -= part;
  }
}

void append_insert(std::string& out, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kMostInsert);
    out.push_back(static_cast<char>(part.size()));
    out += part;
    bytes.remove_prefix(part.size());
  }
}

void line_delta(std::string& out, std::string_view base, std::string_view now) {
  out.clear();
  append_delta_size(out, base.size());
  append_delta_size(out, now.size());
  DeltaWriter writer(out, now);
  std::string_view rest = base;
  for (std::string_view left = now; !left.empty();) {
    const std::string_view line = first_line(left);
    const std::string_view old = first_line(rest);
    const auto begins = static_cast<std::size_t>(std::ranges::mismatch(line, old).in1 - line.begin());
    const std::size_t most = std::min(line.size(), old.size()) - begins;
    std::size_t ends = 0;
    while (ends < most && line[line.size() - 1 - ends] == old[old.size() - 1 - ends]) ++ends;
    const std::size_t old_at = base.size() - rest.size();
    if (begins == line.size()) {  // whole lines join into one copy, however short
      writer.copy(old_at, begins);
    } else {
      const std::size_t front = begins >= kWorthACopy ? begins : 0;
      const std::size_t back = ends >= kWorthACopy ? ends : 0;
      writer.copy(old_at, front);
      writer.insert(line.size() - front - back);
      writer.copy(old_at + old.size() - back, back);
    }
    left.remove_prefix(line.size());
    rest.remove_prefix(old.size());
  }
  writer.flush();
}

bool apply_delta(std::string& out, std::string_view base, std::string_view delta, std::size_t most) {
  out.clear();
  std::size_t from = 0;
  std::size_t size = 0;
  if (!take_delta_size(delta, from) || !take_delta_size(delta, size) || from != base.size() || size > most)
    return false;
  out.reserve(size);
  while (!delta.empty()) {
    const auto opcode = static_cast<std::uint8_t>(delta.front());
    delta.remove_prefix(1);
    if ((opcode & 0x80) == 0) {
      if (opcode == 0 || opcode > delta.size() || opcode > size - out.size()) return false;
      out += delta.substr(0, opcode);
      delta.remove_prefix(opcode);
      continue;
    }
    std::uint64_t numbers[2] = {0, 0};  // offset: four bytes at most, size: three
    for (unsigned bit = 0; bit < 7; ++bit) {
      if ((opcode >> bit & 1) == 0) continue;
      if (delta.empty()) return false;
      const unsigned byte = bit < 4 ? bit : bit - 4;
      numbers[bit < 4 ? 0 : 1] |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(delta.front())) << (8 * byte);
      delta.remove_prefix(1);
    }
    const std::uint64_t offset = numbers[0];
    const std::uint64_t count = numbers[1] == 0 ? kCopyOfNoSize : numbers[1];
    if (offset > base.size() || count > base.size() - offset || count > size - out.size()) return false;
    out += base.substr(offset, count);
  }
  return out.size() == size;
}

}  // namespace pawl::git
