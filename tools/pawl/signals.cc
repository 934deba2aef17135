#include "signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include <pawl/thread.h>

#include "file_descriptor.h"

namespace pawl::tool {
namespace {

sigset_t watched() noexcept {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  return set;
}

}  // namespace

void block_signals() noexcept {
  const sigset_t set = watched();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

void unblock_signals() noexcept {
  const sigset_t set = watched();
  ::signal(SIGPIPE, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

Result<SignalWatch> SignalWatch::start(std::function<void(int)> on_signal) {
  const sigset_t set = watched();
  FileDescriptor signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  auto end = std::make_shared<FileDescriptor>(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!signals.valid() || !end->valid())
    return failure(ErrorCode::io, std::string("cannot watch signals: ") + std::strerror(errno), errno);
  SignalWatch watch;
  watch.thread_ =
      std::jthread([signals = std::move(signals), end, on_signal = std::move(on_signal)](const std::stop_token& stop) {
        name_this_thread("pawl-signals");
        const std::stop_callback wake(stop, [&] {
          const std::uint64_t one = 1;
          while (::write(end->get(), &one, sizeof one) < 0 && errno == EINTR) {
          }
        });
        while (!stop.stop_requested()) {
          pollfd looks[2] = {{signals.get(), POLLIN, 0}, {end->get(), POLLIN, 0}};
          ::poll(looks, 2, -1);
          signalfd_siginfo info;
          while (::read(signals.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info))
            on_signal(static_cast<int>(info.ssi_signo));
        }
      });
  return watch;
}

SignalWatch::~SignalWatch() = default;

}  // namespace pawl::tool
