// Opens the listening socket.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <pawl/error.h>

#include "fd.h"

namespace pawl::mockapi {

/// A non-blocking socket that listens on `address` (an IPv4 or IPv6 literal) and `port`, and the port it got. Errors:
/// usage (not an address), io.
[[nodiscard]] Result<std::pair<Fd, std::uint16_t>> listen_on(const std::string& address, std::uint16_t port);

/// Raises the limit of open files of this process to what the system allows it. Best effort.
void raise_open_files_limit() noexcept;

}  // namespace pawl::mockapi
