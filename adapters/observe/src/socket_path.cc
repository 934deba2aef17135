#include "socket_path.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>

namespace pawl::observe {

const sockaddr* SocketAddress::get() const noexcept {
  return reinterpret_cast<const sockaddr*>(&value);  // what the socket calls ask for
}

Result<SocketAddress> address_of(std::string_view text) {
  SocketAddress address;
  address.value.sun_family = AF_UNIX;
  const bool abstract = text.starts_with('@');
  // A path needs a terminating zero byte; an abstract name is as long as it is said to be.
  const std::size_t room = sizeof(address.value.sun_path) - (abstract ? 0 : 1);
  if (text.empty() || text.size() > room) {
    return failure(ErrorCode::unsupported,
                   "socket address '" + std::string(text) + "' is empty or over " + std::to_string(room) + " bytes");
  }
  std::ranges::copy(text, address.value.sun_path);
  if (abstract) address.value.sun_path[0] = '\0';
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + (abstract ? 0 : 1));
  return address;
}

Result<SocketAddress> address_in(const std::filesystem::path& folder, std::string_view name) {
  UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return failure(ErrorCode::io, "cannot open folder " + folder.string(), errno);
  std::string path = (folder / name).string();
  // "@" at the start would mean the abstract name space.
  if (path.size() >= sizeof(sockaddr_un::sun_path) || path.starts_with('@')) {
    path = "/proc/self/fd/" + std::to_string(fd.get()) + "/" + std::string(name);
  }
  auto address = address_of(path);
  if (address) address->folder = std::move(fd);
  return address;
}

}  // namespace pawl::observe
