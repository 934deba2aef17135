#include "options.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <system_error>

#include <pawl/input.h>

namespace pawl::tool {
namespace {

constexpr const char* kNotHere =
    ": other users can read command lines; put it into a file and name that with --header-file, or use --bearer-env";

/// The part of a URL in front of its host that may hold a password, wherever a slash in it puts its end.
bool holds_credentials(const std::string& url) { return url.find('@') != std::string::npos; }

bool is_variable_name(const std::string& name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

/// What other users of the machine can read, and what ends up in logs, must hold no secret. No message repeats one.
Result<void> check_secrets(const RunOptions& options) {
  for (const auto& header : options.headers) {
    const auto colon = header.find(':');
    if (colon == std::string::npos || colon == 0 || header.find_first_of("\r\n") != std::string::npos)
      return failure(ErrorCode::usage, "--header must be 'Name: value', on one line");
    if (input::names_a_secret(header.substr(0, colon)))
      return failure(ErrorCode::usage, "--header " + header.substr(0, colon) + kNotHere);
  }
  if (!options.bearer_env.empty() && !is_variable_name(options.bearer_env))
    return failure(ErrorCode::usage, "--bearer-env takes the name of an environment variable, not a token");
  if (holds_credentials(options.proxy))
    return failure(ErrorCode::usage,
                   "--proxy with a user name or password: other users can read command lines; give it in the "
                   "environment, as https_proxy, http_proxy or all_proxy");
  return {};
}

/// What is wrong with a time; empty: nothing.
std::string time_fault(const std::string& text) {
  Duration time;
  if (lexical_cast(text, time)) return {};
  return "expected a time such as 500ms, 30s, 10m or 2h; got '" + text + "'";
}

bool is_only_space(const std::string& text) { return text.find_first_not_of(" \t\r\n") == std::string::npos; }

/// Whether two options name one file, however they spell it.
bool are_one_file(const std::string& one, const std::string& other) {
  if (one.empty() || other.empty() || one == "-" || other == "-") return false;
  std::error_code failed;  // a name that leads nowhere is none of a file that both could share
  return std::filesystem::weakly_canonical(one, failed) == std::filesystem::weakly_canonical(other, failed) && !failed;
}

/// What only says more of another option has no effect without it.
Result<void> check_companions(const RunOptions& options) {
  const RunOptions fresh;
  const auto needs = [](bool given, bool other, const char* what, const char* needed) -> Result<void> {
    if (!given || other) return {};
    return failure(ErrorCode::usage, std::string(what) + ", and there is no " + needed);
  };
  if (auto fine = needs(options.log_format != fresh.log_format, !options.log.empty(),
                        "--log-format says how --log is written", "--log");
      !fine)
    return fine;
  if (auto fine = needs(options.log_level != fresh.log_level, !options.log.empty(), "--log-level says what --log holds",
                        "--log");
      !fine)
    return fine;
  if (auto fine = needs(options.budget_tokens_by != fresh.budget_tokens_by, options.budget_tokens != 0,
                        "--budget-tokens-by says how --budget-tokens counts", "--budget-tokens");
      !fine)
    return fine;
  if (auto fine = needs(options.builtin_latency != fresh.builtin_latency, options.api == "builtin",
                        "--builtin-latency is of the server inside pawl", "--api builtin");
      !fine)
    return fine;
  return needs(!options.tokens_by.empty(), options.rate_tokens.value.count > 0,
               "--tokens-by says how --rate-tokens counts", "--rate-tokens");
}

}  // namespace

void add_input_options(CLI::App& command, RunOptions& options) {
  command.add_option("INPUT", options.inputs, "files, folders, or - for standard input")->type_name("FILE|DIR|-");
  command.add_flag("--again", options.again, "run keys that are committed already, too")->group("Input");
  command.add_flag("--retry-failed", options.retry_failed, "run keys whose committed record is a failure again")
      ->group("Input");
  command.add_option("--format", options.format, "how inputs are read")
      ->check(CLI::IsMember({"auto", "batch", "lines", "urls", "files"}))
      ->capture_default_str()
      ->group("Input");
  command.add_option("--stream-by", options.stream_by, "JSON pointer to the stream's name in each line")
      ->type_name("POINTER")
      ->group("Input");
  command.add_option("--base-url", options.base_url, "what relative urls are joined to")
      ->envname("OPENAI_BASE_URL")
      ->type_name("URL")
      ->group("Input");
  command.add_option("--url", options.url, "where lines and files are sent")->type_name("URL")->group("Input");
  command.add_option("--method", options.method, "method for lines, files and urls (default POST; GET for urls)")
      ->group("Input");
  command.add_option("--content-type", options.content_type, "content type of bodies")->group("Input");
  command.add_option("--body", options.body, "template of a line's body, with {line} or {line:json}")
      ->type_name("TEMPLATE")
      ->group("Input");
  command.add_option("--on-bad-line", options.on_bad_line, "stop before it, or skip and count it")
      ->check(CLI::IsMember({"stop", "skip"}))
      ->capture_default_str()
      ->group("Input");
  command.add_option("--line-bytes-max", options.line_bytes_max, "longest line or file taken")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str()
      ->group("Input");
}

static void add_api_options(CLI::App& command, RunOptions& options) {
  command.add_option("--api", options.api, "builtin: call the API server inside pawl, to try things out")
      ->check(CLI::IsMember({"builtin"}))
      ->group("API");
  command
      .add_option("--builtin-latency", options.builtin_latency, "latency of --api builtin, as pawl-mockapi takes it")
      ->capture_default_str()
      ->group("API");
  command.add_option("-H,--header", options.headers, "header of every request; credentials go into --header-file")
      ->type_name("'NAME: VALUE'")
      ->allow_extra_args(false)
      ->group("API");
  command
      .add_option("--header-file", options.header_file, "file with one header a line, for secrets; read, never kept")
      ->type_name("FILE")
      ->group("API");
  command
      .add_option("--bearer-env", options.bearer_env,
                  "environment variable that holds the bearer token (default OPENAI_API_KEY, if set); pawl resume "
                  "wants it set, too, or another one, or ''")
      ->type_name("NAME")
      ->group("API");
  command.add_option("--parallel-max", options.parallel_max, "calls at once")
      ->check(CLI::Range(1u, 65536u))
      ->capture_default_str()
      ->group("API");
  command.add_option("--parallel-max-host", options.parallel_max_host, "calls at once to one host (0: no own bound)")
      ->capture_default_str()
      ->group("API");
  command
      .add_flag("--stream-serial", options.stream_serial,
                "at most one call of a stream at a time, in order; behind a task that is held, its stream waits too")
      ->group("API");
  command
      .add_option("--call-threads", options.call_threads,
                  "threads that call, each with its share of the calls at once; more than 1 helps where TLS "
                  "connections live short, and nowhere else")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str()
      ->group("API");
  command
      .add_option("--retry", options.retry,
                  "calls again after a transient failure; Retry-After is kept to, up to 10 minutes at a time")
      ->capture_default_str()
      ->group("API");
  command.add_option("--retry-delay", options.retry_delay, "base of the back-off (default 1s)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("API");
  command.add_option("--retry-max-time", options.retry_max_time, "no retry later than this after a task's first call")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("API");
  command.add_option("--max-time", options.max_time, "bound of one call (default 10m)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("API");
  command.add_option("--connect-timeout", options.connect_timeout, "bound of connecting (default 10s)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("API");
  command.add_option("--max-response-bytes", options.max_response_bytes, "largest response taken")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str()
      ->group("API");
  auto* proxy = command.add_option("--proxy", options.proxy, "proxy (default: as the environment says)")
                    ->type_name("URL")
                    ->group("API");
  command.add_option("--unix-socket", options.unix_socket, "connect to this socket, whatever host a URL names")
      ->type_name("PATH")
      ->excludes(proxy)
      ->group("API");
  command.add_flag("--compressed,!--no-compressed", options.compressed, "ask for compressed responses (the default)")
      ->group("API");
  command.add_option("--cacert", options.cacert, "file of certificate authorities to trust")
      ->type_name("FILE")
      ->group("API");
  command.add_flag("-L,--location", options.location, "follow redirects, never with credentials to another host")
      ->group("API");
  auto* http2 = command.add_flag("--http2", options.http2, "HTTP/2 over TLS")->group("API");
  auto* prior = command.add_flag("--http2-prior-knowledge", options.http2_prior_knowledge, "HTTP/2 without TLS")
                    ->group("API")
                    ->excludes(http2);
  command.add_flag("--http1.1", options.http1_1, "HTTP/1.1 (the default)")
      ->group("API")
      ->excludes(http2)
      ->excludes(prior);
}

static void add_budget_options(CLI::App& command, RunOptions& options) {
  command
      .add_option(
          "--budget-calls", options.budget_calls,
          "at most this many calls leave, retries counted (0: no bound). When a budget is spent, no new call "
          "begins, those on their way are finished and committed, the exit code is 7, and `pawl resume` goes on "
          "with the same budget anew")
      ->type_name("N")
      ->group("Budget");
  command
      .add_option("--budget-tokens", options.budget_tokens,
                  "no new call once answers have told of this many tokens (0: no bound); what is on its way then comes "
                  "on top")
      ->type_name("N")
      ->group("Budget");
  command.add_option("--budget-tokens-by", options.budget_tokens_by, "where an answer's JSON tells its tokens")
      ->type_name("POINTER")
      ->capture_default_str()
      ->group("Budget");
  command
      .add_option("--budget-time", options.budget_time,
                  "no new call later than this after the start; time in which a person has paused the run does not "
                  "count, waits that a server asks for do (0: no bound)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("Budget");
}

/// What is wrong with a rate; empty: nothing.
static std::string rate_fault(const std::string& text) {
  RateText rate;
  if (lexical_cast(text, rate)) return {};
  return "expected a count and s, m or h, such as 500/m, or with a burst 500/m,50; got '" + text + "'";
}

static void add_manners_options(CLI::App& command, RunOptions& options) {
  command
      .add_option("--rate", options.rate,
                  "calls to each lane: 10/s, 500/m or 90000/h, and how many at once: 500/m,50 (default what comes in a "
                  "second). A lane is a host and, where bodies are JSON and name one, a model")
      ->check(rate_fault)
      ->type_name("N/s|m|h[,BURST]")
      ->group("Manners");
  command
      .add_option("--rate-tokens", options.rate_tokens,
                  "tokens of each lane; estimated before a call, corrected by its answer's usage.total_tokens")
      ->check(rate_fault)
      ->type_name("N/s|m|h[,BURST]")
      ->group("Manners");
  command
      .add_option("--tokens-by", options.tokens_by,
                  "where a request's body tells the tokens it will use (default: a fourth of its bytes, and "
                  "max_completion_tokens, max_output_tokens or max_tokens)")
      ->type_name("POINTER")
      ->group("Manners");
  command
      .add_flag("--adaptive,!--no-adaptive", options.adaptive,
                "find how many calls at once each lane bears, within --parallel-max")
      ->group("Manners");
  command
      .add_option("--breaker", options.breaker,
                  "failures in a row after which a host counts as down: its tasks wait, single calls ask whether it is "
                  "back (0: never)")
      ->type_name("N")
      ->capture_default_str()
      ->group("Manners");
  command
      .add_option("--max-time-first-byte", options.max_time_first_byte,
                  "longest wait, once connected, for the first byte of a response (default: as --max-time)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("Manners");
  command
      .add_option("--idle-timeout", options.idle_timeout,
                  "longest wait between two bytes of a response (default: as --max-time)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("Manners");
}

static void add_repository_options(CLI::App& command, RunOptions& options) {
  command.add_option("--layout", options.layout, "record: a JSON record a task; raw: the bodies as they came")
      ->check(CLI::IsMember({"record", "raw"}))
      ->capture_default_str()
      ->group("Repository");
  command
      .add_option("--path", options.path,
                  "where a body lies, in layout raw (records lie where they can be found again); fields {host} {path} "
                  "{query} {stream} {id}, and {?query}: with its question mark, if there is one. Of two tasks with "
                  "the same path the later one's body stays")
      ->type_name("TEMPLATE")
      ->capture_default_str()
      ->group("Repository");
  command
      .add_option("--normalise", options.normalise,
                  "json: bodies that are JSON with sorted keys and indented, in layout raw")
      ->check(CLI::IsMember({"none", "json"}))
      ->capture_default_str()
      ->group("Repository");
  command
      .add_option("--message", options.message,
                  "subject of commits; fields {summary} {results} {streams} {stream} {id} {status} {host} {run} {date}")
      ->type_name("TEMPLATE")
      ->group("Repository");
  command.add_option("--trailer", options.trailers, "line at the end of each commit message; may be given again")
      ->type_name("'KEY: VALUE'")
      ->allow_extra_args(false)
      ->group("Repository");
  auto* const sign =
      command
          .add_flag(
              "--sign", options.sign,
              "sign commits as git's gpg.format and user.signingKey say (default: if git's commit.gpgSign is set)")
          ->group("Repository");
  command.add_flag("--no-sign", options.no_sign, "sign no commits")->excludes(sign)->group("Repository");
  command
      .add_flag("--run-notes", options.run_notes,
                "note beginning and end of the run at the branch's tip, in refs/notes/pawl (git log --notes=pawl)")
      ->group("Repository");
  command
      .add_option("--push", options.push,
                  "push the branch there in the background; merges what others pushed, no force")
      ->type_name("REMOTE")
      ->group("Repository");
  command.add_option("--branch", options.branch, "branch to commit to (default: the checked-out one)")
      ->group("Repository");
  command.add_option("--commit-tasks", options.commit_tasks, "most results in a commit")
      ->check(CLI::Range(1u, 1'000'000u))
      ->capture_default_str()
      ->group("Repository");
  command.add_option("--commit-every", options.commit_every, "longest wait of a result for its commit (default 1s)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("Repository");
  command.add_option("--lock-wait", options.lock_wait, "longest wait for a lock of another git process (default 5s)")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("Repository");
  command
      .add_flag("--no-worktree", options.no_worktree,
                "leave the work tree alone, move only the branch; if it is checked out, git status shows "
                "the results as deleted until git reset --hard")
      ->group("Repository");
}

static void add_safety_options(CLI::App& command, RunOptions& options) {
  command
      .add_option("--durability", options.durability,
                  "what saved tasks and answers survive. sync: power loss; flush: the death of the process, not of the "
                  "machine; none: as flush, but the last 200 ms are lost with the process")
      ->check(CLI::IsMember({"sync", "flush", "none"}))
      ->capture_default_str()
      ->group("Safety");
  command
      .add_option("--on-unknown", options.on_unknown,
                  "a call that was perhaps on its way when the process died. retry: call again with the same "
                  "Idempotency-Key; hold: leave it and its stream in the journal; fail: record it as a failure")
      ->check(CLI::IsMember({"retry", "hold", "fail"}))
      ->capture_default_str()
      ->group("Safety");
  command
      .add_option("--on-failure", options.on_failure,
                  "no 2xx answer after the last retry. record: commit the failure; hold: leave the task and its "
                  "stream in the journal; halt: as hold, and call no more")
      ->check(CLI::IsMember({"record", "hold", "halt"}))
      ->capture_default_str()
      ->group("Safety");
}

static void add_log_options(CLI::App& command, RunOptions& options) {
  command
      .add_option("--log", options.log,
                  "a line for each event worth one: appended to FILE, or to standard error (-) instead of messages. "
                  "Secrets are masked; more than 10 lines a second of one kind are summed up")
      ->type_name("FILE|-")
      ->group("Log");
  command.add_option("--log-format", options.log_format, "text, or json: one object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str()
      ->group("Log");
  command.add_option("--log-level", options.log_level, "least important lines that are logged")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->capture_default_str()
      ->group("Log");
  command
      .add_option(
          "--joblog", options.joblog,
          "a line for each committed task in the columns of GNU parallel's --joblog, appended. Exitval is 0 for "
          "a 2xx answer, else the answer's status, else the exit code curl has for such a failure")
      ->type_name("FILE")
      ->group("Log");
}

void add_shared_options(CLI::App& command, RunOptions& options) {
  add_api_options(command, options);
  add_budget_options(command, options);
  add_manners_options(command, options);
  add_repository_options(command, options);
  add_safety_options(command, options);
  add_log_options(command, options);
  command.add_option("--tasks-in-flight", options.tasks_in_flight, "most tasks read and not yet committed")
      ->check(CLI::Range(1u, 4'194'304u))
      ->capture_default_str()
      ->group("Run");
  command.add_option("--bytes-in-flight", options.bytes_in_flight, "most bytes of requests and responses held")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str()
      ->group("Run");
  command.add_option("--drain-timeout", options.drain_timeout, "after Ctrl-C, stop at once after this time")
      ->check(time_fault)
      ->type_name("TIME")
      ->group("Run");
  command.add_flag("-q,--quiet", options.quiet, "show errors only")->group("Run");
  command
      .add_option("--metrics", options.metrics,
                  "serve Prometheus metrics (/metrics), the status as JSON (/status.json) and a page that shows and "
                  "steers the run (/) on this port of this machine; 0: any port. With the IP address of a network, "
                  "for everybody there to read. off: no longer")
      ->type_name("[IP:]PORT")
      ->group("Run");
  command.add_option("--progress", options.progress, "what to show on standard error while it runs")
      ->check(CLI::IsMember({"auto", "json"}))
      ->capture_default_str()
      ->group("Run");
}

Result<void> check(const RunOptions& options) {
  if (auto none = check_secrets(options); !none) return none;
  if (options.call_threads > options.parallel_max ||
      (options.parallel_max_host != 0 && options.call_threads > options.parallel_max_host))
    return failure(ErrorCode::usage, "--call-threads (" + std::to_string(options.call_threads) +
                                         ") must not be more than --parallel-max or --parallel-max-host, which the "
                                         "threads share");
  const bool one_thread = options.stream_serial || options.budget_calls != 0 || options.budget_tokens != 0 ||
                          options.rate.value.count > 0 || options.rate_tokens.value.count > 0 || options.adaptive;
  if (options.call_threads > 1 && one_thread)
    return failure(ErrorCode::usage,
                   "--stream-serial, --budget-calls, --budget-tokens, --rate, --rate-tokens and --adaptive need "
                   "--call-threads 1");
  if (options.push.starts_with('-'))
    return failure(ErrorCode::usage, "--push names a remote or an address, not '" + options.push + "'");
  if (const auto scheme = options.push.find("://"); scheme != std::string::npos) {
    const std::string authority = options.push.substr(scheme + 3, options.push.find('/', scheme + 3) - scheme - 3);
    const auto at = authority.rfind('@');
    const bool is_web = options.push.starts_with("http");  // where a user's name may be a token
    if (at != std::string::npos && (is_web || authority.find(':') < at))
      return failure(ErrorCode::usage,
                     "--push: other users can read command lines; leave user and password to git's credential helpers");
  }
  if (options.path != RunOptions{}.path && options.layout != "raw")
    return failure(ErrorCode::usage, "--path is for --layout raw: a record lies where its key can find it again");
  if (options.normalise != "none" && options.layout != "raw")
    return failure(ErrorCode::usage, "--normalise is for --layout raw: a record holds the body as it came");
  if (auto fine = check_companions(options); !fine) return fine;
  if (!options.body.empty() && options.body.find("{line}") == std::string::npos &&
      options.body.find("{line:json}") == std::string::npos)
    return failure(ErrorCode::usage,
                   "--body has neither {line} nor {line:json}, so the bodies of all tasks would be the same");
  if (!options.message.empty() && is_only_space(options.message))
    return failure(ErrorCode::usage, "--message is blank: commits would have no subject");
  if (options.log == "-" && options.log_format != "json" && options.progress == "json")
    return failure(ErrorCode::usage,
                   "--log - between the objects of --progress json needs --log-format json, or a file of its own");
  if (are_one_file(options.joblog, options.log))
    return failure(ErrorCode::usage, "--joblog and --log both name " + options.log);
  if (options.tasks_in_flight < options.parallel_max)
    return failure(ErrorCode::usage, "--tasks-in-flight (" + std::to_string(options.tasks_in_flight) +
                                         ") must not be smaller than --parallel-max (" +
                                         std::to_string(options.parallel_max) + ")");
  return {};
}

}  // namespace pawl::tool
