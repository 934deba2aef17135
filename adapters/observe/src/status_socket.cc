#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <pawl/observe.h>
#include <pawl/thread.h>

#include "local_listener.h"
#include "thread_signals.h"

namespace pawl::observe {

namespace {

constexpr std::string_view kSocketName = "status.sock";
constexpr std::size_t kLongestStatus = 1024 * 1024;

Error error_at(const std::filesystem::path& folder, std::string_view what, int number) {
  return {ErrorCode::io, std::string(what) + " " + (folder / kSocketName).string(), number};
}

void send_all(int fd, std::string_view text) noexcept {
  // The text is far smaller than a socket's buffer; a reader that is gone or does not read gets what fitted.
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

struct StatusSocket::Impl {
  std::optional<LocalListener> listener;
  UniqueFd wake;
  std::function<RunView()> sample;
  Pace pace;
  std::thread thread;

  RunView view() {
    RunView now = sample();
    pace.update(now);
    return now;
  }

  void serve() {
    constexpr int kPaceMs = 1000;
    constexpr int kRestMs = 100;
    std::array<pollfd, 2> polled = {pollfd{wake.get(), POLLIN, 0}, pollfd{listener->fd(), POLLIN, 0}};
    while (true) {
      const int ready = ::poll(polled.data(), polled.size(), kPaceMs);
      if (ready < 0 && errno != EINTR) return;  // cannot happen with valid arguments
      if (polled[0].revents != 0 && ready > 0) return;
      if (ready <= 0) {
        static_cast<void>(view());  // keeps the rate's window filled
        continue;
      }
      const UniqueFd peer = listener->accept();
      if (peer.valid()) {
        send_all(peer.get(), to_json(view()) + "\n");
      } else if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED) {
        ::poll(polled.data(), 1, kRestMs);  // out of file descriptors: let some come back
      }
    }
  }
};

StatusSocket::StatusSocket(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Result<std::unique_ptr<StatusSocket>> StatusSocket::open(const std::filesystem::path& folder,
                                                         std::function<RunView()> sample) {
  auto impl = std::make_unique<Impl>();
  impl->sample = std::move(sample);
  auto listener = LocalListener::open(folder, kSocketName);
  if (!listener) return std::unexpected(listener.error());
  impl->listener.emplace(std::move(*listener));
  impl->wake = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!impl->wake.valid()) return std::unexpected(error_at(folder, "cannot make an eventfd for", errno));
  auto* const serving = impl.get();
  const SignalsBlocked blocked;
  serving->thread = std::thread([serving] {
    name_this_thread("pawl-status");
    serving->serve();
  });
  return std::unique_ptr<StatusSocket>(new StatusSocket(std::move(impl)));
}

StatusSocket::~StatusSocket() {
  const std::uint64_t one = 1;
  // An eventfd takes one more unless its counter is full, and then it is readable already.
  static_cast<void>(!::write(impl_->wake.get(), &one, sizeof(one)));
  impl_->thread.join();
}

Result<std::string> read_status(const std::filesystem::path& folder, std::chrono::milliseconds timeout) {
  const auto address = address_in(folder, kSocketName);
  if (!address) return std::unexpected(address.error());
  const UniqueFd fd = local_socket();
  if (!fd.valid()) return std::unexpected(error_at(folder, "cannot make a socket for", errno));
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(timeout - whole);
  const timeval limit{static_cast<time_t>(whole.count()), static_cast<suseconds_t>(rest.count())};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));  // holds for connect() too
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  if (::connect(fd.get(), address->get(), address->length) != 0) {
    return std::unexpected(error_at(folder, "no live run answers at", errno));
  }
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(error_at(folder, "no whole answer from", errno));
    if (got == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kLongestStatus) return std::unexpected(error_at(folder, "an endless answer from", EMSGSIZE));
  }
  if (!text.ends_with('\n')) return std::unexpected(error_at(folder, "a cut-off answer from", EPROTO));
  text.pop_back();
  return text;
}

}  // namespace pawl::observe
