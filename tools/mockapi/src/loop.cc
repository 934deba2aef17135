#include "loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "listen.h"

namespace pawl::mockapi {
namespace {

constexpr std::size_t kScratchBytes = 256 * 1024;
constexpr int kEventsMax = 512;
// Delays end on this grid, rounded up: answers that are due together then share one wake-up.
constexpr std::chrono::nanoseconds kTimerGrid = std::chrono::microseconds(100);
constexpr std::chrono::milliseconds kAcceptPause{50};

// Tags of what is not a connection; connections carry descriptor and generation.
constexpr std::uint64_t kListenerTag = ~std::uint64_t{0};
constexpr std::uint64_t kWakeTag = kListenerTag - 1;

Result<void> watch(const Fd& epoll, int fd, std::uint32_t events, std::uint64_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return failure(ErrorCode::io, "cannot watch a socket", errno);
}

}  // namespace

double thread_cpu_ms() noexcept {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
}

Result<std::unique_ptr<Loop>> Loop::make(const Options& options) {
  auto listening = listen_on(options.address, options.port);
  if (!listening) return std::unexpected(listening.error());
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.open()) return failure(ErrorCode::io, "cannot create an epoll", errno);
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.open()) return failure(ErrorCode::io, "cannot create an eventfd", errno);
  auto& [listener, port] = *listening;
  if (auto watched = watch(epoll, listener.get(), EPOLLIN, kListenerTag); !watched)
    return std::unexpected(watched.error());
  if (auto watched = watch(epoll, wake.get(), EPOLLIN, kWakeTag); !watched) return std::unexpected(watched.error());
  return std::unique_ptr<Loop>(new Loop(options, std::move(listener), std::move(epoll), std::move(wake), port));
}

Loop::Loop(const Options& options, Fd listener, Fd epoll, Fd wake, std::uint16_t port)
    : options_(options),
      listener_(std::move(listener)),
      epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      port_(port),
      api_({options.body_bytes, options.created}),
      planner_(options),
      capacity_(options.capacity),
      scratch_(kScratchBytes),
      now_(Clock::now()) {}

void Loop::run() noexcept {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    wait_and_handle();
  }
  end();
}

void Loop::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
}

void Loop::ask(const std::function<void(const Counts&)>& read) {
  std::unique_lock lock(mutex_);
  if (ended_) {
    read(counts_);
    return;
  }
  Question question{read};
  questions_.push_back(&question);
  ::eventfd_write(wake_.get(), 1);
  answered_.wait(lock, [&] { return question.answered; });
}

void Loop::answer_questions() {
  const std::lock_guard lock(mutex_);
  counts_.totals.cpu_ms = thread_cpu_ms();
  for (Question* question : questions_) {
    question->read(counts_);
    question->answered = true;
  }
  questions_.clear();
  answered_.notify_all();
}

void Loop::end() {
  for (auto& connection : connections_) {
    if (connection) static_cast<void>(close(*connection));
  }
  answer_questions();
  const std::lock_guard lock(mutex_);
  ended_ = true;
}

void Loop::wait_and_handle() {
  std::array<epoll_event, kEventsMax> events;
  const std::int64_t wait_ns = nanoseconds_to_wait();
  timespec wait{};
  wait.tv_sec = wait_ns / 1'000'000'000;
  wait.tv_nsec = wait_ns % 1'000'000'000;
  int count = ::epoll_pwait2(epoll_.get(), events.data(), kEventsMax, wait_ns < 0 ? nullptr : &wait, nullptr);
  if (count < 0 && errno == ENOSYS) {  // Linux before 5.11 waits in whole milliseconds
    const int wait_ms = wait_ns < 0 ? -1 : static_cast<int>(std::min<std::int64_t>(wait_ns / 1'000'000 + 1, 1000));
    count = ::epoll_wait(epoll_.get(), events.data(), kEventsMax, wait_ms);
  }
  if (count < 0 && errno != EINTR) std::abort();  // a bug: a wrong descriptor or buffer
  now_ = Clock::now();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    handle(event.data.u64, event.events);
  }
  expire_timers();
  admit_queued();
  if (!accepting_ && now_ >= accept_again_) resume_accepting();
}

