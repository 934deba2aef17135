#include "wire.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "tls_rest.h"

namespace pawl::http {

using std::chrono::milliseconds;

namespace {

// Few, so that a connection that has brought its answer takes the next request while what belongs to it is still in the
// processor's cache. Measured with 256 instead: 11 % more processor time a request at 1,024 transfers.
constexpr int kEventsPerPoll = 32;

// One writer, so no read-modify-write is needed; relaxed: a statistic.
void bump(std::atomic<std::uint64_t>& count) noexcept {
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Wire::Wire(const Setup& setup, Fd epoll, Fd bell, Grave grave, ShareHandle share) noexcept
    : setup_(setup),
      epoll_(std::move(epoll)),
      bell_(std::move(bell)),
      grave_(std::move(grave)),
      share_(std::move(share)) {}

Result<std::unique_ptr<Wire>> Wire::make(const Setup& setup) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (epoll.get() < 0) return failure(ErrorCode::io, "epoll_create1 failed", errno);
  Fd bell(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (bell.get() < 0) return failure(ErrorCode::io, "eventfd failed", errno);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = bell.get();
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, bell.get(), &event) != 0) {
    return failure(ErrorCode::io, "epoll_ctl failed for an eventfd", errno);
  }
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
    return failure(ErrorCode::io, "socketpair failed", errno);
  }
  Grave grave{Fd(pair[0]), Fd(pair[1])};
  if (::shutdown(grave.other.get(), SHUT_WR) != 0) return failure(ErrorCode::io, "shutdown failed", errno);
  // No lock functions: one thread uses it.
  ShareHandle share(curl_share_init());
  if (share == nullptr || curl_share_setopt(share.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK ||
      curl_share_setopt(share.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK) {
    return failure(ErrorCode::call, "libcurl cannot share names and TLS sessions among transfers");
  }
  return std::unique_ptr<Wire>(new Wire(setup, std::move(epoll), std::move(bell), std::move(grave), std::move(share)));
}

void Wire::attach(CURL* easy) noexcept {
  curl_easy_setopt(easy, CURLOPT_SHARE, share_.get());
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Wire::open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &Wire::close_socket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
}

Wire::Shard* Wire::shard(unsigned index) {
  while (shards_.size() <= index) {
    auto shard = std::make_unique<Shard>();
    shard->wire = this;
    shard->index = static_cast<unsigned>(shards_.size());
    shard->multi.reset(curl_multi_init());
    CURLM* multi = shard->multi.get();
    if (multi == nullptr) return nullptr;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &Wire::on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, shard.get());
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &Wire::on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, shard.get());
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, setup_.connections_max);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, setup_.multiplex ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
    shards_.push_back(std::move(shard));
  }
  return shards_[index].get();
}

bool Wire::add(CURL* easy, unsigned index) {
  Shard* const shard = this->shard(index);
  return shard != nullptr && curl_multi_add_handle(shard->multi.get(), easy) == CURLM_OK;
}

void Wire::remove(CURL* easy, unsigned index) noexcept { curl_multi_remove_handle(shards_[index]->multi.get(), easy); }

Wire::Socket& Wire::socket(curl_socket_t fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= sockets_.size()) sockets_.resize(index + 256);
  return sockets_[index];
}

void Wire::watch(curl_socket_t fd, Socket& socket, std::uint32_t events) noexcept {
  if (socket.registered == events) return;
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const int change = events == 0 ? EPOLL_CTL_DEL : socket.registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  // The resolver closes its own sockets without a word, so what is noted of a number can be out of date.
  if (::epoll_ctl(epoll_.get(), change, fd, &event) != 0 && events != 0) {
    const int other = errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    ::epoll_ctl(epoll_.get(), other, fd, &event);
  }
  socket.registered = events;
}

int Wire::on_socket(CURL*, curl_socket_t fd, int what, void* data, void*) noexcept {
  auto& shard = *static_cast<Shard*>(data);
  Socket& socket = shard.wire->socket(fd);
  if (what == CURL_POLL_REMOVE && socket.shard != shard.index) return 0;  // its own was closed, this one is another's
  socket.shard = shard.index;
  socket.wanted = 0;
  socket.left_in = 0;
  if (what != CURL_POLL_REMOVE) {
    if ((what & CURL_POLL_IN) != 0) socket.wanted |= EPOLLIN;
    if ((what & CURL_POLL_OUT) != 0) socket.wanted |= EPOLLOUT;
  }
  // An idle connection stays registered: it will most likely want the same again with the next request.
  if (socket.ours && socket.wanted == 0 && socket.registered == EPOLLIN) return 0;
  // libcurl closes the resolver's sockets and those that were still connecting without a word, so by now the number may
  // be another thread's. The kernel forgets what is closed; one that is still open and speaks up is let go in
  // `dispatch`.
  if (socket.wanted == 0) {
    // The end of an attempt to connect. libcurl 7.88 tries the host's next address only when it is called again, and
    // asks for that seconds later.
    if (socket.ours && socket.registered == EPOLLOUT) shard.wire->look_again(shard);
    socket.left_in = socket.registered != 0 ? shard.wire->polls_ : 0;
    socket.registered = 0;
    return 0;
  }
  shard.wire->watch(fd, socket, socket.wanted);
  return 0;
}

int Wire::on_timer(CURLM*, long timeout_ms, void* data) noexcept {
  auto& shard = *static_cast<Shard*>(data);
  shard.deadline = kNever;
  if (timeout_ms > 0) {
    shard.deadline = Clock::now() + milliseconds(timeout_ms);
    shard.wire->nearest_ = std::min(shard.wire->nearest_, shard.deadline);
  }
  // 0 comes with every request: no need to read the clock for it.
  if (timeout_ms == 0) shard.wire->make_due(shard);
  return 0;
}

