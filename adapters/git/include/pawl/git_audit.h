// Audit of a branch: whether its whole history keeps what pawl promises of it. Reads only; beside a live run, too.
//
// It walks the first-parent history from its root to the tip and reads every record that a commit brought, so it needs
// no trust in caches, and finds what a look at the tip cannot: a record that was there and is gone, a commit that has
// lost a file or its place. pawl's own commits carry trailers (run, number in the run, number of results) for that.
//
// When not to use it: for damage inside git's objects, which `git fsck` finds; here an object that cannot be read is
// one fault and the walk goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/git.h>

namespace pawl::git {

enum class FindingKind : std::uint8_t {
  unreadable,    // an object is missing or damaged
  not_a_record,  // a file of pawl's does not parse
  misplaced,     // a record lies where its content does not belong
  removed,       // a record was there, and no later one of its key came
  count,         // a commit holds more or fewer results than it says, or its neighbour is missing
  order,         // within a stream, a commit goes back behind an earlier one
  twice,         // a key or position is taken twice, or a record was replaced by one that is not younger
  cache,         // the cache of keys says something else than the branch
  edited,        // note: a commit of another changed a record, and it is still one
  gap,           // note: a position of a stream was never committed
  history,       // note: the history is not all there
};
[[nodiscard]] PAWL_API std::string_view name_of(FindingKind kind) noexcept;
/// Whether something is wrong, or only worth knowing.
[[nodiscard]] PAWL_API bool is_fault(FindingKind kind) noexcept;

struct Finding {
  FindingKind kind = FindingKind::unreadable;
  std::string commit;  // 40 hex digits; empty: concerns no single commit
  std::string path;    // on the branch; empty: concerns no single file
  std::string what;    // one sentence for a person
};

struct AuditOptions {
  std::function<void(const Finding&)> on_finding;  // in no special order
  std::function<void(TaskId)> on_task;             // every record that was ever committed; may be empty
};

struct AuditCounts {
  std::uint64_t commits = 0;
  std::uint64_t own_commits = 0;  // made by pawl
  std::uint64_t raw_commits = 0;  // of these in layout raw
  std::uint64_t records = 0;      // at the tip
  std::uint64_t failures = 0;     // of these
  std::uint64_t streams = 0;
  bool whole_history = true;
};

/// Audits the branch of `repository` as its tip is now. About 100 bytes of memory for each key.
/// Errors: repository (a commit or folder cannot be read, so the walk cannot go on).
[[nodiscard]] PAWL_API Result<AuditCounts> audit(Repository& repository, const AuditOptions& options);

}  // namespace pawl::git
