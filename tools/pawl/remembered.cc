#include "remembered.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <system_error>

#include "next_command.h"
#include "stages.h"

namespace pawl::tool {
namespace {

constexpr std::string_view kHeads = "refs/heads/";

void make_absolute(std::string& path) {
  if (path.empty() || path == "-") return;
  std::error_code failed;  // the present folder is gone: the path stays as it is, and is of no use to anybody
  const auto absolute = std::filesystem::absolute(path, failed);
  if (!failed) path = absolute.lexically_normal().string();
}

}  // namespace

RunOptions to_remember(const RunOptions& options, const std::string& branch, std::uint64_t run) {
  RunOptions kept = options;
  kept.last_run = run;
  kept.branch = branch;
  kept.bearer_env = bearer_variable(options);
  for (std::string* path : {&kept.header_file, &kept.log, &kept.joblog, &kept.cacert, &kept.unix_socket})
    make_absolute(*path);
  return kept;
}

Result<void> check_left_tasks(const journal::Left& left, const RunOptions& before, const RunOptions& now,
                              const std::string& branch) {
  if (left.tasks == 0) return {};
  const auto differs = [&](const char* option, std::string_view then, std::string_view given) -> Result<void> {
    if (then == given) return {};
    return failure(ErrorCode::usage,
                   fmt::format("the journal holds {} of a run with {} {}, not {}; finish them first: pawl resume {}",
                               counted(left.tasks, "task"), option, then.empty() ? "unset" : then,
                               given.empty() ? "unset" : given, shell_word(now.repo)));
  };
  if (auto same = differs("--api", before.api, now.api); !same) return same;
  if (auto same = differs("--layout", before.layout, now.layout); !same) return same;
  // Empty: an earlier version of pawl did not say which one was checked out.
  const std::string_view then = before.branch;
  const bool full = then.empty() || then.starts_with(kHeads);
  if (auto same = differs("--branch",
                          then.empty() ? short_branch(branch)
                          : full       ? short_branch(then)
                                       : then,
                          short_branch(branch));
      !same)
    return same;
  if (now.layout != "raw") return {};
  if (auto same = differs("--normalise", before.normalise, now.normalise); !same) return same;
  return differs("--path", before.path, now.path);
}

Result<void> check_token(const journal::Left& left, const RunOptions& before, const RunOptions& now) {
  if (left.tasks == 0 || before.bearer_env.empty() || !bearer_variable(now).empty()) return {};
  return failure(ErrorCode::usage,
                 fmt::format("the journal holds {} of a run with the token in {}, which is not set: set it, or finish "
                             "them without: pawl resume {} --bearer-env ''",
                             counted(left.tasks, "task"), before.bearer_env, shell_word(now.repo)));
}

void forget_what_is_excluded(const CLI::App& command, RunOptions& options) {
  const RunOptions fresh;
  const auto given = [&](const char* option) { return command.count(option) != 0; };
  if (given("--sign")) options.no_sign = false;
  if (given("--no-sign")) options.sign = false;
  if (given("--proxy")) options.unix_socket.clear();
  if (given("--unix-socket")) options.proxy.clear();
  if (given("--http2") || given("--http1.1")) options.http2_prior_knowledge = false;
  if (given("--http2-prior-knowledge") || given("--http1.1")) options.http2 = false;
  // What says more of an option that is now taken back.
  if (options.log.empty()) {
    if (!given("--log-format")) options.log_format = fresh.log_format;
    if (!given("--log-level")) options.log_level = fresh.log_level;
  }
  if (options.budget_tokens == 0 && !given("--budget-tokens-by")) options.budget_tokens_by = fresh.budget_tokens_by;
  if (options.rate_tokens.value.count <= 0 && !given("--tokens-by")) options.tokens_by.clear();
  if (options.api != "builtin" && !given("--builtin-latency")) options.builtin_latency = fresh.builtin_latency;
  if (options.layout != "raw") {
    if (!given("--path")) options.path = fresh.path;
    if (!given("--normalise")) options.normalise = fresh.normalise;
  }
}

}  // namespace pawl::tool
