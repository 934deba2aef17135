// The real git program, for checking what pawl wrote.
#pragma once

#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace pawl::test {

struct GitResult {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

/// `word` for sh.
inline std::string shell_word(std::string_view word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

inline GitResult run_shell(const std::string& command) {
  GitResult result;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  std::size_t got = 0;
  while ((got = ::fread(buffer, 1, sizeof buffer, pipe)) > 0) result.output.append(buffer, got);
  const int status = ::pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}

class Git {
 public:
  explicit Git(std::filesystem::path folder) : folder_(std::move(folder)) {}

  [[nodiscard]] GitResult run(const std::string& arguments) const {
    return run_shell("git -C " + shell_word(folder_.string()) + " " + arguments + " 2>&1");
  }

  /// Output of a command that must succeed, last newline cut. A command that meets the index lock, which a running
  /// commit stage holds for moments, is run again, as a person would.
  std::string operator()(const std::string& arguments) const {
    GitResult result = run(arguments);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (result.exit_code != 0 && result.output.find("index.lock': File exists") != std::string::npos &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
      result = run(arguments);
    }
    EXPECT_EQ(result.exit_code, 0) << "git " << arguments << "\n" << result.output;
    if (result.output.ends_with('\n')) result.output.pop_back();
    return result.output;
  }

  /// Every object is well-formed, reachable and where the indexes say.
  void expect_sound() const {
    const GitResult fsck = run("fsck --strict --full --no-progress");
    EXPECT_EQ(fsck.exit_code, 0);
    EXPECT_EQ(fsck.output, "");
    const std::string packs = (*this)("rev-parse --git-path objects/pack");
    const GitResult verify = run_shell("cd " + shell_word(folder_.string()) + " && for idx in " + shell_word(packs) +
                                       "/*.idx; do [ ! -e \"$idx\" ] || git verify-pack \"$idx\" || exit 1; "
                                       "done 2>&1");
    EXPECT_EQ(verify.exit_code, 0) << verify.output;
  }

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }

 private:
  std::filesystem::path folder_;
};

}  // namespace pawl::test
