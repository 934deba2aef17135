// A file as memory, to read: unmapped with its owner. Bytes that another process cuts off end in SIGBUS, so map only
// files that nobody shortens.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace pawl::git {

class FileMapping {
 public:
  FileMapping() = default;
  /// Maps the first `size` bytes of `fd`; empty, with errno, if that fails.
  FileMapping(int fd, std::uint64_t size) noexcept : size_(size) {
    void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) bytes_ = static_cast<const std::byte*>(at);
  }
  FileMapping(FileMapping&& other) noexcept
      : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  FileMapping& operator=(FileMapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~FileMapping() {
    if (bytes_ != nullptr) ::munmap(const_cast<std::byte*>(bytes_), size_);
  }
  /// Its pages no longer count as this process's memory until they are read again. Any thread, also while others read.
  void give_pages_back() const noexcept {
    if (bytes_ != nullptr) ::madvise(const_cast<std::byte*>(bytes_), size_, MADV_DONTNEED);
  }
  /// Null: not mapped.
  [[nodiscard]] const std::byte* bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::span<const std::uint8_t> span() const noexcept {
    return {reinterpret_cast<const std::uint8_t*>(bytes_), bytes_ == nullptr ? 0 : size_};
  }

 private:
  const std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace pawl::git
