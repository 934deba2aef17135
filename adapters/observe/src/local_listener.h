// LocalListener: a Unix socket in a folder that only its owner may reach, gone when its owner goes.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>

#include <pawl/error.h>

#include "socket_path.h"
#include "unique_fd.h"

namespace pawl::observe {

class LocalListener {
 public:
  /// Listens at `<folder>/<name>`, mode 0600; accept() does not wait. A socket that nobody serves any more is replaced.
  /// Errors: io (folder missing, not writable, the name is taken by something that is no socket), locked (another
  /// process serves it).
  [[nodiscard]] static Result<LocalListener> open(const std::filesystem::path& folder, std::string_view name);
  LocalListener(LocalListener&&) noexcept = default;
  LocalListener& operator=(LocalListener&&) = delete;
  /// Removes the socket, unless another one has taken its place.
  ~LocalListener();

  [[nodiscard]] int fd() const noexcept { return listener_.get(); }
  /// A connection whose reads do not wait; not valid (errno says why): there is none.
  [[nodiscard]] UniqueFd accept() const noexcept;

 private:
  LocalListener() = default;

  std::string name_;
  SocketAddress address_;
  UniqueFd listener_;
  struct stat made_{};  // what bind() put in the folder
};

/// A socket to connect with; its reads and writes wait.
[[nodiscard]] UniqueFd local_socket();

}  // namespace pawl::observe
