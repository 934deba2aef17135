#include "stages.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>

#include "next_command.h"
#include "option_names.h"

namespace pawl::tool {
namespace {

/// Headers from a file: one a line, blank lines and lines that begin with '#' left out; and what of them is secret.
Result<void> read_header_file(const std::string& file, std::vector<std::string>& headers,
                              std::vector<std::string>& secrets) {
  std::ifstream in(file);
  if (!in) return failure(ErrorCode::usage, "cannot read --header-file " + file + ": " + std::strerror(errno), errno);
  std::string line;
  for (unsigned number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    const auto colon = line.find(':');
    if (colon == std::string::npos || colon == 0)  // the line may be a secret: do not show it
      return failure(ErrorCode::usage, file + ":" + std::to_string(number) + ": expected 'Name: value'");
    headers.push_back(line);
    // Others may be there too, whose values are words that answers may well hold.
    if (!input::names_a_secret(line.substr(0, colon))) continue;
    const auto value = line.substr(std::min(line.find_first_not_of(" \t", colon + 1), line.size()));
    secrets.push_back(value);
    secrets.push_back(value.substr(value.find_last_of(" \t") + 1));  // without "Bearer" and the like
  }
  return {};
}

constexpr const char* kUsualVariable = "OPENAI_API_KEY";

/// Of an environment variable; null: unset or empty.
const char* value_of(const std::string& variable) {
  const char* const value = std::getenv(variable.c_str());
  return value == nullptr || *value == '\0' ? nullptr : value;
}

Result<std::string> bearer_token(const RunOptions& options) {
  const std::string name = bearer_variable(options);
  if (name.empty()) return std::string();
  if (const char* value = value_of(name)) return std::string(value);
  // Perhaps nobody typed it: it is remembered from the run before.
  return failure(ErrorCode::usage, "--bearer-env: the environment has no " + name +
                                       ", which the token is read from; --bearer-env '' " +
                                       (name == kUsualVariable || value_of(kUsualVariable) == nullptr
                                            ? "calls without one"
                                            : std::string("takes that of ") + kUsualVariable));
}

input::Format format_of(const std::string& name) {
  for (const auto format : {input::Format::batch, input::Format::lines, input::Format::urls, input::Format::files})
    if (name == input::name_of(format)) return format;
  return input::Format::automatic;
}

}  // namespace

Result<std::unique_ptr<mockapi::Server>> start_builtin(const RunOptions& options) {
  if (options.api != "builtin") return nullptr;
  mockapi::Options server;
  auto latency = mockapi::Latency::parse(options.builtin_latency);
  if (!latency) return std::unexpected(latency.error());
  server.latency = *latency;
  server.stats_per_key = false;
  // A proxy of the environment must not stand between pawl and itself.
  const char* others = std::getenv("no_proxy");
  ::setenv("no_proxy", (std::string(others != nullptr ? others : "") + ",pawl.builtin").c_str(), 1);
  return mockapi::Server::start(server);
}

std::string bearer_variable(const RunOptions& options) {
  if (!options.bearer_env.empty()) return options.bearer_env;
  return options.api != "builtin" && value_of(kUsualVariable) != nullptr ? kUsualVariable : "";
}

Result<http::Options> http_options(const RunOptions& options, const mockapi::Server* builtin) {
  http::Options http;
  http.parallel_max = options.parallel_max;
  http.parallel_max_host = options.parallel_max_host;
  if (options.stream_serial) http.stream_calls = http::StreamCalls::serial;
  http.budget_calls = options.budget_calls;
  http.budget_tokens = options.budget_tokens;
  http.budget_tokens_at = options.budget_tokens_by;
  http.call_threads = options.call_threads;
  http.retry_max = options.retry;
  http.retry_delay = options.retry_delay.value;
  http.retry_time_max = options.retry_max_time.value;
  http.time_max = options.max_time.value;
  http.connect_timeout = options.connect_timeout.value;
  http.first_byte_time_max = options.max_time_first_byte.value;
  http.idle_time_max = options.idle_timeout.value;
  http.rate = options.rate.value;
  http.rate_tokens = options.rate_tokens.value;
  http.tokens_by = options.tokens_by;
  if (options.adaptive) http.concurrency = http::Concurrency::adaptive;
  http.breaker_failures = options.breaker;
  http.response_bytes_max = options.max_response_bytes;
  http.headers = options.headers;
  http.proxy = options.proxy;
  http.unix_socket = options.unix_socket;
  http.ca_file = options.cacert;
  http.compressed = options.compressed;
  if (options.http2) http.version = http::Version::http2;
  if (options.http2_prior_knowledge) http.version = http::Version::http2_prior_knowledge;
  if (options.location) http.redirects = http::Redirects::follow;
  if (options.on_unknown == "hold") http.on_unknown = http::OnUnknown::hold;
  if (options.on_unknown == "fail") http.on_unknown = http::OnUnknown::fail;
  if (options.on_failure != "record") http.on_failure = http::OnFailure::hold;
  if (!options.header_file.empty())
    if (auto read = read_header_file(options.header_file, http.headers, http.secrets); !read)
      return std::unexpected(read.error());
  auto bearer = bearer_token(options);
  if (!bearer) return std::unexpected(bearer.error());
  if (builtin != nullptr)
    http.connect_to = {"pawl.builtin:80:127.0.0.1:" + std::to_string(builtin->port())};
  else
    http.bearer = *bearer;
  if (auto valid = http.validate(); !valid) return std::unexpected(in_typed_words(valid.error()));
  return http;
}

journal::Options journal_options(const RunOptions& options, const git::Repository& repository) {
  journal::Options journal;
  journal.folder = repository.private_folder() / "journal";
  if (options.durability == "flush") journal.durability = journal::Durability::flush;
  if (options.durability == "none") journal.durability = journal::Durability::none;
  return journal;
}

git::Layout layout_of(const RunOptions& options) {
  return options.layout == "raw" ? git::Layout::raw : git::Layout::record;
}

git::CommitOptions commit_options(const RunOptions& options, std::uint64_t run) {
  git::CommitOptions commit;
  commit.layout = layout_of(options);
  commit.path_template = options.path;
  if (options.normalise == "json") commit.normalise = git::CommitOptions::Normalise::json;
  commit.message_template = options.message;
  commit.trailers = options.trailers;
  if (options.sign) commit.sign = git::CommitOptions::Sign::yes;
  if (options.no_sign) commit.sign = git::CommitOptions::Sign::no;
  commit.push_remote = options.push;
  commit.commit_tasks = options.commit_tasks;
  commit.commit_every = options.commit_every.value;
  commit.lock_wait = options.lock_wait.value;
  commit.run = run;
  if (options.no_worktree) commit.work_tree = git::CommitOptions::WorkTree::leave;
  return commit;
}

std::string left_files_text(const git::WorkTreeReport& report) {
  const bool one = report.files_left == 1;
  return counted(report.files_left, "file") + " of the work tree " +
         (one ? "was left as it is" : "were left as they are") + ", because " + (one ? "it holds" : "they hold") +
         " changes of your own (the branch has the results): " + report.first_left;
}

Result<input::Options> input_options(const RunOptions& options, int cancel_fd) {
  input::Options input;
  input.format = format_of(options.format);
  input.stream_by = options.stream_by;
  input.base_url = options.base_url;
  input.url = options.url;
  if (options.api == "builtin") {
    if (input.base_url.empty()) input.base_url = std::string(kBuiltinOrigin) + "/v1";
    if (input.url.empty()) input.url = std::string(kBuiltinOrigin) + "/echo";
  }
  input.method = options.method;
  input.content_type = options.content_type;
  input.body_template = options.body;
  input.line_bytes_max = options.line_bytes_max;
  input.passed_over = options.repo;  // its records are no tasks
  input.cancel_fd = cancel_fd;
  if (auto valid = input.validate(); !valid) return std::unexpected(in_typed_words(valid.error()));
  return input;
}

Result<std::vector<std::unique_ptr<input::Reader>>> open_inputs(const RunOptions& options, int cancel_fd) {
  const auto input = input_options(options, cancel_fd);
  if (!input) return std::unexpected(input.error());
  std::map<std::string, std::string> taken;  // name → path
  std::vector<std::unique_ptr<input::Reader>> readers;
  for (const auto& path : options.inputs) {
    input::Source source{path, input::source_name(path)};
    const auto [other, fresh] = taken.emplace(source.name, path);
    if (!fresh)
      return failure(ErrorCode::usage, "inputs " + other->second + " and " + path + " have the same name, " +
                                           source.name + ", so their tasks would have the same keys; rename one");
    auto reader = input::Reader::open(source, *input);
    if (!reader) return std::unexpected(in_typed_words(reader.error()));
    readers.push_back(std::move(*reader));
  }
  return readers;
}

}  // namespace pawl::tool
