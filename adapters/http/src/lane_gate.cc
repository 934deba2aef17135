#include "lane_gate.h"

#include <algorithm>

namespace pawl::http {

using std::chrono::milliseconds;

namespace {

milliseconds believed(milliseconds wait) noexcept { return std::clamp(wait, milliseconds(0), kRetryAfterMax); }

}  // namespace

LaneGate::LaneGate(const LaneRules& rules)
    : parallel_max_(rules.parallel_max), rate_(rules.rate), rate_tokens_(rules.rate_tokens) {
  if (rules.concurrency == Concurrency::adaptive) adaptive_.emplace(rules.parallel_max);
}

unsigned LaneGate::limit() const noexcept {
  unsigned limit = 0;
  if (window_ < parallel_max_) limit = static_cast<unsigned>(window_);
  if (adaptive_) limit = limit == 0 ? adaptive_->limit() : std::min(limit, adaptive_->limit());
  return limit;
}

LaneGate::Time LaneGate::opens_at(unsigned active, double tokens, Time now) const noexcept {
  if (active + 1 > window_ || (adaptive_ && active >= adaptive_->limit())) return kWhenOneEnds;
  Time at = std::max(now, paused_until_);
  if (allowance_ <= 0) {
    if (now < quota_until_) {
      at = std::max(at, quota_until_);
    } else if (active > 0) {
      return kWhenOneEnds;  // its answer says how much there is now
    }
  }
  if (rate_.limited()) at = std::max(at, rate_.ready_at(1, now));
  if (rate_tokens_.limited()) at = std::max(at, rate_tokens_.ready_at(tokens, now));
  return at;
}

std::uint64_t LaneGate::started(double tokens, Time now) noexcept {
  if (allowance_ != kNoQuota) {
    if (now >= quota_until_ && quota_until_ != Time{}) {
      allowance_ = quota_limit_;  // a new window of the server's
      quota_until_ = {};
    }
    if (allowance_ != kNoQuota) --allowance_;
  }
  rate_.take(1, now);
  rate_tokens_.take(tokens, now);
  return ++started_;
}

void LaneGate::withdrawn(double tokens, Time now) noexcept {
  if (allowance_ != kNoQuota) ++allowance_;
  rate_.correct(-1, now);
  rate_tokens_.correct(-tokens, now);
}

bool LaneGate::paused(Time now) const noexcept { return now < paused_until_ || (allowance_ < 0 && now < quota_until_); }

LaneGate::Counts LaneGate::ended(const Lesson& lesson, Time now) noexcept {
  learn_quota(lesson, now);
  if (lesson.tokens_used) rate_tokens_.correct(*lesson.tokens_used - lesson.tokens_taken, now);
  if (adaptive_ && lesson.verdict != Verdict::nothing) {
    const bool served = lesson.verdict == Verdict::served;
    adaptive_->ended({.how = served ? Adaptive::Ended::answered : Adaptive::Ended::overloaded,
                      .began = lesson.begun,
                      .in_flight = lesson.active},
                     now);
  }
  if (lesson.verdict == Verdict::served) serve(lesson);
  if (lesson.verdict != Verdict::refused) return Counts::yes;
  const bool old_news = lesson.wait && lesson.let_in <= refused_at_;
  const bool others_served = served_ > lesson.served_before || (lesson.wait && lesson.taken_on > 0);
  refuse(lesson, now);
  return old_news || (others_served && lesson.refusals < kFreeRefusalsMax) ? Counts::no : Counts::yes;
}

void LaneGate::learn_quota(const Lesson& lesson, Time now) noexcept {
  if (lesson.tokens.known() && *lesson.tokens.remaining == 0) {
    paused_until_ = std::max(paused_until_, now + believed(*lesson.tokens.reset));
  }
  if (!lesson.requests.known()) {
    if (now >= quota_until_) allowance_ = kNoQuota;  // what was known is old, and the server says no more
    return;
  }
  if (lesson.number < quota_number_) return;
  quota_number_ = lesson.number;
  // Those that were let in after this one come on top of what the server had counted.
  constexpr std::uint64_t kMost = 1ull << 52;
  const auto since = static_cast<std::int64_t>(started_ - lesson.number);
  allowance_ = static_cast<std::int64_t>(std::min(*lesson.requests.remaining, kMost)) - since;
  quota_limit_ = kNoQuota;
  if (lesson.requests.limit)
    quota_limit_ = static_cast<std::int64_t>(std::clamp<std::uint64_t>(*lesson.requests.limit, 1, kMost));
  quota_until_ = now + believed(*lesson.requests.reset);
}

void LaneGate::refuse(const Lesson& lesson, Time now) noexcept {
  if (lesson.wait) paused_until_ = std::max(paused_until_, now + believed(*lesson.wait));
  if (lesson.let_in <= refused_at_) return;
  refused_at_ = now;
  threshold_ = std::max<double>(kGentleStart, lesson.active / 2.0);
  window_ = lesson.wait ? kGentleStart : threshold_;
}

void LaneGate::serve(const Lesson& lesson) noexcept {
  ++served_;
  if (window_ >= parallel_max_) return;
  if (2.0 * lesson.active < window_) return;  // what is not used is not tried
  window_ += window_ < threshold_ ? 1 : 1 / window_;
  if (window_ >= parallel_max_) window_ = kNoWindow;
}

void LaneGate::start_gently() noexcept {
  threshold_ = window_ < parallel_max_ ? std::max<double>(window_, kGentleStart) : parallel_max_;
  window_ = kGentleStart;
  if (window_ >= parallel_max_) window_ = kNoWindow;
}

void LaneGate::set_rules(const LaneRules& rules, Rates rates, Time now) noexcept {
  parallel_max_ = rules.parallel_max;
  if (window_ >= parallel_max_) window_ = kNoWindow;
  if (adaptive_) adaptive_->set_most(rules.parallel_max);
  if (rates == Rates::same) return;
  rate_ = RateBucket(rules.rate);
  rate_tokens_ = RateBucket(rules.rate_tokens);
  rate_.empty(now);
  rate_tokens_.empty(now);
}

LaneGate::Time LaneGate::quiet_until() const noexcept {
  Time until = paused_until_;
  if (allowance_ <= 0) until = std::max(until, quota_until_);
  return until;
}

}  // namespace pawl::http
