#include "run_notes.h"

#include <fmt/format.h>

namespace pawl::tool {

Result<void> note_begin(const RunOptions& options, git::Repository& repository, std::uint64_t run) {
  if (!options.run_notes) return {};
  return git::add_tip_note(repository, fmt::format("run {} began after this commit", git::run_name(run)));
}

Result<void> note_end(const RunOptions& options, git::Repository& repository, std::uint64_t run, ExitCode code,
                      const observe::RunView& last) {
  if (!options.run_notes) return {};
  return git::add_tip_note(
      repository,
      fmt::format(
          "run {} ended with this commit after {:.1f} s: {} committed, {} of them failures; {} left; exit code {}",
          git::run_name(run), static_cast<double>(last.elapsed.count()) / 1000, last.status.committed,
          last.status.failed, last.status.unfinished, static_cast<int>(code)));
}

}  // namespace pawl::tool
