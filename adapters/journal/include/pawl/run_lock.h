// RunLock: one pawl process at a time works on a repository's private folder.
//
// The lock belongs to the open file, so the kernel lets go of it when its process dies, however it dies; nothing has to
// be cleaned up after a SIGKILL. The file stays; only who holds it counts.
// When not to use it: between threads of one process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include <pawl/error.h>
#include <pawl/export.h>

namespace pawl::journal {

class PAWL_API RunLock {
 public:
  /// Takes the lock of `private_folder` (made with mode 0700 if missing) without waiting. Success means: until this
  /// object goes, every other take() of the folder fails. Errors: locked (a live process has it; the text names its
  /// pid), io.
  [[nodiscard]] static Result<RunLock> take(const std::filesystem::path& private_folder);

  /// The process that holds the folder's lock, if any. Does not disturb it, nor one that is just taking it. A process
  /// that holds the lock but has not yet written its pid is reported as 0. Errors: io.
  [[nodiscard]] static Result<std::optional<pid_t>> holder(const std::filesystem::path& private_folder);

  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  /// Lets go.
  ~RunLock();

 private:
  explicit RunLock(int file) noexcept : file_(file) {}
  int file_ = -1;  // open for as long as the lock is held
};

}  // namespace pawl::journal
