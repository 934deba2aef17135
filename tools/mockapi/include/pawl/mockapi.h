// A built-in HTTP/1.1 API server for demos, tests and load: OpenAI-shaped answers, chosen latency and chosen faults.
//
// Why: a first try, a test or a load run needs an API that is free, repeatable, counts what it was asked, and is
// cheap enough never to be the bottleneck beside the client. One thread, one epoll, thousands of connections.
// When not to use it: as a real server. It knows no TLS, no HTTP/2 and no authentication, and it trusts its clients to
// be no enemies: a request body of up to `max_body_bytes` is held in memory for each connection.
//
// Endpoints: POST /v1/chat/completions, /v1/completions, /v1/embeddings; /echo; /status/N; GET /stats, GET
// /stats/keys, POST /stats/reset; GET and PUT /capacity. The last four are never delayed, faulted, limited or counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>

namespace pawl::mockapi {

/// Reads "250us", "50ms", "1.5s" or "0" and returns milliseconds. Error: usage.
[[nodiscard]] Result<double> parse_duration_ms(std::string_view text);

/// How long an answer waits after its request has arrived whole.
struct Latency {
  enum class Kind : std::uint8_t { fixed, uniform, lognormal };
  Kind kind = Kind::fixed;
  double mean_ms = 0;  // 0 … 86,400,000
  double spread = 0;   // uniform: half the width in ms, at most mean_ms; lognormal: sigma of the logarithm, 0 … 5

  /// Reads "50ms", "uniform:10ms-90ms" or "lognormal:50ms,0.5" (mean, sigma). Error: usage.
  [[nodiscard]] static Result<Latency> parse(std::string_view text);
};

struct Options {
  std::string address = "127.0.0.1";  // an IPv4 or IPv6 literal
  std::uint16_t port = 0;             // 0: the kernel picks
  Latency latency;
  // Shares of calls, 0 … 1 each and 1 together at most: a call has one fault or none.
  double error_rate = 0;              // answered with one of `error_codes`, all equally likely
  double drop_rate = 0;               // connection closed without an answer
  double truncate_rate = 0;           // Content-Length promised, half of the body sent, connection closed
  double slow_rate = 0;               // body dripped over `slow_ms`
  double slow_ms = 1000;              // 0 … 86,400,000
  std::vector<int> error_codes{500};  // 400 … 599, not empty
  double rate_limit_per_s = 0;        // 0: none. Beyond it 429 at once; a token bucket that holds one second's worth
  std::optional<std::chrono::milliseconds> retry_after;  // what a 429 (and an injected 503) asks for; default: the
                                                         // time until the bucket has a token
  unsigned capacity = 0;         // calls worked on at once, the others wait in order of arrival; 0: no bound
  std::uint64_t body_bytes = 0;  // answers of /v1/… are padded to this size; at most 1 GiB
  std::uint64_t max_body_bytes = 128ull << 20;  // larger requests get 413
  std::uint64_t seed = 1;                       // of latency and faults, drawn in order of arrival
  std::int64_t created = 0;   // "created" of every answer, for runs that must be the same byte for byte; 0: the clock
  bool stats_per_key = true;  // count calls per Idempotency-Key: memory grows with the number of distinct keys
  unsigned close_after = 0;   // answers per connection; 0: no bound

  /// Says which option is wrong and why. Error: usage.
  [[nodiscard]] Result<void> validate() const;
};

/// What the server has done since its start or the last POST /stats/reset. "Answered" means that the last byte has
/// been handed to the kernel, whether or not the peer was still there to read it.
struct Stats {
  std::uint64_t calls = 0;                 // requests that arrived whole
  std::uint64_t answered = 0;              // answers sent whole
  std::map<int, std::uint64_t> by_status;  // of the answered
  std::uint64_t errors_injected = 0;
  std::uint64_t rate_limited = 0;
  std::uint64_t dropped = 0;
  std::uint64_t truncated = 0;
  std::uint64_t slowed = 0;
  std::uint64_t abandoned = 0;         // the connection broke before the answer was sent
  std::uint64_t malformed = 0;         // not HTTP, or beyond a limit; no calls
  std::uint64_t connections_open = 0;  // now
  std::uint64_t connections_total = 0;
  std::uint64_t in_flight = 0;  // calls not answered yet, now
  std::uint64_t in_flight_peak = 0;
  std::uint64_t queued = 0;   // calls that had to wait for a place
  std::uint64_t delayed = 0;  // calls that were given a latency above zero
  double delay_ms_sum = 0;    // of the latencies given, as planned
  double delay_ms_max = 0;
  std::uint64_t keys = 0;           // distinct Idempotency-Keys
  std::uint64_t key_calls_max = 0;  // calls of the key that was called most
  std::uint64_t keys_answered_2xx_more_than_once = 0;
  double cpu_ms = 0;  // processor time of the server's thread since its start
};

/// One Idempotency-Key.
struct KeyStats {
  std::string key;
  std::uint64_t calls = 0;
  std::uint64_t answered_2xx = 0;
};

class Server {
 public:
  /// Listens and serves on a thread of its own. Raises this process' limit of open files to the hard limit.
  /// Errors: usage (an option), io (the address cannot be listened on, no descriptors left).
  [[nodiscard]] static Result<std::unique_ptr<Server>> start(const Options& options);

  /// As stop().
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// The port it listens on. Any thread.
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// "http://127.0.0.1:8080". Any thread.
  [[nodiscard]] std::string base_url() const;
  /// A consistent snapshot, also after stop(). Any thread; waits for the server's thread (microseconds).
  [[nodiscard]] Stats stats() const;
  /// Counts of each key, in no order. As stats().
  [[nodiscard]] std::vector<KeyStats> key_stats() const;
  /// Closes every connection and ends the thread. Idempotent; one thread at a time.
  void stop() noexcept;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl::mockapi
