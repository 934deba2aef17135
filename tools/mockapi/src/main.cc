// pawl-mockapi: the built-in API server as a program of its own.
#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <pawl/mockapi.h>

namespace {

using pawl::mockapi::Options;
using pawl::mockapi::Server;

constexpr int kExitUsage = 2;
constexpr int kExitSystem = 3;

struct Arguments {
  Options server;
  std::string latency = "0";
  std::string slow_time = "1s";
  std::string retry_after;
  std::string port_file;
  bool print_port = false;
  bool no_key_stats = false;
};

constexpr const char* kExamples = R"(Examples:
  pawl-mockapi                                        answer at once on http://127.0.0.1:8080
  pawl-mockapi --latency lognormal:50ms,0.5           like an API that is mostly quick
  pawl-mockapi --error-rate 0.1 --error-codes 500,503 --drop-rate 0.01
  pawl-mockapi --rate-limit 100 --retry-after 500ms   429 beyond 100 calls a second
  pawl-mockapi --port 0 --port-file port.txt          for scripts: any free port, written to a file

  curl -s http://127.0.0.1:8080/v1/chat/completions -d '{"messages":[{"role":"user","content":"hello"}]}'
  curl -s http://127.0.0.1:8080/stats

Endpoints: POST /v1/chat/completions, /v1/completions, /v1/embeddings; /echo; /status/N;
GET /stats, GET /stats/keys, POST /stats/reset; GET and PUT /capacity (the body is the number).
Ends on SIGINT or SIGTERM with a line of counts. Exit codes: 0 ended by a signal, 2 wrong usage, 3 cannot listen.)";

void describe(CLI::App& app, Arguments& arguments) {
  Options& server = arguments.server;
  server.port = 8080;
  app.footer(kExamples);
  app.add_option("--address", server.address, "IPv4 or IPv6 address to listen on")->capture_default_str();
  app.add_option("--port", server.port, "port; 0: any free one")->capture_default_str();
  app.add_option("--latency", arguments.latency, "50ms, uniform:10ms-90ms or lognormal:50ms,0.5 (mean, sigma)")
      ->capture_default_str();
  app.add_option("--error-rate", server.error_rate, "share of calls, 0 to 1, answered with an error code");
  app.add_option("--error-codes", server.error_codes, "the codes, all equally likely")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--rate-limit", server.rate_limit_per_s, "calls per second beyond which 429 is answered; 0: none");
  app.add_option("--retry-after", arguments.retry_after, "what a 429 asks for (default: until the next call is free)");
  app.add_option("--capacity", server.capacity, "calls worked on at once, the others wait; 0: no bound");
  app.add_option("--drop-rate", server.drop_rate, "share of calls whose connection is closed without an answer");
  app.add_option("--truncate-rate", server.truncate_rate, "share of calls that get half of the promised body");
  app.add_option("--slow-rate", server.slow_rate, "share of calls whose body is dripped");
  app.add_option("--slow-time", arguments.slow_time, "time over which it is dripped")->capture_default_str();
  app.add_option("--body-bytes", server.body_bytes, "pad answers of /v1/... to this size");
  app.add_option("--max-body-bytes", server.max_body_bytes, "larger requests get 413")->capture_default_str();
  app.add_option("--close-after", server.close_after, "answers per connection; 0: no bound");
  app.add_option("--created", server.created, "fixed \"created\" of every answer, in seconds since 1970");
  app.add_option("--seed", server.seed, "of latency and faults")->capture_default_str();
  app.add_flag("--no-key-stats", arguments.no_key_stats, "do not count calls per Idempotency-Key");
  app.add_option("--port-file", arguments.port_file, "write the port to this file once it listens");
  app.add_flag("--print-port", arguments.print_port, "print only the port to stdout, the rest to stderr");
}

/// Turns the texts among the arguments into options.
pawl::Result<void> complete(Arguments& arguments) {
  auto latency = pawl::mockapi::Latency::parse(arguments.latency);
  if (!latency) return std::unexpected(latency.error());
  arguments.server.latency = *latency;
  auto slow = pawl::mockapi::parse_duration_ms(arguments.slow_time);
  if (!slow) return std::unexpected(slow.error());
  arguments.server.slow_ms = *slow;
  if (!arguments.retry_after.empty()) {
    auto wait = pawl::mockapi::parse_duration_ms(arguments.retry_after);
    if (!wait) return std::unexpected(wait.error());
    arguments.server.retry_after = std::chrono::milliseconds(static_cast<std::int64_t>(*wait));
  }
  arguments.server.stats_per_key = !arguments.no_key_stats;
  return arguments.server.validate();
}

/// Written beside it and renamed, so that a script that waits for the file never reads half of it.
pawl::Result<void> write_port_file(const std::string& path, std::uint16_t port) {
  const std::string draft = path + ".new";
  {
    std::ofstream file(draft);
    file << port << '\n';
    if (!file.flush()) return pawl::failure(pawl::ErrorCode::io, "cannot write " + draft);
  }
  std::error_code error;
  std::filesystem::rename(draft, path, error);
  if (error) return pawl::failure(pawl::ErrorCode::io, "cannot rename " + draft + " to " + path, error.value());
  return {};
}

int complain(const pawl::Error& error) {
  const std::string reason =
      error.sys_errno == 0 ? "" : fmt::format(": {}", std::generic_category().message(error.sys_errno));
  fmt::print(stderr, "pawl-mockapi: {}{}\n", error.context, reason);
  return error.code == pawl::ErrorCode::usage ? kExitUsage : kExitSystem;
}

void print_stats(std::FILE* to, const pawl::mockapi::Stats& stats) {
  std::string statuses;
  for (const auto& [status, count] : stats.by_status)
    statuses += fmt::format("{}{}: {}", statuses.empty() ? " (" : ", ", status, count);
  if (!statuses.empty()) statuses += ')';
  fmt::print(to,
             "pawl-mockapi: calls {} · answered {}{} · dropped {} · truncated {} · abandoned {} · malformed {} · "
             "connections {} · in flight at most {} · keys {} · answered more than once {} · {:.1f} us CPU per call\n",
             stats.calls, stats.answered, statuses, stats.dropped, stats.truncated, stats.abandoned, stats.malformed,
             stats.connections_total, stats.in_flight_peak, stats.keys, stats.keys_answered_2xx_more_than_once,
             stats.calls == 0 ? 0.0 : stats.cpu_ms * 1000 / static_cast<double>(stats.calls));
}

int serve(const Arguments& arguments) {
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  const auto server = Server::start(arguments.server);
  if (!server) return complain(server.error());
  if (!arguments.port_file.empty()) {
    if (const auto written = write_port_file(arguments.port_file, (*server)->port()); !written)
      return complain(written.error());
  }
  std::FILE* const talk = arguments.print_port ? stderr : stdout;
  if (arguments.print_port) fmt::print("{}\n", (*server)->port());
  fmt::print(talk, "pawl-mockapi listens on {} (latency {}, seed {}); Ctrl-C ends it\n", (*server)->base_url(),
             arguments.latency, arguments.server.seed);
  std::fflush(nullptr);
  int received = 0;
  ::sigwait(&ends, &received);
  (*server)->stop();
  print_stats(talk, (*server)->stats());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("An HTTP API server for demos, tests and load: OpenAI-shaped answers, chosen latency and faults.",
               "pawl-mockapi");
  Arguments arguments;
  describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (const auto completed = complete(arguments); !completed) return complain(completed.error());
  return serve(arguments);
}
