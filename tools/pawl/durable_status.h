// What a repository knows of a run that is no longer live: from git and the journal alone.
#pragma once

#include <string>

#include <pawl/git.h>
#include <pawl/journal.h>
#include <pawl/observe.h>

#include "options.h"

namespace pawl::tool {

struct DurableStatus {
  observe::RunView view;       // as of a live run: committed, failed, unfinished, in_doubt, errors, note; phase done
  journal::Left journal;       // as it lies there, with tasks that the branch has, too
  std::uint64_t answered = 0;  // of view.status.unfinished: their answers are saved
  bool counts_records = true;  // layout raw keeps none
  bool at_work = false;        // a run is starting or ending
};

/// Reads every record of the branch. `repo` is named in what to do next; `last` are the options of the last run.
/// Errors: repository, io, journal, unsupported.
[[nodiscard]] Result<DurableStatus> durable_status(git::Repository& repository, const std::string& repo,
                                                   const RunOptions& last);

/// While a process is at work that does not answer yet, or no more: what lies in the journal, which is being written,
/// and nothing else. Errors: io, journal, unsupported.
[[nodiscard]] Result<DurableStatus> journal_status(const git::Repository& repository);

/// For a person; lines with a line feed each. Pure.
[[nodiscard]] std::string to_text(const DurableStatus& status, const std::string& repo, const std::string& branch);
/// The fields of a live run, "live":false and "journal". Pure.
[[nodiscard]] std::string to_json(const DurableStatus& status);

}  // namespace pawl::tool