void Loop::handle(std::uint64_t tag, std::uint32_t events) {
  if (tag == kListenerTag) return accept_all();
  if (tag == kWakeTag) {
    eventfd_t rung = 0;
    ::eventfd_read(wake_.get(), &rung);
    return answer_questions();
  }
  Connection* const found = find(tag);
  if (found == nullptr) return;
  Connection& connection = *found;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    static_cast<void>(close(connection));
    return;
  }
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) connection.readable = true;
  if ((events & EPOLLRDHUP) != 0) connection.peer_closing = true;
  if ((events & EPOLLOUT) != 0) connection.writable = true;
  drive(connection);
}

Connection* Loop::find(std::uint64_t tag) noexcept {
  const auto fd = static_cast<std::size_t>(tag & 0xffffffffu);
  if (fd >= connections_.size() || !connections_[fd] || connections_[fd]->generation != tag >> 32) return nullptr;
  return connections_[fd].get();
}

std::int64_t Loop::nanoseconds_to_wait() const noexcept {
  Clock::time_point due = Clock::time_point::max();
  if (!timers_.empty()) due = timers_.first().due;
  if (!accepting_) due = std::min(due, accept_again_);
  if (due == Clock::time_point::max()) return -1;
  const Clock::time_point now = Clock::now();
  return due <= now ? 0 : std::chrono::nanoseconds(due - now).count();
}

void Loop::expire_timers() {
  while (!timers_.empty() && timers_.first().due <= now_) {
    Timer<Connection>& timer = timers_.first();
    timers_.cancel(timer);
    if (on_timer(timer.owner) == Step::go_on) drive(timer.owner);
  }
}

void Loop::set_timer(Connection& connection, double delay_ms) {
  const auto delay = std::chrono::nanoseconds(static_cast<std::int64_t>(delay_ms * 1e6));
  const auto due = (now_ + delay).time_since_epoch() + kTimerGrid - std::chrono::nanoseconds(1);
  timers_.set(connection.timer, Clock::time_point(due - due % kTimerGrid));
}

void Loop::accept_all() {
  constexpr int kAcceptsInARow = 128;  // then the connections get a turn; the listener is level-triggered
  for (int i = 0; i < kAcceptsInARow; ++i) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.open()) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause_accepting();
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto place = static_cast<std::size_t>(fd.get());
    if (place >= connections_.size()) connections_.resize(std::max(place + 1, connections_.size() * 2));
    // The two highest generations are left out: with a descriptor of all ones they would look like the other tags.
    generation_ = (generation_ + 1) & 0x7fffffffu;
    auto connection = std::make_unique<Connection>(std::move(fd), generation_, options_.max_body_bytes);
    // What the client has sent already is reported as the first edge.
    if (!watch(epoll_, connection->fd.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, tag_of(*connection))) continue;
    connections_[place] = std::move(connection);
    ++counts_.totals.connections_open;
    ++counts_.totals.connections_total;
  }
}

void Loop::pause_accepting() noexcept {
  epoll_event nothing{};
  nothing.data.u64 = kListenerTag;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &nothing);
  accepting_ = false;
  accept_again_ = now_ + kAcceptPause;
}

void Loop::resume_accepting() noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListenerTag;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), &event);
  accepting_ = true;
}

Loop::Step Loop::close(Connection& connection) {
  timers_.cancel(connection.timer);
  give_place(connection);
  if (connection.in_call) {
    --counts_.totals.in_flight;
    ++counts_.totals.abandoned;
  }
  --counts_.totals.connections_open;
  connections_[static_cast<std::size_t>(connection.fd.get())].reset();
  return Step::gone;
}

}  // namespace pawl::mockapi
