// The rules of file_shim.h: which call of the program meets which fate.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace pawl::shim {

enum class Op : std::uint8_t { open, write, sync, rename, link, unlink, truncate, allocate, mkdir, close };

/// What becomes of one call.
struct Verdict {
  int error = 0;  // not 0: fail with it
  bool half = false;
  bool kill_after = false;
};

class Rules {
 public:
  /// Reads the environment. A rule that it does not understand ends the program: a test that injects nothing must not
  /// pass.
  Rules();
  [[nodiscard]] bool any() const noexcept { return !rules_.empty() || !trace_.empty(); }
  /// Judges a call; SIGKILL and SIGSTOP before it happen in here. Any thread.
  [[nodiscard]] Verdict judge(Op op, const std::string& path, const std::string& other = {});

 private:
  enum class Action : std::uint8_t { fail, half, half_then_fail, kill, kill_after, stop };
  struct Rule {
    unsigned ops = 0;  // bits
    std::string glob;
    std::uint64_t first = 1;
    bool and_later = false;
    Action action{};
    int error = 0;
    std::atomic<std::uint64_t> seen{0};
  };
  void add(std::string_view text);
  void note(const std::string& file, const std::string& line) const;

  std::deque<Rule> rules_;
  std::string fired_, trace_;
};

/// Ends this process as a power cut would end it for its callers: nothing of it runs any more.
[[noreturn]] void kill_self() noexcept;

}  // namespace pawl::shim
