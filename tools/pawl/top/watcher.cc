#include "watcher.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <pawl/thread.h>

namespace pawl::tool {
namespace {

constexpr std::chrono::milliseconds kPatience{500};  // ending waits as long at most

void make_readable(int fd) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd, &one, sizeof one);  // full: readable already
}

}  // namespace

Watcher::Watcher(std::filesystem::path folder, std::chrono::milliseconds every)
    : folder_(std::move(folder)),
      every_(every),
      news_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      end_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  seen_.answered = std::chrono::steady_clock::now();
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the thread that has the terminal
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watcher::~Watcher() {
  thread_.request_stop();
  make_readable(end_.get());
}

void Watcher::loop(const std::stop_token& stop) {
  name_this_thread("pawl-watch");
  while (!stop.stop_requested()) {
    auto json = observe::read_status(folder_, kPatience);
    auto view = json ? observe::parse_status(*json) : Result<observe::RunView>(std::unexpected(json.error()));
    bool ended = false;
    {
      const std::lock_guard lock(mutex_);
      if (view) {
        seen_.view = std::move(*view);
        seen_.answered = std::chrono::steady_clock::now();
        seen_.problem.clear();
      } else {
        const int why = view.error().sys_errno;
        ended = seen_.ended = why == ENOENT || why == ECONNREFUSED;
        seen_.problem = view.error().context;
      }
    }
    make_readable(news_.get());
    if (ended) return;
    pollfd polled{end_.get(), POLLIN, 0};
    ::poll(&polled, 1, static_cast<int>(every_.count()));
  }
}

Watcher::Seen Watcher::take() {
  std::uint64_t count = 0;
  while (::read(news_.get(), &count, sizeof count) > 0) {
  }
  const std::lock_guard lock(mutex_);
  return seen_;
}

}  // namespace pawl::tool
