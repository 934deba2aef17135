// Another program, run to its end: the git program, gpg, ssh-keygen.
//
// The child has a session of its own: Ctrl-C in the terminal does not reach it, and it cannot wait for somebody to type
// a password. When not to use it: for what libgit2 does well; a process costs milliseconds.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pawl/error.h>

namespace pawl::git {

/// Tells a running child, from any thread, that its result is not wanted any more. Movable by nobody.
class Interrupt {
 public:
  Interrupt();  // without a descriptor left in the process it never fires
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  void raise() noexcept;
  [[nodiscard]] bool raised() const noexcept { return raised_.load(std::memory_order_acquire); }  // acquire [I1]
  [[nodiscard]] int fd() const noexcept { return fd_; }                                           // readable: raised

 private:
  std::atomic<bool> raised_{false};  // written by raise(), once; publishes nothing else
  int fd_;
};

struct ChildOptions {
  std::vector<std::string> arguments;                            // the first is the program, looked for in PATH
  std::string_view input;                                        // borrowed; what it reads
  std::vector<std::pair<std::string, std::string>> environment;  // set in addition
  const Interrupt* borrowed_interrupt = nullptr;                 // null: cannot be interrupted
};

struct ChildResult {
  int exit_code = -1;  // 128 + signal if it was killed
  std::string out;     // what it wrote, at most kMostOutput bytes of each
  std::string err;
  bool interrupted = false;

  static constexpr std::size_t kMostOutput = 1024 * 1024;
  /// What it complained about, one line for people: its first fatal, error or remote line, else the last; else what its
  /// exit code says.
  [[nodiscard]] std::string complaint() const;
};

/// Waits for the program to end; after an interrupt it is asked to, and killed after half a second. Blocks.
/// Errors: io (it cannot be started, naming it).
[[nodiscard]] Result<ChildResult> run_child(const ChildOptions& options);

}  // namespace pawl::git
