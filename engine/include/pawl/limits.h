// Limits of a pipeline. They are the only back-pressure and what bounds its memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <pawl/error.h>
#include <pawl/export.h>

namespace pawl {

struct PAWL_API Limits {
  std::uint32_t tasks_in_flight = 8192;                  // 1 … 4,194,304: admitted and not yet retired
  std::uint64_t bytes_in_flight = 512ull * 1024 * 1024;  // ≥ 1 MiB: requests and responses held; one larger task
                                                         // than this is admitted alone
  std::uint32_t encode_threads = 0;                      // 0: as many as the machine has cores; 1 … 1,024
  std::chrono::milliseconds stop_patience{30'000};       // ≥ 1 s: how long ~Engine waits for what it has aborted

  /// Says which limit is wrong and why.
  [[nodiscard]] Result<void> validate() const;
};

}  // namespace pawl
