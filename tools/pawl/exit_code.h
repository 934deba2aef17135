// Exit codes, as users meet them.
#pragma once

#include <pawl/error.h>

namespace pawl::tool {

enum ExitCode : int {
  kAllDone = 0,     // all committed, every response was 2xx
  kSomeFailed = 1,  // some tasks failed (recorded, now or by an earlier run), or lines were skipped
  kUsage = 2,       // wrong usage or configuration
  kStorage = 3,     // the repository, the journal or the disk failed; nothing is lost
  kInput = 4,       // an input is unreadable or malformed
  kUnfinished = 7,  // not finished but resumable
  kBug = 70,        // an assertion failed
};

[[nodiscard]] constexpr ExitCode exit_code_of(const Error& error) noexcept {
  switch (error.code) {
    case ErrorCode::usage:
    case ErrorCode::unsupported:
    case ErrorCode::call: return kUsage;
    case ErrorCode::input: return kInput;
    case ErrorCode::held:
    case ErrorCode::cancelled: return kUnfinished;
    case ErrorCode::io:
    case ErrorCode::journal:
    case ErrorCode::repository:
    case ErrorCode::obstructed:
    case ErrorCode::locked: return kStorage;
  }
  return kBug;
}

}  // namespace pawl::tool
