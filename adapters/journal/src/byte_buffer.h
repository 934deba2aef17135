// ByteBuffer: bytes that grow at the end and keep their capacity. Unlike a vector it does not clear what will be
// written anyway.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace pawl::journal {

class ByteBuffer {
 public:
  /// Grows by `count` bytes of unspecified content and returns where they begin; earlier pointers become invalid.
  std::byte* extend(std::size_t count) {
    if (capacity_ - size_ < count) grow(size_ + count);
    std::byte* at = bytes_.get() + size_;
    size_ += count;
    return at;
  }

  void append(std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }

  void clear() noexcept { size_ = 0; }

  /// Forgets the last bytes. REQUIRES: size ≤ size().
  void shrink(std::size_t size) noexcept { size_ = size; }

  /// Empties it, and gives memory back beyond `keep` bytes, so that one large record does not stay resident.
  void recycle(std::size_t keep) noexcept {
    size_ = 0;
    if (capacity_ <= keep) return;
    bytes_.reset();
    capacity_ = 0;
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::byte* data() noexcept { return bytes_.get(); }
  [[nodiscard]] std::span<std::byte> bytes() noexcept { return {bytes_.get(), size_}; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {bytes_.get(), size_}; }

 private:
  void grow(std::size_t need) {
    const std::size_t capacity = std::max(need, capacity_ * 2);
    std::unique_ptr<std::byte[]> bytes(new std::byte[capacity]);
    if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace pawl::journal
