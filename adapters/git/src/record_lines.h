// From a record to lines: the batch output line of its result, and its request, from which the batch input line is
// made.
#pragma once

#include <string>
#include <string_view>

#include <pawl/task.h>

namespace pawl::git {

/// Replaces `out` by {"id", "custom_id", "response", "error"} of a record, on one line. False: not a record.
[[nodiscard]] bool render_output_line(std::string_view record, std::string& out);

/// Fills method, url, content_type, headers and body from a record. False: not a record of pawl's making.
[[nodiscard]] bool read_stored_request(std::string_view record, Request& request);

}  // namespace pawl::git
