// What the command line of `pawl run` and `pawl resume` says.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include <pawl/error.h>

#include "duration.h"
#include "rate.h"

namespace pawl::tool {

inline constexpr const char* kNoMetrics = "off";

struct RunOptions {
  // What to do
  std::vector<std::string> inputs;  // files, folders, "-"
  std::string repo;
  std::string failed;         // a repository: run its recorded failures again, instead of inputs
  bool again = false;         // run what is committed already, too
  bool retry_failed = false;  // run what is committed as a failure again
  // Inputs
  std::string format = "auto";
  std::string stream_by;
  std::string base_url;
  std::string url;
  std::string method;
  std::string content_type;
  std::string body;
  std::string on_bad_line = "stop";
  std::uint64_t line_bytes_max = 64ull << 20;
  // The API
  std::string api;  // empty, or "builtin"
  std::string builtin_latency = "50ms";
  std::vector<std::string> headers;
  std::string header_file;
  std::string bearer_env;
  unsigned parallel_max = 256;
  unsigned parallel_max_host = 0;
  bool stream_serial = false;
  unsigned call_threads = 1;
  unsigned retry = 5;
  std::uint64_t budget_calls = 0;
  std::uint64_t budget_tokens = 0;
  std::string budget_tokens_by = "/usage/total_tokens";
  Duration budget_time;
  Duration retry_delay{std::chrono::seconds{1}};
  Duration retry_max_time;
  Duration max_time{std::chrono::minutes{10}};
  Duration connect_timeout{std::chrono::seconds{10}};
  Duration max_time_first_byte;
  Duration idle_timeout;
  RateText rate;
  RateText rate_tokens;
  std::string tokens_by;
  bool adaptive = false;
  unsigned breaker = 20;
  std::uint64_t max_response_bytes = 64ull << 20;
  std::string proxy;
  std::string unix_socket;
  std::string cacert;
  bool compressed = true;
  bool location = false;
  bool http1_1 = false;  // the default, spelt out
  bool http2 = false;
  bool http2_prior_knowledge = false;
  // The repository
  std::string layout = "record";
  std::string path = "{host}{path}{?query}";
  std::string normalise = "none";
  std::string message;
  std::vector<std::string> trailers;
  bool sign = false;
  bool no_sign = false;  // neither: as git's commit.gpgSign says
  bool run_notes = false;
  std::string push;
  std::string branch;
  std::uint32_t commit_tasks = 256;
  Duration commit_every{std::chrono::seconds{1}};
  Duration lock_wait{std::chrono::seconds{5}};
  bool no_worktree = false;
  // The run
  std::uint32_t tasks_in_flight = 8192;
  std::uint64_t bytes_in_flight = 512ull << 20;
  Duration drain_timeout;
  std::string durability = "sync";
  std::string on_unknown = "retry";
  std::string on_failure = "record";
  bool quiet = false;
  std::string progress = "auto";
  std::string log;  // a file, "-" for standard error, empty for none
  std::string log_format = "text";
  std::string log_level = "info";
  std::string joblog;
  std::string metrics;  // where they are served; empty or kNoMetrics: nowhere
  // Not on the command line: what the repository remembers of the run before
  std::uint64_t last_run = 0;  // TaskId::run
};

/// Options of the API, the repository and the run: what `run` and `resume` share.
void add_shared_options(CLI::App& command, RunOptions& options);
/// Options of inputs: `run` only.
void add_input_options(CLI::App& command, RunOptions& options);

/// Looks at what CLI11 cannot check alone. Errors: usage.
[[nodiscard]] Result<void> check(const RunOptions& options);

/// What `resume` needs from the run before it, kept in the private folder. No secret is among it: credentials come
/// from the environment or a file, and only their names are kept.
[[nodiscard]] Result<void> write_settings(const RunOptions& options, const std::string& file);
/// Reads them back; a missing file leaves `options` as they are. Errors: io, usage (a damaged file, with its line).
[[nodiscard]] Result<void> read_settings(RunOptions& options, const std::string& file);

}  // namespace pawl::tool
