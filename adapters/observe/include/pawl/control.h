// The control socket of a run: what `pawl ctl` says to a process that is at work.
//
// One request a connection, one line: "pause", "resume", "drain", "stop" or "set KEY=VALUE". One line comes back: "ok",
// or "error TEXT", or "failed TEXT" (the disk), or "refused TEXT". Who asks must be the user that the run belongs to,
// or root, as the kernel says (SO_PEERCRED, unix(7)), whatever the mode of the socket and its folder.
//
// When not to use it: for reading a run's state (StatusSocket).
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/steering.h>

namespace pawl::observe {

/// Serves `<folder>/control.sock`, mode 0600.
class PAWL_API ControlSocket {
 public:
  /// Starts a thread that calls `borrowed_steering`, one request at a time. Errors: as StatusSocket::open().
  [[nodiscard]] static Result<std::unique_ptr<ControlSocket>> open(const std::filesystem::path& folder,
                                                                   Steering& borrowed_steering);
  /// Stops the thread and removes the socket.
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  struct PAWL_LOCAL Impl;
  explicit ControlSocket(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// Asks the live run of `folder`. Success means: it does so, or has it in hand. Blocks up to `timeout`. Errors: usage
/// (what the run says to the request), io (the run could not store it; with sys_errno ENOENT or ECONNREFUSED nobody
/// serves the folder, with EACCES the run belongs to another user).
[[nodiscard]] PAWL_API Result<void> ask_control(const std::filesystem::path& folder, std::string_view request,
                                                std::chrono::milliseconds timeout = std::chrono::seconds{5});

}  // namespace pawl::observe
