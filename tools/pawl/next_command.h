// What a run says at its end: what to type next, in words that a shell takes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <pawl/observe.h>

#include "exit_code.h"
#include "options.h"
#include "session.h"

namespace pawl::tool {

/// Quoted for a shell if it must be.
[[nodiscard]] std::string shell_word(const std::string& word);

/// "1 task", "2 tasks".
[[nodiscard]] std::string counted(std::uint64_t count, std::string_view what);

/// "refs/heads/main": "main".
[[nodiscard]] std::string_view short_branch(std::string_view full);

struct End {
  Mode mode;
  ExitCode code;
  bool complete;            // the inputs were read to their end
  std::uint64_t held_back;  // tasks that were not taken, because their streams are held
};
/// The command, with a remark for a person behind it where there is something to remark.
[[nodiscard]] std::string next_command(const RunOptions& options, const End& end, const observe::RunView& last);

}  // namespace pawl::tool
