// Audit of a journal folder: reads every segment to its end, also behind damage, and says what is wrong and where.
//
// Recovery (journal.h) stops at the first damage, because nothing may be called on a guess; this goes on, so that a
// person learns all that is touched. Changes nothing. May run beside a writer: the tail being written then looks torn,
// and a segment may go or come back under a new number while it is read; audit again, and believe what stays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/journal.h>
#include <pawl/task.h>

namespace pawl::journal {

/// Bytes of a segment that were durable once and are not what was written.
struct Damage {
  std::filesystem::path segment;
  std::uint64_t offset = 0;
  std::string what;            // one sentence for a person
  std::optional<TaskId> task;  // whose record it is, if its header can be read
};

/// Numbers that lie between segments of the folder but have none. Not wrong in itself: a segment goes as soon as its
/// tasks are committed. It is if the branch lacks tasks that must have been there, which the caller finds out.
struct MissingSegments {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

struct AuditedTask {
  TaskId task_id;
  std::uint64_t segment = 0;
  bool answered = false;
};

struct Audit {
  Left left;  // as inspect() counts, but for damaged records, which do not count
  std::uint64_t segments = 0;
  std::uint64_t first_segment = 0;  // 0: none
  std::uint64_t last_segment = 0;
  std::vector<Damage> damage;
  std::vector<MissingSegments> missing;
  std::vector<AuditedTask> tasks;  // by task id
};

/// A folder that is missing holds nothing. Memory: 32 bytes per task and answer. Errors: io (the folder cannot be
/// read), unsupported (a segment of a newer format).
[[nodiscard]] PAWL_API Result<Audit> audit(const std::filesystem::path& folder);

}  // namespace pawl::journal
