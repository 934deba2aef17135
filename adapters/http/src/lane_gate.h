// Whether the next call of a lane may leave, and if not, when: everything that is known of one model at one origin.
//
// It knows the rates that were asked for, what the server said of its limits, pauses that it asked for, and how many
// calls at once it has borne. What one call learns holds for all: after a refusal (429, 503 with Retry-After) the lane
// stands still until the time the server named, then begins with a few calls and doubles with each round of answers up
// to half of what it had in flight, and goes on one by one from there (RFC 5681 has the idea, for packets). A refusal
// of calls that were on their way when the lane learnt of it is old news: it counts not for the lane, and if the server
// named a time not against the call. Nor does a refusal count against a call while the server serves others of the
// lane: it says how much there is to share, not that there is nothing to be had. But of many in a row some do, for a
// call may be refused for what it is, and a server that serves nobody lets every call come to its end.
//
// A pure function of what it was told and of the time. It counts no calls itself: the wait line does.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include <pawl/http.h>

#include "adaptive.h"
#include "limit_headers.h"
#include "rate_bucket.h"
#include "retry.h"

namespace pawl::http {

/// What all lanes of a stage go by.
struct LaneRules {
  Rate rate{};         // calls
  Rate rate_tokens{};  // of requests and answers
  unsigned parallel_max = 1;
  Concurrency concurrency = Concurrency::fixed;
};

/// What the end of a call teaches.
struct Lesson {
  Verdict verdict = Verdict::nothing;
  enum class Heard : std::uint8_t { answer, no_answer, no_such_name, no_name_in_time };
  Heard heard = Heard::answer;
  std::chrono::steady_clock::time_point let_in{};   // when it left the line
  std::chrono::steady_clock::time_point begun{};    // when it went on the wire
  std::uint64_t number = 0;                         // from LaneGate::started()
  unsigned active = 1;                              // calls of the lane in flight, itself included
  std::optional<std::chrono::milliseconds> wait{};  // the server's wish
  std::uint64_t served_before = 0;                  // LaneGate::served() when its attempt before this was let in
  unsigned taken_on = 0;                            // calls that are on the wire since before the last refusal
  unsigned refusals = 0;                            // of this call, in a row, that did not count
  Quota requests{}, tokens{};
  double tokens_taken = 0;              // when it was let in
  std::optional<double> tokens_used{};  // says the answer
};

class LaneGate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// As a time: when a call of the lane has ended.
  static constexpr Time kWhenOneEnds = Time::max();
  static constexpr unsigned kGentleStart = 2;
  /// So many refusals of one call in a row use up no attempt; the next one does.
  static constexpr unsigned kFreeRefusalsMax = 9;

  explicit LaneGate(const LaneRules& rules);

  /// When a call of so many tokens may leave, with `active` calls in flight: `now`, later, or kWhenOneEnds (then
  /// `active` is at least 1).
  [[nodiscard]] Time opens_at(unsigned active, double tokens, Time now) const noexcept;
  /// A call is let in, which opens_at() allowed. Its number.
  std::uint64_t started(double tokens, Time now) noexcept;
  /// A call that was let in has not left after all.
  void withdrawn(double tokens, Time now) noexcept;
  /// The server has asked for quiet since calls were let in that have not left yet.
  [[nodiscard]] bool paused(Time now) const noexcept;

  enum class Counts : std::uint8_t {
    yes,
    no,  // it was refused for what the lane had learnt already, or others were served: no attempt is used up
  };
  Counts ended(const Lesson& lesson, Time now) noexcept;
  /// The origin is back after a while: begin gently.
  void start_gently() noexcept;

  /// Other rules from now on, with what was learnt. New rates begin with nothing saved up.
  enum class Rates : std::uint8_t { same, fresh };
  void set_rules(const LaneRules& rules, Rates rates, Time now) noexcept;

  /// Calls that have been served, ever.
  [[nodiscard]] std::uint64_t served() const noexcept { return served_; }
  /// When calls leave matters: a rate is kept.
  [[nodiscard]] bool paces() const noexcept { return rate_.limited() || rate_tokens_.limited(); }
  /// Most calls at once as of now; 0: no bound of the lane's own.
  [[nodiscard]] unsigned limit() const noexcept;
  /// Until when nothing leaves for a reason that only time mends; in the past: there is none.
  [[nodiscard]] Time quiet_until() const noexcept;
  /// Until when the server has asked for quiet; in the past: it has not.
  [[nodiscard]] Time paused_until() const noexcept { return paused_until_; }

 private:
  static constexpr double kNoWindow = std::numeric_limits<double>::infinity();
  static constexpr std::int64_t kNoQuota = std::numeric_limits<std::int64_t>::max();

  void learn_quota(const Lesson& lesson, Time now) noexcept;
  void refuse(const Lesson& lesson, Time now) noexcept;
  void serve(const Lesson& lesson) noexcept;

  double parallel_max_;
  RateBucket rate_, rate_tokens_;
  std::uint64_t started_ = 0, served_ = 0;
  // The server's quota of calls.
  std::int64_t allowance_ = kNoQuota;  // calls that may still leave
  std::int64_t quota_limit_ = kNoQuota;
  Time quota_until_{};
  std::uint64_t quota_number_ = 0;  // of the call that it was learnt from
  // Pauses, and the slow start after them.
  Time paused_until_{};
  Time refused_at_{};
  double window_ = kNoWindow;  // most calls at once
  double threshold_ = 0;       // below it the window doubles with each round
  std::optional<Adaptive> adaptive_;
};

}  // namespace pawl::http
