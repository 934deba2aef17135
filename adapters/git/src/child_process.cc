#include "child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "open_file.h"

extern char** environ;

namespace pawl::git {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kGrace{500};

/// Both ends of a stream between two processes; a socket, because writing into one whose reader has gone can be made
/// without a SIGPIPE.
struct Channel {
  Channel() {
    std::array<int, 2> fds{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0) {
      ours = std::make_unique<OpenFile>(fds[0]);
      theirs = std::make_unique<OpenFile>(fds[1]);
      ::fcntl(fds[0], F_SETFL, O_NONBLOCK);
    }
  }
  [[nodiscard]] int fd() const noexcept { return ours ? ours->fd() : -1; }
  std::unique_ptr<OpenFile> ours;
  std::unique_ptr<OpenFile> theirs;
};

/// The environment with `extra` set.
std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& extra) {
  std::vector<std::string> all;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view entry = *at;
    bool replaced = false;
    for (const auto& [name, value] : extra) replaced |= entry.starts_with(name + "=");
    if (!replaced) all.emplace_back(entry);
  }
  for (const auto& [name, value] : extra) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

/// Starts it with the three channels; else an errno.
std::expected<pid_t, int> start(const ChildOptions& options, const std::array<Channel, 3>& channels) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; ++fd) {
    posix_spawn_file_actions_adddup2(&actions, channels[static_cast<std::size_t>(fd)].theirs->fd(), fd);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t usual;
  sigemptyset(&usual);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}) sigaddset(&usual, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> environment = environment_with(options.environment);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, arguments[0].c_str(), &actions, &attributes, pointers(arguments).data(),
                                    pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return std::unexpected(failed);
  return pid;
}

/// Talks to a child until it has ended.
class Conversation {
 public:
  Conversation(pid_t pid, const ChildOptions& options, std::array<Channel, 3>& channels)
      : pid_(pid),
        ended_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))),
        borrowed_options_(options),
        borrowed_channels_(channels),
        input_(options.input) {
    for (Channel& channel : channels) channel.theirs.reset();
  }

  ChildResult hold() {
    while (!step()) {
    }
    read_from(1, result_.out);
    read_from(2, result_.err);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    result_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return std::move(result_);
  }

 private:
  /// True: the child has ended. What it left running may hold its channels open; nobody waits for that.
  bool step() {
    const Interrupt* interrupt = borrowed_options_.borrowed_interrupt;
    const bool listening = interrupt != nullptr && !result_.interrupted;
    std::array<pollfd, 5> fds{{{ended_.fd(), POLLIN, 0},
                               {borrowed_channels_[1].fd(), POLLIN, 0},
                               {borrowed_channels_[2].fd(), POLLIN, 0},
                               {borrowed_channels_[0].fd(), POLLOUT, 0},
                               {listening ? interrupt->fd() : -1, POLLIN, 0}}};
    // Without a descriptor of its end (an old kernel) it is asked now and then.
    constexpr int kAskEvery = 20;
    ::poll(fds.data(), fds.size(), ended_.fd() < 0 || result_.interrupted ? kAskEvery : -1);
    if (fds[1].revents != 0) read_from(1, result_.out);
    if (fds[2].revents != 0) read_from(2, result_.err);
    if (fds[3].revents != 0) write_input();
    if (listening && interrupt->raised()) {
      result_.interrupted = true;
      interrupted_at_ = Clock::now();
      ::kill(-pid_, SIGTERM);
    }
    if (result_.interrupted && Clock::now() - interrupted_at_ > kGrace) ::kill(-pid_, SIGKILL);
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
  }

  void write_input() {
    while (!input_.empty()) {
      const ssize_t sent = ::send(borrowed_channels_[0].fd(), input_.data(), input_.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) break;  // it does not want it
      input_.remove_prefix(static_cast<std::size_t>(sent));
    }
    borrowed_channels_[0].ours.reset();
  }

  void read_from(std::size_t channel, std::string& to) {
    std::array<char, 16 * 1024> buffer;
    while (borrowed_channels_[channel].fd() >= 0) {
      const ssize_t got = ::read(borrowed_channels_[channel].fd(), buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) {
        borrowed_channels_[channel].ours.reset();
        return;
      }
      const std::size_t room = ChildResult::kMostOutput - to.size();
      to.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
    }
  }

  pid_t pid_;
  OpenFile ended_;
  const ChildOptions& borrowed_options_;
  std::array<Channel, 3>& borrowed_channels_;
  std::string_view input_;
  ChildResult result_;
  Clock::time_point interrupted_at_;
};

}  // namespace

Interrupt::Interrupt() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
Interrupt::~Interrupt() {
  if (fd_ >= 0) ::close(fd_);
}

void Interrupt::raise() noexcept {
  raised_.store(true, std::memory_order_release);  // release [I1]
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t wrote = ::write(fd_, &one, sizeof one);  // readable already: as good
}

std::string ChildResult::complaint() const {
  std::string_view text = err;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  if (text.empty()) return "exit code " + std::to_string(exit_code);
  // A program's own word comes before advice and what follows from it; git marks it, and what a server's hook says.
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    for (const std::string_view mark : {"fatal: ", "error: ", "remote: "})
      if (line.starts_with(mark)) return std::string(line.substr(0, line.find_last_not_of(" \r") + 1));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  const std::size_t line = text.rfind('\n');
  return std::string(line == std::string_view::npos ? text : text.substr(line + 1));
}

Result<ChildResult> run_child(const ChildOptions& options) {
  std::array<Channel, 3> channels;
  for (const Channel& channel : channels) {
    if (channel.fd() < 0) {
      return failure(ErrorCode::io, "cannot talk to " + options.arguments[0] + ": " + std::strerror(errno), errno);
    }
  }
  const std::expected<pid_t, int> pid = start(options, channels);
  if (!pid) {
    return failure(ErrorCode::io, "cannot run " + options.arguments[0] + ": " + std::strerror(pid.error()),
                   pid.error());
  }
  return Conversation(*pid, options, channels).hold();
}

}  // namespace pawl::git
