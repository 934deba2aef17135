// From what the options say to the rules that lines and lanes go by, and from how an attempt ended to what they learn.
// Pure functions.
#pragma once

#include <chrono>
#include <string_view>

#include <pawl/http.h>

#include "limit_headers.h"
#include "retry.h"
#include "wait_line.h"

namespace pawl::http {

/// Calls leave at certain times, whether or not there is a place for them.
[[nodiscard]] bool paces(const Options& options) noexcept;

[[nodiscard]] LineRules line_rules(const Options& options);

/// Tokens that a call is expected to use; 0 where they are not counted.
[[nodiscard]] double expected_tokens(const Options& options, const Request& request, std::uint64_t answer_tokens);

/// `metered_body`: of the answer; empty where tokens are not counted.
[[nodiscard]] Lesson lesson_of(const Attempt& attempt, std::chrono::steady_clock::time_point begun,
                               const LimitHeaders& limits, std::string_view metered_body);

}  // namespace pawl::http
