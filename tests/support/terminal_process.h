// A program on a pseudo terminal of its own, as a person has it: typed to, looked at, resized, waited for.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>
#undef EMPTY  // a word that others need for something else

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "terminal_screen.h"

extern char** environ;

namespace pawl::test {

class TerminalProcess {
 public:
  /// `environment`: "NAME=value", instead of the test's own of that name.
  TerminalProcess(std::vector<std::string> words, std::vector<std::string> environment, std::size_t columns = 80,
                  std::size_t rows = 24)
      : screen_(columns, rows) {
    environment.insert(environment.end(), {"TERM=xterm", "LC_ALL=C.UTF-8"});
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string name(*variable, std::strcspn(*variable, "=") + 1);
      const bool given = std::any_of(environment.begin(), environment.end(),
                                     [&](const std::string& other) { return other.starts_with(name); });
      if (!given) environment.emplace_back(*variable);
    }
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<char*> env;
    for (auto& variable : environment) env.push_back(variable.data());
    env.push_back(nullptr);
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = static_cast<unsigned short>(rows);
    int slave = -1;
    EXPECT_EQ(::openpty(&master_, &slave, nullptr, nullptr, &size), 0);
    ::fcntl(master_, F_SETFD, FD_CLOEXEC);
    ::fcntl(master_, F_SETFL, O_NONBLOCK);
    ::tcgetattr(slave, &before_);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::login_tty(slave);
      ::execve(argv[0], argv.data(), env.data());
      ::_exit(127);
    }
    slave_ = slave;  // stays open: the terminal's settings can be asked for after the end
    ::fcntl(slave_, F_SETFD, FD_CLOEXEC);
    EXPECT_GT(pid_, 0);
  }
  ~TerminalProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(master_);
    ::close(slave_);
  }
  TerminalProcess(const TerminalProcess&) = delete;
  TerminalProcess& operator=(const TerminalProcess&) = delete;

  void type(std::string_view text) const {
    EXPECT_EQ(::write(master_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void signal(int number) const { ::kill(pid_, number); }
  void resize(std::size_t columns, std::size_t rows) {
    read_for(std::chrono::milliseconds{0});
    screen_.resize(columns, rows);
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = static_cast<unsigned short>(rows);
    EXPECT_EQ(::ioctl(master_, TIOCSWINSZ, &size), 0);
  }

  /// Reads what the program writes until `condition(screen)` holds; false after the deadline.
  bool until(const std::function<bool(const TerminalScreen&)>& condition,
             std::chrono::seconds most = std::chrono::seconds{120}) {
    const auto deadline = std::chrono::steady_clock::now() + most;
    while (!condition(screen_)) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      read_for(std::chrono::milliseconds{50});
    }
    return true;
  }
  bool shows(const std::string& text) {
    return until([&](const TerminalScreen& screen) { return screen.text().find(text) != std::string::npos; });
  }

  /// Reads to the end: the exit code, or -SIGNAL; -1000 after the deadline.
  int wait(std::chrono::seconds most = std::chrono::seconds{120}) {
    const auto deadline = std::chrono::steady_clock::now() + most;
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) return -1000;
      read_for(std::chrono::milliseconds{5});
    }
    pid_ = -1;
    read_for(std::chrono::milliseconds{0});
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  [[nodiscard]] const TerminalScreen& screen() const noexcept { return screen_; }

  /// The terminal's settings are those from before the program.
  [[nodiscard]] bool restored() const {
    termios now{};
    if (::tcgetattr(slave_, &now) != 0) return false;
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag &&
           std::memcmp(now.c_cc, before_.c_cc, sizeof now.c_cc) == 0;
  }

 private:
  void read_for(std::chrono::milliseconds first_wait) {
    pollfd polled{master_, POLLIN, 0};
    int wait = static_cast<int>(first_wait.count());
    while (::poll(&polled, 1, wait) > 0) {
      std::array<char, 4096> buffer;
      const ssize_t got = ::read(master_, buffer.data(), buffer.size());
      if (got <= 0) return;
      screen_.feed({buffer.data(), static_cast<std::size_t>(got)});
      wait = 0;
    }
  }

  TerminalScreen screen_;
  int master_ = -1;
  int slave_ = -1;
  termios before_{};
  pid_t pid_ = -1;
};

}  // namespace pawl::test
