#include "next_command.h"

#include <fmt/format.h>

#include "stages.h"

namespace pawl::tool {

std::string shell_word(const std::string& word) {
  if (!word.empty() &&
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@") ==
          std::string::npos)
    return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string counted(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string_view short_branch(std::string_view full) {
  constexpr std::string_view kPrefix = "refs/heads/";
  return full.starts_with(kPrefix) ? full.substr(kPrefix.size()) : full;
}

std::string next_command(const RunOptions& options, const End& end, const observe::RunView& last) {
  const std::string repo = shell_word(options.repo);
  if (end.code == kInput) return "the same command again, once the input is mended: what is committed is skipped";
  if (end.code == kUnfinished || end.code == kStorage) {
    std::string next = "pawl resume " + repo;
    if (last.held != 0 && last.in_doubt != 0 && options.on_unknown == "hold") next += " --on-unknown retry";
    if (end.held_back != 0)
      next += fmt::format("   # then the same command again: {} tasks of held streams were not taken", end.held_back);
    else if (!end.complete && end.mode == Mode::run)
      next += "   # then the same command again: the input was not read to its end";
    return next;
  }
  if ((last.status.failed == 0 && last.skipped_failed == 0) || layout_of(options) == git::Layout::raw)
    return "git -C " + repo + " log --stat";
  return "pawl run --failed " + repo + "   # failures are recorded; this runs them again";
}

}  // namespace pawl::tool
