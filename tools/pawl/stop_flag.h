// One flag that ends all reading of inputs, also reads that block.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "file_descriptor.h"

namespace pawl::tool {

class StopFlag {
 public:
  StopFlag() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  /// Any thread; idempotent.
  void raise() noexcept {
    raised_.store(true, std::memory_order_release);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);  // full: readable already
  }
  [[nodiscard]] bool raised() const noexcept { return raised_.load(std::memory_order_acquire); }

  /// Readable once the flag is raised; stays so.
  [[nodiscard]] int fd() const noexcept { return event_.get(); }

 private:
  FileDescriptor event_;
  std::atomic<bool> raised_{false};  // written by whoever stops, read by input threads
};

}  // namespace pawl::tool
