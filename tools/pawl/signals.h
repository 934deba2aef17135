// Signals of a run as calls on a thread of its own: what a person or a service manager wants of it.
#pragma once

#include <functional>
#include <thread>

#include <pawl/error.h>

namespace pawl::tool {

/// Blocks SIGINT, SIGTERM and SIGHUP for this thread and all it starts, and ignores SIGPIPE. Call first in main().
void block_signals() noexcept;

/// The opposite, for a command that ends at once when a signal comes.
void unblock_signals() noexcept;

class SignalWatch {
 public:
  /// Calls `on_signal(number)` for each SIGINT, SIGTERM and SIGHUP. Errors: io.
  [[nodiscard]] static Result<SignalWatch> start(std::function<void(int)> on_signal);
  SignalWatch(SignalWatch&&) noexcept = default;
  SignalWatch& operator=(SignalWatch&&) = delete;
  /// Ends the watch; a call in progress is waited for.
  ~SignalWatch();

 private:
  SignalWatch() = default;
  std::jthread thread_;
};

}  // namespace pawl::tool
