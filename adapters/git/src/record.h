// A record: the file a task becomes in the record layout. The OpenAI Batch output object, with the request beside it.
//
// Bytes are decided by the task alone: the same task gives the same record. One top-level field a line, so that
// `git diff` shows what changed. What a field that is text holds:
// - text that is not UTF-8 is base64, and a field beside it, named like it with "_encoding", says so;
// - a body that is a JSON object, array, number or boolean stands as it came, without the white space around it; any
//   other body is a string, so that a string is always the body's own text. A request without a body has null.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <pawl/error.h>
#include <pawl/task.h>

namespace pawl::git {

/// Replaces `out` by the record. REQUIRES: outcome.kind is not `none`.
void render_record(const Request& request, const Outcome& outcome, std::string& out);

/// What the rest of pawl asks of a record.
struct ParsedRecord {
  TaskId task_id;
  std::string custom_id;
  std::string stream;
  std::uint64_t position = 0;
  std::array<std::uint8_t, 16> digest{};
  bool success = false;  // a 2xx answer
};

/// Reads a record, also one that a person has reformatted or added fields to. Bodies are passed over.
/// Errors: repository (not JSON, a field missing or of the wrong type; says which).
[[nodiscard]] Result<ParsedRecord> parse_record(std::string_view json);

}  // namespace pawl::git
