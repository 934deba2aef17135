#include "listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace pawl::mockapi {
namespace {

constexpr int kBacklog = 16 * 1024;  // the kernel caps it at net.core.somaxconn

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Result<Address> parse_address(const std::string& text, std::uint16_t port) {
  Address address;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.size = sizeof v4;
    std::memcpy(&address.storage, &v4, sizeof v4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.size = sizeof v6;
    std::memcpy(&address.storage, &v6, sizeof v6);
  } else {
    return failure(ErrorCode::usage, "'" + text + "' is not an IPv4 or IPv6 address");
  }
  return address;
}

std::uint16_t port_of(const sockaddr_storage& storage) noexcept {
  // sin_port and sin6_port lie at the same place (RFC 3493 keeps families alike up to there).
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  in_port_t port = 0;
  std::memcpy(&port, reinterpret_cast<const char*>(&storage) + offsetof(sockaddr_in, sin_port), sizeof port);
  return ntohs(port);
}

}  // namespace

Result<std::pair<Fd, std::uint16_t>> listen_on(const std::string& address, std::uint16_t port) {
  auto wanted = parse_address(address, port);
  if (!wanted) return std::unexpected(wanted.error());
  const auto failed = [&](const char* step) {
    return failure(ErrorCode::io, std::string(step) + " " + address + " port " + std::to_string(port), errno);
  };
  Fd fd(::socket(wanted->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) return failed("cannot open a socket for");
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return failed("cannot prepare");
  auto* generic = reinterpret_cast<sockaddr*>(&wanted->storage);
  if (::bind(fd.get(), generic, wanted->size) != 0) return failed("cannot bind to");
  if (::listen(fd.get(), kBacklog) != 0) return failed("cannot listen on");
  socklen_t size = sizeof wanted->storage;
  if (::getsockname(fd.get(), generic, &size) != 0) return failed("cannot find out the port of");
  return std::pair(std::move(fd), port_of(wanted->storage));
}

void raise_open_files_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  // Refused means fewer connections, which accept() copes with.
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace pawl::mockapi
