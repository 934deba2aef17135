#include "local_listener.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace pawl::observe {

namespace {

constexpr int kBacklog = 64;

Error trouble_at(const std::filesystem::path& path, std::string_view what, int number) {
  return {ErrorCode::io, std::string(what) + " " + path.string(), number};
}

UniqueFd quick_socket() { return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// Makes way for a new socket: removes one that nobody serves. Two processes cannot do this at once: the repository's
// lock is taken before.
Result<void> make_way(const std::filesystem::path& path, const std::string& name, const SocketAddress& address) {
  struct stat found{};
  if (::fstatat(address.folder.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return std::unexpected(trouble_at(path, "cannot look at", errno));
  }
  if (!S_ISSOCK(found.st_mode))
    return std::unexpected(trouble_at(path, "something that is no socket is in the way:", EEXIST));
  const UniqueFd probe = quick_socket();
  if (!probe.valid()) return std::unexpected(trouble_at(path, "cannot make a socket for", errno));
  const bool served = ::connect(probe.get(), address.get(), address.length) == 0 || errno == EAGAIN;
  if (served) return failure(ErrorCode::locked, "another process serves " + path.string(), EADDRINUSE);
  if (::unlinkat(address.folder.get(), name.c_str(), 0) != 0 && errno != ENOENT)
    return std::unexpected(trouble_at(path, "cannot replace", errno));
  return {};
}

}  // namespace

UniqueFd local_socket() { return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

Result<LocalListener> LocalListener::open(const std::filesystem::path& folder, std::string_view name) {
  const auto path = folder / name;
  LocalListener made;
  made.name_ = name;
  auto address = address_in(folder, name);
  if (!address) return std::unexpected(address.error());
  made.address_ = std::move(*address);
  if (auto cleared = make_way(path, made.name_, made.address_); !cleared) return std::unexpected(cleared.error());
  UniqueFd listener = quick_socket();
  if (!listener.valid()) return std::unexpected(trouble_at(path, "cannot make a socket for", errno));
  // On Linux bind() takes the mode from the socket itself, so the file is never open to others, and the process-wide
  // umask is left alone.
  if (::fchmod(listener.get(), 0600) != 0 || ::bind(listener.get(), made.address_.get(), made.address_.length) != 0 ||
      ::fstatat(made.address_.folder.get(), made.name_.c_str(), &made.made_, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::listen(listener.get(), kBacklog) != 0) {
    return std::unexpected(trouble_at(path, "cannot serve", errno));
  }
  made.listener_ = std::move(listener);
  return made;
}

LocalListener::~LocalListener() {
  if (!listener_.valid()) return;  // moved from
  struct stat found{};
  const int folder = address_.folder.get();
  const bool ours = ::fstatat(folder, name_.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                    found.st_ino == made_.st_ino && found.st_dev == made_.st_dev;
  if (ours) ::unlinkat(folder, name_.c_str(), 0);
}

UniqueFd LocalListener::accept() const noexcept {
  return UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

}  // namespace pawl::observe
