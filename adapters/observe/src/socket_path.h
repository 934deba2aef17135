// Addresses of Unix sockets, also in folders whose path is longer than a socket address holds (108 bytes).
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <string_view>

#include <pawl/error.h>

#include "unique_fd.h"

namespace pawl::observe {

struct SocketAddress {
  sockaddr_un value{};
  socklen_t length = 0;
  UniqueFd folder;  // the address may lead through /proc/self/fd: keep it while the address is used

  [[nodiscard]] const sockaddr* get() const noexcept;
};

/// Address of `name` in `folder`, which must exist. Errors: io.
[[nodiscard]] Result<SocketAddress> address_in(const std::filesystem::path& folder, std::string_view name);

/// Address by path, or in the abstract name space if `text` begins with "@". Errors: unsupported (too long).
[[nodiscard]] Result<SocketAddress> address_of(std::string_view text);

}  // namespace pawl::observe
