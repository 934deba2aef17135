// The subject line of a commit that holds one result.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <pawl/task.h>

namespace pawl::git {

/// Columns (code points) a subject has at most; names are shortened with "…" to keep to it.
constexpr std::size_t kSubjectColumns = 100;

/// Replaces `subject` by "STREAM ID: 200 in 1.24 s" or "STREAM ID: connect_failed after 5 attempts". One line of
/// valid UTF-8: what is neither (control characters, other bytes, line separators) becomes '?'.
void write_subject(const Task& task, std::string& subject);

/// Appends `text` made printable in the same way, shortened with "…" to `columns`; returns the columns used.
std::size_t append_shortened(std::string& out, std::string_view text, std::size_t columns);

}  // namespace pawl::git
