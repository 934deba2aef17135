// A file descriptor that is closed with its owner.
#pragma once

#include <unistd.h>

namespace pawl::git {

class OpenFile {
 public:
  /// Takes the descriptor over; negative: none.
  explicit OpenFile(int fd = -1) noexcept : fd_(fd) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace pawl::git
