// Exit codes, as users meet them.
#pragma once

#include <array>

#include <pawl/error.h>

namespace pawl::tool {

enum ExitCode : int {
  kAllDone = 0,
  kSomeFailed = 1,
  kUsage = 2,
  kStorage = 3,
  kInput = 4,
  kUnfinished = 7,
  kBug = 70,
};

struct ExitCodeMeaning {
  ExitCode code;
  const char* text;  // for people
};
/// All of them, rising.
inline constexpr std::array kExitCodes = {
    ExitCodeMeaning{kAllDone, "all is committed, and every answer was a 2xx"},
    ExitCodeMeaning{kSomeFailed, "some tasks failed (recorded, now or by an earlier run), or lines were skipped"},
    ExitCodeMeaning{kUsage, "wrong usage or configuration"},
    ExitCodeMeaning{kStorage, "the repository, the journal or the disk failed; nothing is lost"},
    ExitCodeMeaning{kInput, "an input is unreadable or malformed"},
    ExitCodeMeaning{kUnfinished, "not finished, and pawl resume goes on: interrupted, held, or a budget is spent"},
    ExitCodeMeaning{kBug, "a bug: an assertion failed"},
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