void Wire::make_due(Shard& shard) {
  if (shard.due) return;
  shard.due = true;
  due_.push_back(shard.index);
}

void Wire::look_again(Shard& shard) {
  shard.whole = true;
  make_due(shard);
}

curl_socket_t Wire::open_socket(void* data, curlsocktype, curl_sockaddr* address) noexcept {
  auto& wire = *static_cast<Wire*>(data);
  const int fd = ::socket(address->family, address->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  bump(wire.opened_);
  Socket& socket = wire.socket(fd);
  if (socket.ours) bump(wire.closed_);
  const std::uint32_t wanted = socket.wanted;
  socket = Socket{.registered = 0, .wanted = wanted, .shard = socket.shard, .ours = true, .left_in = 0};
  // The number's last socket was closed without a word, as when the first of a host's addresses refused: libcurl takes
  // this one for it, and will not ask for what it has asked for already.
  if (wanted != 0) wire.watch(fd, socket, wanted);
  return fd;
}

int Wire::close_socket(void* data, curl_socket_t fd) noexcept {
  auto& wire = *static_cast<Wire*>(data);
  wire.socket(fd) = Socket{};
  bump(wire.closed_);
  return ::close(fd);
}

void Wire::bury(curl_socket_t fd, Socket& socket) noexcept {
  watch(fd, socket, 0);
  ::dup3(grave_.end.get(), fd, O_CLOEXEC);
}

/// The socket that a transfer which has ended has left behind; bad: it is closed, or in use again.
curl_socket_t Wire::idle_socket(CURL* easy) noexcept {
  curl_socket_t fd = CURL_SOCKET_BAD;
  if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD) return CURL_SOCKET_BAD;
  const Socket& socket = this->socket(fd);
  return socket.ours && socket.wanted == 0 ? fd : CURL_SOCKET_BAD;
}

void Wire::check_idle(CURL* easy, const void* borrowed_tls) noexcept {
  long version = CURL_HTTP_VERSION_NONE;
  if (setup_.multiplex &&
      (curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version) != CURLE_OK || version >= CURL_HTTP_VERSION_2_0)) {
    return;  // frames may come at any time
  }
  const curl_socket_t fd = idle_socket(easy);
  if (fd == CURL_SOCKET_BAD) return;
  char byte = 0;
  // libcurl still knows whose socket it was, so the session is alive.
  if ((borrowed_tls != nullptr && holds_bytes(borrowed_tls)) || ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
    bury(fd, socket(fd));
  }
}

void Wire::give_up_idle(CURL* easy) noexcept {
  if (const curl_socket_t fd = idle_socket(easy); fd != CURL_SOCKET_BAD) bury(fd, socket(fd));
}

void Wire::act(Shard& shard, curl_socket_t fd, int mask) noexcept {
  if (!shard.dirty) {
    shard.dirty = true;
    dirty_.push_back(shard.index);
  }
  ++acts_;
  int running = 0;
  curl_multi_socket_action(shard.multi.get(), fd, mask, &running);
}

void Wire::run_timers() {
  firing_.clear();
  firing_.swap(due_);
  for (const unsigned index : firing_) {
    Shard& shard = *shards_[index];
    shard.due = false;
    if (std::exchange(shard.whole, false)) {
      int running = 0;
      CURL_IGNORE_DEPRECATION(curl_multi_socket_all(shard.multi.get(), &running);)
    }
    act(shard, CURL_SOCKET_TIMEOUT, 0);
  }
  if (nearest_ == kNever) return;
  const auto now = Clock::now();
  if (now < nearest_) return;
  // What fires sets its next deadline, and that moves `nearest_` too.
  nearest_ = kNever;
  for (auto& shard : shards_) {
    if (shard->deadline <= now) {
      shard->deadline = kNever;
      act(*shard, CURL_SOCKET_TIMEOUT, 0);
    } else {
      nearest_ = std::min(nearest_, shard->deadline);
    }
  }
}

int Wire::timeout_ms(Clock::time_point until) const noexcept {
  if (!due_.empty()) return 0;
  until = std::min(until, nearest_);
  if (until == kNever) return -1;
  const auto wait = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 3'600'000));
}

void Wire::dispatch(curl_socket_t fd, std::uint32_t events) {
  if (fd == bell_.get()) {
    std::uint64_t rings = 0;
    if (::read(fd, &rings, sizeof rings) < 0) return;  // EAGAIN: nothing to take note of
    return;
  }
  Socket& socket = this->socket(fd);
  if (socket.wanted == 0) {
    // An idle connection was closed by the server or brings what nobody asked for, or a socket of this batch has been
    // closed before its turn.
    if (socket.left_in != 0 && socket.left_in != polls_) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    if (socket.registered == 0) return;
    if (socket.ours && !setup_.multiplex) return bury(fd, socket);
    watch(fd, socket, 0);
    return;
  }
  int mask = 0;
  if ((events & EPOLLIN) != 0) mask |= CURL_CSELECT_IN;
  if ((events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) mask |= CURL_CSELECT_ERR;
  act(*shards_[socket.shard], fd, mask);
}

void Wire::poll(std::optional<Clock::time_point> until) {
  std::array<epoll_event, kEventsPerPoll> events;
  ++polls_;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerPoll, timeout_ms(until.value_or(kNever)));
  for (int i = 0; i < count; ++i)
    dispatch(events[static_cast<unsigned>(i)].data.fd, events[static_cast<unsigned>(i)].events);
}

void Wire::wake() noexcept {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the bell rings anyway.
  [[maybe_unused]] const auto written = ::write(bell_.get(), &one, sizeof one);
}

}  // namespace pawl::http
