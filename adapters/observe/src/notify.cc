#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include <pawl/observe.h>

#include "socket_path.h"
#include "text.h"

namespace pawl::observe {

namespace {

Result<bool> notify(const std::string& assignments) {
  const char* target = std::getenv("NOTIFY_SOCKET");
  if (target == nullptr || *target == '\0') return false;
  if (*target != '/' && *target != '@') {
    return failure(ErrorCode::unsupported, std::string("NOTIFY_SOCKET is neither a path nor abstract: ") + target);
  }
  const auto address = address_of(target);
  if (!address) return std::unexpected(address.error());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return failure(ErrorCode::io, "cannot make a socket for NOTIFY_SOCKET", errno);
  const ssize_t sent =
      ::sendto(fd.get(), assignments.data(), assignments.size(), MSG_NOSIGNAL, address->get(), address->length);
  if (sent < 0) return failure(ErrorCode::io, std::string("cannot notify ") + target, errno);
  return true;
}

}  // namespace

Result<bool> notify_ready() { return notify("READY=1"); }

Result<bool> notify_stopping() { return notify("STOPPING=1"); }

Result<bool> notify_status(std::string_view text) { return notify("STATUS=" + clean_line(text, Charset::utf8)); }

}  // namespace pawl::observe
