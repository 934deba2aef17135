#include "retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

namespace pawl::http {

using std::chrono::milliseconds;

namespace {

// Larger wishes are cut here, well before a millisecond count could overflow.
constexpr std::int64_t kSecondsMax = 366LL * 24 * 3600;

bool worth_retrying(const Attempt& attempt) noexcept {
  if (attempt.failure != Failure::none) return transient(attempt.failure);
  if (attempt.status < 400) return false;
  return attempt.should_retry.value_or(transient_status(attempt.status));
}

milliseconds back_off_bound(const RetryPolicy& policy, std::uint32_t attempt) noexcept {
  milliseconds bound = policy.delay;
  for (std::uint32_t i = 1; i < attempt && bound < policy.delay_max && bound.count() > 0; ++i) bound *= 2;
  return std::min(bound, policy.delay_max);
}

milliseconds share_of(milliseconds bound, double random) noexcept {
  return milliseconds(static_cast<std::int64_t>(std::floor(static_cast<double>(bound.count()) * random)));
}

}  // namespace

bool transient_status(int status) noexcept {
  switch (status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
    case 522:
    case 524: return true;
    default: return false;
  }
}

bool outcome_known(const Attempt& attempt) noexcept {
  if (!attempt.left) return true;
  return attempt.failure == Failure::none && attempt.status != 502 && attempt.status != 504 && attempt.status != 524;
}

Verdict verdict_of(const Attempt& attempt) noexcept {
  if (attempt.failure != Failure::none) return transient(attempt.failure) ? Verdict::broken : Verdict::nothing;
  if (attempt.status == 429 || (attempt.status == 503 && attempt.retry_after)) return Verdict::refused;
  if (attempt.status >= 500 && transient_status(attempt.status)) return Verdict::broken;
  return attempt.status == 408 ? Verdict::nothing : Verdict::served;
}

std::optional<milliseconds> retry_delay(const RetryPolicy& policy, const Attempt& attempt, double random) noexcept {
  if (attempt.number > policy.retry_max || !worth_retrying(attempt)) return std::nullopt;
  const double share = waits_for_lane(attempt) ? 0 : random;
  milliseconds delay = share_of(back_off_bound(policy, attempt.number + attempt.refusals), share);
  if (attempt.retry_after) {
    const milliseconds wish = std::clamp(*attempt.retry_after, milliseconds(0), kRetryAfterMax);
    // A little later than asked, each at another time: those who were refused together would return together.
    const milliseconds spread = share_of(std::min(wish / 4, policy.delay), share);
    delay = std::max(delay, wish + spread);
  }
  if (policy.time_max.count() > 0 && attempt.elapsed + delay > policy.time_max) return std::nullopt;
  return delay;
}

std::optional<milliseconds> parse_retry_after(std::string_view value, std::chrono::system_clock::time_point now) {
  if (value.empty()) return std::nullopt;
  if (std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error != std::errc{}) seconds = kSecondsMax;
    return std::chrono::seconds(std::min(seconds, kSecondsMax));
  }
  // A date begins with the name of a day; without this, curl_getdate() would read numbers such as "-5" as dates.
  if (value.front() < 'A' || value.front() > 'z') return std::nullopt;
  const time_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  const auto wait = std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::from_time_t(date) - now);
  return std::clamp(wait, milliseconds(0), milliseconds(std::chrono::seconds(kSecondsMax)));
}

std::optional<milliseconds> parse_retry_after_ms(std::string_view value) noexcept {
  double count = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
  if (error != std::errc{} || end != value.data() + value.size() || !std::isfinite(count) || count < 0) {
    return std::nullopt;
  }
  return milliseconds(static_cast<std::int64_t>(std::ceil(std::min(count, 1000.0 * kSecondsMax))));
}

}  // namespace pawl::http
