#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <thread>

#include <pawl/mockapi.h>

#include "listen.h"
#include "loop.h"

namespace pawl::mockapi {

struct Server::Impl {
  std::string address;
  std::unique_ptr<Loop> loop;
  std::thread thread;
};

Server::Server(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(const Options& options) {
  if (auto checked = options.validate(); !checked) return std::unexpected(checked.error());
  raise_open_files_limit();
  auto loop = Loop::make(options);
  if (!loop) return std::unexpected(loop.error());
  auto impl = std::make_unique<Impl>();
  impl->address = options.address;
  impl->loop = std::move(*loop);
  // Signals belong to the program, not to this thread, which inherits the mask it is started under.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int refused = 0;
  try {
    impl->thread = std::thread([served = impl->loop.get()] {
      ::pthread_setname_np(::pthread_self(), "pawl-mockapi");
      served->run();
    });
  } catch (const std::system_error& error) {
    refused = error.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!impl->thread.joinable()) return failure(ErrorCode::io, "cannot start the server's thread", refused);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const noexcept { return impl_->loop->port(); }

std::string Server::base_url() const {
  const bool v6 = impl_->address.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + impl_->address + "]" : impl_->address;
  return "http://" + host + ":" + std::to_string(port());
}

Stats Server::stats() const {
  Stats stats;
  impl_->loop->ask([&](const Counts& counts) { stats = counts.totals; });
  return stats;
}

std::vector<KeyStats> Server::key_stats() const {
  std::vector<KeyStats> keys;
  impl_->loop->ask([&](const Counts& counts) { keys = counts.keys(); });
  return keys;
}

void Server::stop() noexcept {
  if (!impl_->thread.joinable()) return;
  impl_->loop->stop();
  impl_->thread.join();
}

}  // namespace pawl::mockapi
