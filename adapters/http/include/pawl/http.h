// The call stage over HTTP: overlaps all waiting calls on one thread, retries what is worth retrying, and records
// what came back.
//
// Every attempt of a task carries the same `Idempotency-Key`, also after a crash and in another process. Secrets given
// in Options reach only the origin (scheme, host, port) a task names, and no outcome, error, statistic or log.
//
// When not to use it: for protocols other than http and https, for responses that must be streamed (each is held in
// memory whole, bounded by `response_bytes_max`), and for a handful of calls where one blocking handle will do.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/latency.h>
#include <pawl/stages.h>

namespace pawl::http {

enum class Version : std::uint8_t {
  http1_1,
  http2,                  // over TLS, else HTTP/1.1; needs libcurl 8 or later
  http2_prior_knowledge,  // also without TLS; needs libcurl 8 or later
};

enum class Redirects : std::uint8_t {
  refuse,  // a 3xx response is the outcome
  follow,  // at most 10, within one attempt; another origin gets neither Options::headers nor credentials
};

/// What becomes of a recovered task that is in doubt (Task::in_doubt).
enum class OnUnknown : std::uint8_t {
  retry,  // called again, with the same Idempotency-Key
  hold,   // given up with ErrorCode::held
  fail,   // an outcome: failed, with error code "unknown_outcome"
};

/// What becomes of a task whose last attempt brought no 2xx answer.
enum class OnFailure : std::uint8_t {
  record,  // that is its outcome
  hold,    // given up with ErrorCode::held
};

/// A budget has run out: no new call begins.
struct Spent {
  enum class What : std::uint8_t { calls, tokens };
  What what = What::calls;
  std::uint64_t calls = 0;   // attempts that left this machine and have ended
  std::uint64_t tokens = 0;  // counted only with a budget for them
};

/// Something that a log is kept for.
struct Event {
  enum class What : std::uint8_t { lane_paused, breaker_opened, breaker_closed };
  What what = What::lane_paused;
  std::string_view text;  // one sentence for a person; only valid while it is told
};

/// An attempt that is followed by another one.
struct RetryNote {
  const Task& task;                    // only valid while it is told
  std::string_view host;               // "api.example.com:443"
  std::string_view reason;             // "status 503", "rate limited", or an error code of those of CallStage
  std::chrono::milliseconds delay{0};  // until the next attempt, at the earliest
};

/// Whether calls of one stream may be on the wire together. Results are committed in order either way.
enum class StreamCalls : std::uint8_t {
  overlap,  // as many as there is room for
  serial,   // one at a time, in the order the stage is given them: the next begins, retries included, when the one
            // before has its outcome. Behind a task that is given up with ErrorCode::held the stream's later ones are
            // given up with it too, uncalled: what must come one after the other must not skip one.
};

/// So much in a while, as a token bucket: it begins full, and what is not used adds up to the burst.
struct Rate {
  double count = 0;                     // 0: no bound; else up to 1e12
  std::chrono::milliseconds per{1000};  // 1 s … 24 h
  double burst = 0;                     // most at once; 0: what comes in a second, at least 1
};

/// How many calls are in flight to a lane, within Options::parallel_max.
enum class Concurrency : std::uint8_t {
  fixed,     // as many as there are
  adaptive,  // as many as the server works on at once, found from its latency and followed
};

struct PAWL_API Options {
  unsigned parallel_max = 256;                        // 1 … 65,536 requests on the wire
  unsigned parallel_max_host = 0;                     // the same for one origin; 0: no limit of its own
  unsigned call_threads = 1;                          // 1 … 64, at most parallel_max and parallel_max_host: event loops
                                                      // that share the calls and every limit among them evenly
  unsigned retry_max = 5;                             // 0 … 1,000 attempts after the first
  std::chrono::milliseconds retry_delay{1000};        // 0 … retry_delay_max: base of the exponential back-off
  std::chrono::milliseconds retry_delay_max{60'000};  // … 24 h: longest back-off; Retry-After may ask for more
  std::chrono::milliseconds retry_time_max{0};  // no retry begins later than this after the first attempt; 0: none
  std::chrono::milliseconds time_max{600'000};  // 1 ms … 24 h: one attempt, redirects included
  std::chrono::milliseconds connect_timeout{10'000};  // 1 ms … 24 h: name look-up, connection and TLS handshake
  std::chrono::milliseconds first_byte_time_max{0};   // … 24 h: from the connection to the response's first byte,
                                                      // sending the request included; 0: only time_max
  std::chrono::milliseconds idle_time_max{0};         // … 24 h: between two bytes of the response; 0: only time_max
  Rate rate;                                          // calls of each lane (see CallStage)
  Rate rate_tokens;                                   // tokens of each lane
  std::string tokens_by;  // JSON pointer to the tokens a call will use, in its body; empty: a fourth of the
                          // body's bytes and max_completion_tokens, max_output_tokens or max_tokens, times n
  Concurrency concurrency = Concurrency::fixed;
  unsigned breaker_failures = 20;  // in a row that show that an origin is down; 0: it is never held to be
  double retry_share = 0.1;        // 0 … 1 of the calls to an origin may be retries while most of them fail
  std::uint64_t response_bytes_max = 64ull << 20;  // ≥ 1: body after content-coding is undone
  std::vector<std::string> headers;                // "Name: value" for every request; a task's own come first
  std::string bearer;                              // secret; sent as `Authorization: Bearer …`; empty: none
  std::vector<std::string> secrets;                // that `headers` hold: where an answer repeats one of these or the
                                                   // bearer, or a message a proxy's credentials, "[secret]" is put;
                                                   // in answers only secrets of 8 bytes or more
  std::string proxy;                               // URL; empty: http_proxy, https_proxy, all_proxy, no_proxy
  std::string unix_socket;                         // path of a socket to connect to, whatever host a URL names; no
                                                   // proxy then
  bool compressed = true;                          // ask for gzip or deflate; undone before the outcome
  std::vector<std::string> connect_to;             // "HOST:PORT:TO_HOST:TO_PORT", as curl's --connect-to: where to
                                                   // connect for a URL's host and port instead
  std::string ca_file;                             // PEM; empty: CURL_CA_BUNDLE, SSL_CERT_FILE, the system's own
  Version version = Version::http1_1;
  Redirects redirects = Redirects::refuse;
  OnUnknown on_unknown = OnUnknown::retry;
  OnFailure on_failure = OnFailure::record;
  StreamCalls stream_calls = StreamCalls::overlap;
  std::uint64_t budget_calls = 0;   // attempts that leave, never more; 0: no bound. When it or the next is spent and
                                    // another call would begin, the stage does as after cancel(Cancel::waiting).
  std::uint64_t budget_tokens = 0;  // 0: no bound. What is on the wire when it is spent comes on top
  std::string budget_tokens_at = "/usage/total_tokens";  // JSON pointer (RFC 6901) to an answer's tokens
  std::function<void(const Spent&)> on_spent;            // told once, on the stage's thread; must not wait
  std::function<void(const Task&)> on_tokens_unknown;  // told of the first 2xx answer without a number there; as above
  std::function<void(const Task&)> on_held_failure;  // told of each failure that is held, with the task's error; on the
                                                     // stage's thread, must not wait
  std::function<void(const RetryNote&)> on_retry;    // told of each attempt that is followed by another; on the stage's
                                                     // threads (several at once with call_threads), must not wait
  std::function<void(const Event&)> on_event;        // as on_retry
  std::string user_agent;                            // empty: "pawl/<version>"
  std::uint64_t seed = 0;                            // of the back-off's jitter; 0: from the system

  /// Errors: usage (names the option and says why), unsupported (`version` with this libcurl).
  [[nodiscard]] Result<void> validate() const;
};

/// Puts "[secret]" wherever a text for a person repeats one of the credentials that `options` or the environment's
/// proxies hold, or has something where URLs have credentials. What it answers may be called by many threads at once.
[[nodiscard]] PAWL_API std::function<void(std::string&)> make_mask(const Options& options);

/// The Idempotency-Key that goes with every attempt of a task whose headers name none: 49 characters made of what is
/// asked for (Request::digest) and of the task's key (stream and id), so the same in every process.
[[nodiscard]] PAWL_API std::string idempotency_key(const Request& request);
/// Its own headers have one.
[[nodiscard]] PAWL_API bool has_idempotency_key(const Request& request) noexcept;

enum class BreakerState : std::uint8_t {
  closed,     // calls leave
  open,       // none does
  half_open,  // one asks whether the host is back
};
[[nodiscard]] PAWL_API std::string_view name_of(BreakerState state) noexcept;

/// A lane as it was a moment ago.
struct LaneStats {
  std::string origin;                           // "https://api.example.com:443"
  std::string model;                            // as its bodies spell it; empty: they name none
  std::uint64_t in_flight = 0;                  // calls on the wire
  std::uint64_t waiting = 0;                    // for their turn, a time or another attempt
  unsigned limit = 0;                           // calls at once; 0: no bound of its own
  std::chrono::milliseconds paused{0};          // for so long nothing leaves; 0: it is not paused
  BreakerState breaker = BreakerState::closed;  // its origin's
};

/// Monotonic counts since the stage was made, and how long attempts took.
struct Stats {
  std::uint64_t attempts_started = 0;
  std::uint64_t attempts_finished = 0;
  std::uint64_t attempts_sent = 0;       // of the finished: may have left this machine
  std::uint64_t tokens = 0;              // with a budget for them: the sum that answers told
  std::uint64_t retries = 0;             // attempts that were followed by a wait for another one
  std::uint64_t connections_opened = 0;  // sockets
  std::uint64_t connections_closed = 0;
  std::uint64_t bytes_received = 0;  // of bodies, content-coding undone
  Latency attempts;                  // how long they took, each by itself
  std::vector<LaneStats> lanes;  // at most kLaneStatsMax, those in use first; as they were when this was last asked for
  std::uint64_t lanes_held = 0;  // of them, those that are paused or whose host is down
  std::uint64_t events = 0;      // how often last_event has been set
  std::string last_event;        // what a person should know: "127.0.0.1:8080: connect_failed, next try in 3 s"
};

inline constexpr std::size_t kLaneStatsMax = 64;

/// What can be changed while calls run; what is absent stays as it is.
struct Changes {
  std::optional<bool> paused;            // true: no call leaves; those on their way finish
  std::optional<unsigned> parallel_max;  // as in Options; where it is lowered, calls beyond it finish
  std::optional<Rate> rate;              // as in Options; a new rate begins with nothing saved up
  std::optional<Rate> rate_tokens;
};

/// Calls go in lanes. A lane is an origin (scheme, host, port) and the `model` that a JSON body names, if it does. What
/// a server says of its limits (429, Retry-After, retry-after-ms, x-ratelimit-…, RateLimit) holds for the lane: it
/// pauses, for ten minutes at most whatever the server asks for, and then begins gently with its oldest calls; the
/// others wait in line. A refusal (429, or 503 with Retry-After) uses up no attempt of a call that was under way when
/// the lane learnt of the limit, or while the lane serves other calls, up to nine times in a row (unless `retry_max` is
/// 0). Other lanes go on.
///
/// An origin whose calls fail to connect or end with a 5xx `breaker_failures` times in a row is held to be down: its
/// tasks wait, one call at a time asks whether it is back, after `retry_delay` at first and each time after twice as
/// long (at most 30 s and `retry_delay_max`), and the first that is answered lets all go on, gently. This waiting ends
/// by `retry_time_max` alone, counted from a task's first attempt, or, for tasks without one, from when the host went
/// down. But of an origin that has never answered, each time it is asked in vain counts as an attempt of all that wait;
/// and a name that is not found there is no host that is down. Tasks that are given up without an attempt fail as
/// `host_down`, others as their last attempt did.
///
/// While more than half of an origin's calls fail, retries are at most `retry_share` of its calls in ten seconds, and
/// at least ten; who may not retry yet waits, and uses up no attempt by it.
///
/// Every live task comes back with an outcome: `answered` for any whole HTTP response that is not retried, else
/// `failed` with one of these error codes:
///   dns_failed, connect_failed, connection_reset, timeout, tls_failed, truncated, proxy_failed, out_of_memory (all
///   retried first);
///   certificate_invalid, tls_setup_failed, bad_response, response_too_large, too_many_redirects, bad_redirect,
///   bad_url, bad_request, proxy_refused, call_failed, host_down (never
///   retried).
/// A request that goes out on a kept connection and meets its end before anything of an answer is sent once more on a
/// new one, within the same attempt.
/// Retried too: status 408 429 500 502 503 504 522 524, unless x-should-retry says otherwise. cancel() gives tasks
/// back with ErrorCode::cancelled and no outcome.
class PAWL_API CallStage : public Stage {
 public:
  /// Any thread; takes a mutex that the calling thread takes for moments, and only for events.
  [[nodiscard]] virtual Stats stats() const = 0;

  /// Changes what calls go by, from the loop's next turn on. Any thread; takes a mutex that the calling thread takes
  /// only after it. Errors: those of Options::validate(), and usage (too few file descriptors for `parallel_max`);
  /// then nothing changes.
  [[nodiscard]] virtual Result<void> change(const Changes& changes) = 0;
};

/// Makes a stage; its thread starts with attach(). With a log (null: none) no call leaves before its mark is safe, and
/// what has been marked is settled when it turns out not to have been sent, or when an answer comes that is retried;
/// the log must outlive the stage's last task. Errors: those of validate(), usage (`ca_file` unreadable, too few
/// file descriptors allowed for `parallel_max`), io (epoll, eventfd), call (libcurl cannot start).
[[nodiscard]] PAWL_API Result<std::unique_ptr<CallStage>> make_call_stage(const Options& options,
                                                                          SendLog* borrowed_log = nullptr);

}  // namespace pawl::http
