// Operating failures as values: what went wrong, where, and the system's own number for it.
//
// Used for everything that can fail in normal operation (disk, network, git, input). A broken invariant is not an
// Error but an assertion: the journal makes crashing safe. Nothing in pawl throws across a port.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace pawl {

enum class ErrorCode : std::uint8_t {
  usage,        // an option or argument is wrong
  input,        // an input is unreadable or malformed
  io,           // a read, write, sync or rename failed; `sys_errno` says how
  journal,      // a journal segment is damaged
  repository,   // the git repository cannot be used or refuses the change
  obstructed,   // this one task cannot be stored where it belongs; others can
  locked,       // another live process holds the repository
  call,         // the call could not be made at all
  cancelled,    // given up because the run is stopping; the task stays in the journal
  held,         // kept back on purpose; the task stays in the journal until somebody decides
  unsupported,  // this build or system lacks what was asked for
};

/// Short, stable name of a code ("io", "locked", …) for logs and JSON.
constexpr std::string_view name_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::usage: return "usage";
    case ErrorCode::input: return "input";
    case ErrorCode::io: return "io";
    case ErrorCode::journal: return "journal";
    case ErrorCode::repository: return "repository";
    case ErrorCode::obstructed: return "obstructed";
    case ErrorCode::locked: return "locked";
    case ErrorCode::call: return "call";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::held: return "held";
    case ErrorCode::unsupported: return "unsupported";
  }
  return "unknown";
}

struct Error {
  ErrorCode code = ErrorCode::io;
  std::string context;  // one sentence for a person: what was tried, on which file, what was expected
  int sys_errno = 0;    // errno of the failing system call, 0 if there was none
};

template <class T>
using Result = std::expected<T, Error>;

/// Builds the unexpected side of a Result.
[[nodiscard]] inline std::unexpected<Error> failure(ErrorCode code, std::string context, int sys_errno = 0) {
  return std::unexpected(Error{code, std::move(context), sys_errno});
}

}  // namespace pawl
