// The log of what is not synced, written while the program runs: see LogKind in file_shim.h.
//
// A record is written after the call it tells of, in one append: a program that is killed in between has done a thing
// that counts as durable, which is the kinder of the two mistakes. Calls that are logged exclude each other.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "file_shim.h"

namespace pawl::shim {

class UndoLog {
 public:
  UndoLog();  // reads the environment
  [[nodiscard]] bool on() const noexcept { return fd_ >= 0; }

  /// Holds off other logged calls as long as it lives, if there is a log.
  class Turn {
   public:
    explicit Turn(UndoLog& log) noexcept;
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    UndoLog& borrowed_log_;
  };

  /// Gives a file that is about to lose a name one more, in the state folder; 0: there is no such file, or it is a
  /// folder.
  [[nodiscard]] std::uint64_t keep(const std::string& path);
  void drop_kept(std::uint64_t kept);
  void add(LogRecord record, std::string_view path = {}, std::string_view other = {}, std::string_view data = {});
  /// Length so far: a sync that begins now covers all up to here.
  [[nodiscard]] std::uint64_t length() const;

 private:
  std::string state_;
  int fd_ = -1;
  std::uint64_t next_kept_ = 1;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/// Inode of a path (not following a symbolic link) or a descriptor; 0: there is none.
struct Inode {
  std::uint64_t number = 0;
  std::uint64_t size = 0;
  bool is_folder = false;
  bool is_file = false;
};
[[nodiscard]] Inode inode_of(const std::string& path);
[[nodiscard]] Inode inode_of(int fd);
[[nodiscard]] std::string parent_of(const std::string& path);
/// `count` bytes from `offset`, as many as there are.
[[nodiscard]] std::string read_bytes(const std::string& path, std::uint64_t offset, std::uint64_t count);

}  // namespace pawl::shim
