// How a task went, read from its record: what a report asks, and nothing else does.
#pragma once

#include <string_view>

#include <pawl/git_records.h>

namespace pawl::git {

/// Fills what is not the task's name: answer or error, attempts and times. What a record does not say, or says in a way
/// that is not pawl's, is left at its default. False: not JSON.
[[nodiscard]] bool read_stored_result(std::string_view record, StoredResult& result);

}  // namespace pawl::git
