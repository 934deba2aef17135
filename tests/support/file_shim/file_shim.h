// A library put before the C library (LD_PRELOAD) under a real program: it makes chosen calls on files fail, ends or
// stops the program at a chosen call, and keeps a log from which power_loss.h undoes what was not synced.
//
// Use it for what a disk does to a program, without a word about it in the program. It sees calls that go through the
// C library's exported functions, from every library of the process; not what a memory map writes, nor the inside of
// stdio but for fopen. Never put it under a sanitizer: those have interposers of their own.
//
// It is told by the environment, see the names below:
//   PAWL_SHIM_ROOT   only paths below this one are looked at; absolute, without symbolic links
//   PAWL_SHIM_RULES  rules, separated by ';', each `OPS GLOB WHICH ACTION`, separated by blanks:
//     OPS     open write sync rename link unlink truncate allocate mkdir close, several with '|', or '*'
//             (open: for writing, or one that may make a file; write and sync: all kinds of them)
//     GLOB    matches the whole absolute path, '*' also matches '/'; of a rename or link the new name or the old one
//     WHICH   `3`: the third call of this process that matches; `3+`: the third and all later ones
//     ACTION  ENOSPC EIO EROFS EDQUOT EACCES EMFILE: the call fails so, nothing is done
//             short: a write writes half; short+ENOSPC: it writes half, and what matches after it fails so
//             kill, kill-after: SIGKILL to itself before or after the call; stop: SIGSTOP to itself before it
//   PAWL_SHIM_FIRED  a file that gets a line `RULE OP PATH` for each time that a rule acts (RULE: its number from 0)
//   PAWL_SHIM_TRACE  a file that gets a line `OP PATH` for each call looked at
//   PAWL_SHIM_STATE  a folder for the log of what is not synced; on the file system of PAWL_SHIM_ROOT, outside of it
//
// A sync that fails by a rule loses what it should have synced, as Linux does it: a later sync that succeeds does not
// bring it back.
#pragma once

#include <cstdint>

namespace pawl::shim {

inline constexpr const char* kRootName = "PAWL_SHIM_ROOT";
inline constexpr const char* kRulesName = "PAWL_SHIM_RULES";
inline constexpr const char* kFiredName = "PAWL_SHIM_FIRED";
inline constexpr const char* kTraceName = "PAWL_SHIM_TRACE";
inline constexpr const char* kStateName = "PAWL_SHIM_STATE";

/// What a record of the log says. After the header come `path_bytes`, `other_bytes` and `data_bytes` bytes.
enum class LogKind : std::uint32_t {
  write = 1,   // file, offset, length; old_size; data: what was there before, as far as there was something
  resize = 2,  // file, old_size, length: the new size; data: what was cut off
  create = 3,  // file: made; path, folder
  make_folder = 4,
  rename = 5,  // file: the one renamed; path → other, folder → other_folder; kept: what was there, 0: nothing
  link = 6,    // file; other, other_folder: the new name
  unlink = 7,  // file; path, folder; kept
  remove_folder = 8,
  sync = 9,          // file (or folder): what was logged up to `offset` (the log's length) is durable
  sync_failed = 10,  // file: what was logged up to `offset` never will be
};

struct LogRecord {
  LogKind kind{};
  std::uint32_t path_bytes = 0;
  std::uint32_t other_bytes = 0;
  std::uint32_t is_folder = 0;  // what is renamed or synced is a folder
  std::uint64_t data_bytes = 0;
  std::uint64_t file = 0;  // inode numbers; a file that has lost its last name is kept, so none is used again
  std::uint64_t folder = 0;
  std::uint64_t other_folder = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t old_size = 0;
  std::uint64_t kept = 0;  // name of a hard link in <state>/kept
};

}  // namespace pawl::shim
