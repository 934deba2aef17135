// From what the options say to the rules that lines and lanes go by, and from how an attempt ended to what they learn.
// Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <pawl/http.h>

#include "limit_headers.h"
#include "retry.h"
#include "wait_line.h"

namespace pawl::http {

class Transfer;

/// Calls leave at certain times, whether or not there is a place for them.
[[nodiscard]] bool paces(const Options& options) noexcept;

[[nodiscard]] LineRules line_rules(const Options& options);

/// How the attempt that this transfer made ended.
[[nodiscard]] Attempt attempt_of(const Transfer& transfer, const Call& call, Failure failure,
                                 std::chrono::steady_clock::time_point now);

/// `tokens_used`: what the answer says; nothing where tokens are not paced.
[[nodiscard]] Lesson lesson_of(const Attempt& attempt, std::chrono::steady_clock::time_point begun,
                               const LimitHeaders& limits, std::optional<std::uint64_t> tokens_used);

}  // namespace pawl::http
