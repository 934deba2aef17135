// Whether and when to try again: pure functions of what happened, so that every rule is tested without a network.
//
// Back-off is exponential with full jitter (a uniform draw between nothing and the bound), because callers that failed
// together must not come back together. A server's own wish (Retry-After, retry-after-ms) is a lower bound. A refusal
// that used up no attempt has no back-off where the server named a time: then the call waits for its lane, in its turn.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "failure.h"

namespace pawl::http {

/// Longest Retry-After that is believed; what asks for more is asked again after it.
inline constexpr std::chrono::milliseconds kRetryAfterMax = std::chrono::minutes(10);

struct RetryPolicy {
  unsigned retry_max = 0;
  std::chrono::milliseconds delay{0};
  std::chrono::milliseconds delay_max{0};
  std::chrono::milliseconds time_max{0};  // 0: none
};

/// How one attempt ended.
struct Attempt {
  std::uint32_t number = 1;         // 1 for the first
  Failure failure = Failure::none;  // none: a whole response with `status`
  int status = 0;
  std::optional<std::chrono::milliseconds> retry_after{};  // the server's wish
  std::optional<bool> should_retry{};                      // the server's x-should-retry
  bool free = false;                     // it was refused, and that does not count: its lane says when it may go on
  std::uint32_t refusals = 0;            // in a row that did not count
  bool left = true;                      // the request may have left this machine
  std::chrono::milliseconds elapsed{0};  // since the first attempt began
};

/// It goes back to the line at once: its lane holds it until the time that the server named, and orders who goes first.
[[nodiscard]] inline bool waits_for_lane(const Attempt& attempt) noexcept {
  return attempt.free && attempt.retry_after.has_value();
}

/// nullopt: it is over, record it. Else how long to wait before the next attempt. `random` in [0, 1).
[[nodiscard]] std::optional<std::chrono::milliseconds> retry_delay(const RetryPolicy& policy, const Attempt& attempt,
                                                                   double random) noexcept;

/// Whether the attempt has told what became of the request: it has not left, or a server answered that speaks for
/// itself. False: it may have had an effect (a connection that broke, a time-out, a gateway that says it knows no
/// more).
[[nodiscard]] bool outcome_known(const Attempt& attempt) noexcept;

/// What an attempt says of the server rather than of the request.
enum class Verdict : std::uint8_t {
  served,   // the server works
  refused,  // it asks for less: 429, or 503 with a time to wait
  broken,   // it does not: a connection that failed, a time-out, a 5xx that is worth retrying
  nothing,
};
[[nodiscard]] Verdict verdict_of(const Attempt& attempt) noexcept;

/// Status codes of servers that are overloaded or half-way down.
[[nodiscard]] bool transient_status(int status) noexcept;

/// Retry-After (RFC 9110 section 10.2.3): seconds or a date, which is 0 when past. nullopt: neither.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value,
                                                                         std::chrono::system_clock::time_point now);
/// retry-after-ms: milliseconds, perhaps with a fraction. nullopt: not a number, or negative.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_retry_after_ms(std::string_view value) noexcept;

}  // namespace pawl::http
