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

#include <pawl/control.h>
#include <pawl/thread.h>

#include "local_listener.h"
#include "thread_signals.h"

namespace pawl::observe {

namespace {

constexpr std::string_view kControlName = "control.sock";
constexpr std::size_t kLongestRequest = 4096;
constexpr std::string_view kOk = "ok\n";
constexpr std::string_view kError = "error ";
constexpr std::string_view kRefused = "refused ";
constexpr std::string_view kFailed = "failed ";

// No word of a request or an answer may look like another line.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

Result<void> obey(Steering& steering, std::string_view request) {
  constexpr std::string_view kSet = "set ";
  if (request == "pause") return steering.pause(), Result<void>();
  if (request == "resume") return steering.resume(), Result<void>();
  if (request == "drain") return steering.drain(), Result<void>();
  if (request == "stop") return steering.stop(), Result<void>();
  const auto equals = request.find('=');
  if (!request.starts_with(kSet) || equals == std::string_view::npos)
    return failure(ErrorCode::usage, "expected pause, resume, drain, stop or set KEY=VALUE");
  return steering.set(request.substr(kSet.size(), equals - kSet.size()), request.substr(equals + 1));
}

/// The run's own user, or root, who may do as he likes anyway.
bool may_steer(int peer) noexcept {
  ucred who{};
  socklen_t size = sizeof who;
  if (::getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
  return who.uid == ::geteuid() || who.uid == 0;
}

void answer(int peer, std::string_view text) noexcept {
  // Far smaller than a socket's buffer: it is taken whole, or the peer is gone.
  static_cast<void>(::send(peer, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace

struct ControlSocket::Impl {
  Steering* borrowed_steering = nullptr;
  std::optional<LocalListener> listener;
  UniqueFd wake;
  std::thread thread;

  /// A line within a while, or what there is; empty: the peer is gone or too slow, or this socket is closing.
  std::string read_line(int peer) const {
    constexpr int kPatienceMs = 2000;  // each time: who writes byte by byte is his own user's
    std::string line;
    std::array<char, 512> buffer;
    while (line.size() < kLongestRequest) {
      std::array<pollfd, 2> polled = {pollfd{wake.get(), POLLIN, 0}, pollfd{peer, POLLIN, 0}};
      const int ready = ::poll(polled.data(), polled.size(), kPatienceMs);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0 || polled[0].revents != 0) return {};
      const ssize_t got = ::recv(peer, buffer.data(), buffer.size(), 0);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) return {};
      line.append(buffer.data(), static_cast<std::size_t>(got));
      if (const auto end = line.find('\n'); end != std::string::npos) return line.substr(0, end);
    }
    return {};
  }

  void talk(int peer) const {
    if (!may_steer(peer)) return answer(peer, std::string(kRefused) + "the run belongs to another user\n");
    const std::string request = read_line(peer);
    if (request.empty()) return;
    const auto done = obey(*borrowed_steering, request);
    if (done) return answer(peer, kOk);
    const std::string_view how = done.error().code == ErrorCode::io ? kFailed : kError;
    answer(peer, std::string(how) + one_line(done.error().context) + "\n");
  }

  void serve() const {
    constexpr int kRestMs = 100;
    std::array<pollfd, 2> polled = {pollfd{wake.get(), POLLIN, 0}, pollfd{listener->fd(), POLLIN, 0}};
    while (true) {
      const int ready = ::poll(polled.data(), polled.size(), -1);
      if (ready < 0 && errno != EINTR) return;  // cannot happen with valid arguments
      if (ready <= 0) continue;
      if (polled[0].revents != 0) return;
      const UniqueFd peer = listener->accept();
      if (peer.valid())
        talk(peer.get());
      else if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED)
        ::poll(polled.data(), 1, kRestMs);  // out of file descriptors: let some come back
    }
  }
};

ControlSocket::ControlSocket(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(const std::filesystem::path& folder,
                                                           Steering& borrowed_steering) {
  auto impl = std::make_unique<Impl>();
  impl->borrowed_steering = &borrowed_steering;
  auto listener = LocalListener::open(folder, kControlName);
  if (!listener) return std::unexpected(listener.error());
  impl->listener.emplace(std::move(*listener));
  impl->wake = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!impl->wake.valid()) return failure(ErrorCode::io, "cannot make an eventfd", errno);
  auto* const serving = impl.get();
  const SignalsBlocked blocked;
  serving->thread = std::thread([serving] {
    name_this_thread("pawl-control");
    serving->serve();
  });
  return std::unique_ptr<ControlSocket>(new ControlSocket(std::move(impl)));
}

ControlSocket::~ControlSocket() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(impl_->wake.get(), &one, sizeof one));  // full: readable already
  impl_->thread.join();
}

Result<void> ask_control(const std::filesystem::path& folder, std::string_view request,
                         std::chrono::milliseconds timeout) {
  const auto trouble = [&](std::string_view what, int number) {
    return failure(ErrorCode::io, std::string(what) + " " + (folder / kControlName).string(), number);
  };
  if (request.size() >= kLongestRequest || one_line(std::string(request)) != request)
    return failure(ErrorCode::usage,
                   "a request is one line of less than " + std::to_string(kLongestRequest) + " bytes");
  const auto address = address_in(folder, kControlName);
  if (!address) return std::unexpected(address.error());
  const UniqueFd fd = local_socket();
  if (!fd.valid()) return trouble("cannot make a socket for", errno);
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(timeout - whole);
  const timeval limit{static_cast<time_t>(whole.count()), static_cast<suseconds_t>(rest.count())};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // holds for connect() too
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), address->get(), address->length) != 0) return trouble("no live run answers at", errno);
  const std::string line = std::string(request) + "\n";
  // Refused before it has read: the answer is there all the same.
  static_cast<void>(::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL));
  std::string text;
  std::array<char, 1024> buffer;
  while (!text.ends_with('\n')) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ECONNRESET && !text.empty()) break;
    if (got <= 0) return trouble("no answer from", got < 0 ? errno : EPROTO);
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  if (text == kOk) return {};
  text.pop_back();
  if (text.starts_with(kRefused)) return failure(ErrorCode::io, text.substr(kRefused.size()), EACCES);
  if (text.starts_with(kFailed)) return failure(ErrorCode::io, text.substr(kFailed.size()));
  if (text.starts_with(kError)) return failure(ErrorCode::usage, text.substr(kError.size()));
  return trouble("an answer that nobody understands from", EPROTO);
}

}  // namespace pawl::observe
