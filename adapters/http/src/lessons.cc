#include "lessons.h"

#include <algorithm>

#include "transfer.h"

namespace pawl::http {

using std::chrono::milliseconds;

bool paces(const Options& options) noexcept { return options.rate.count > 0 || options.rate_tokens.count > 0; }

Attempt attempt_of(const Transfer& transfer, const Call& call, Failure failure,
                   std::chrono::steady_clock::time_point now) {
  return {.number = call.tries + 1,
          .failure = failure,
          .status = failure == Failure::none ? transfer.status() : 0,
          .retry_after = transfer.retry_after(),
          .should_retry = transfer.should_retry(),
          .left = transfer.left(),
          .elapsed = std::chrono::ceil<milliseconds>(now - call.begun)};
}

Lesson lesson_of(const Attempt& attempt, std::chrono::steady_clock::time_point begun, const LimitHeaders& limits,
                 std::optional<std::uint64_t> tokens_used) {
  Lesson lesson{.verdict = verdict_of(attempt), .begun = begun, .wait = attempt.retry_after};
  if (attempt.failure != Failure::none) {
    using Heard = Lesson::Heard;
    lesson.heard = attempt.failure == Failure::dns_failed        ? Heard::no_such_name
                   : attempt.failure == Failure::look_up_timeout ? Heard::no_name_in_time
                                                                 : Heard::no_answer;
    return lesson;
  }
  lesson.requests = limits.requests();
  lesson.tokens = limits.tokens();
  if (lesson.verdict == Verdict::served && tokens_used) lesson.tokens_used = static_cast<double>(*tokens_used);
  return lesson;
}

LineRules line_rules(const Options& options) {
  constexpr milliseconds kProbeDelayMax = std::chrono::seconds(30);
  return {.host_max = options.parallel_max_host,
          .lane = {.rate = options.rate,
                   .rate_tokens = options.rate_tokens,
                   .parallel_max = options.parallel_max,
                   .concurrency = options.concurrency},
          .breaker = {.failures_max = options.breaker_failures,
                      .delay = options.retry_delay,
                      .delay_max = std::min(options.retry_delay_max, kProbeDelayMax)},
          .retry_share = options.retry_share};
}

}  // namespace pawl::http
