// The subject line of a commit that holds one result.
#pragma once

#include <string>

#include <pawl/task.h>

namespace pawl::git {

/// Columns (code points) a subject has at most; names are shortened with "…" to keep to it.
constexpr std::size_t kSubjectColumns = 100;

/// Replaces `subject` by "STREAM ID: 200 in 1.24 s" or "STREAM ID: connect_failed after 5 attempts". One line of
/// valid UTF-8: what is neither (control characters, other bytes, line separators) becomes '?'.
void write_subject(const Task& task, std::string& subject);

}  // namespace pawl::git
