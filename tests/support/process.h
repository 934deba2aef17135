// A child process of a test: started, fed, signalled, waited for; what it printed is kept.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "temp_dir.h"

extern char** environ;

namespace pawl::test {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  ASSERT_TRUE(out.flush()) << path;
}

class Process {
 public:
  struct Options {
    std::vector<std::string> environment;  // "NAME=value", added to the test's own
    bool pipe_input = false;               // write_input() feeds standard input; else it is empty
  };

  explicit Process(std::vector<std::string> arguments) : Process(std::move(arguments), Options()) {}
  Process(std::vector<std::string> arguments, const Options& options) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    int input[2] = {-1, -1};
    if (options.pipe_input) {
      EXPECT_EQ(::pipe2(input, O_CLOEXEC), 0);
      posix_spawn_file_actions_adddup2(&actions, input[0], 0);
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    }
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, 1, (files_ / "out").c_str(), flags, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, (files_ / "err").c_str(), flags, 0600);
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<std::string> added = options.environment;
    std::vector<char*> env;
    for (auto& variable : added) env.push_back(variable.data());
    for (char** variable = environ; *variable != nullptr; ++variable) env.push_back(*variable);
    env.push_back(nullptr);
    const int problem = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), env.data());
    EXPECT_EQ(problem, 0) << arguments[0];
    if (problem != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    if (input[0] >= 0) ::close(input[0]);
    input_ = input[1];
  }
  ~Process() {
    close_input();
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  void write_input(const std::string& text) const {
    ASSERT_EQ(::write(input_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void close_input() {
    if (input_ >= 0) ::close(input_);
    input_ = -1;
  }

  /// It has ended (and is still to be waited for).
  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
  }

  /// Waits for the end: the exit code, or -SIGNAL if a signal ended it, or -1000 after the deadline.
  int wait(std::chrono::milliseconds most = std::chrono::seconds{300}) {
    const auto deadline = std::chrono::steady_clock::now() + most;
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) return -1000;
      std::this_thread::sleep_for(std::chrono::milliseconds{2});  // polls another process, orders nothing
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  [[nodiscard]] std::string out() const { return read_file(files_ / "out"); }
  [[nodiscard]] std::string err() const { return read_file(files_ / "err"); }

 private:
  TempDir files_;
  pid_t pid_ = -1;
  int input_ = -1;
};

/// Polls until `condition()` holds; false after the deadline.
template <class Condition>
bool eventually(Condition&& condition, std::chrono::milliseconds most = std::chrono::seconds{120}) {
  const auto deadline = std::chrono::steady_clock::now() + most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});  // polls another process, orders nothing
  }
  return true;
}

/// Runs the git program and returns what it printed; fails the test if git fails.
inline std::string git(const std::filesystem::path& repo, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"git", "-C", repo.string()});
  Process process(arguments);
  EXPECT_EQ(process.wait(), 0) << "git " << arguments[3] << ": " << process.err();
  return process.out();
}

}  // namespace pawl::test
