#include "ctl.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

#include <pawl/control.h>

#include "exit_code.h"
#include "look.h"
#include "next_command.h"
#include "rate.h"
#include "run_log.h"

namespace pawl::tool {
namespace {

std::string keys_text() { return fmt::format("{}", fmt::join(setting_keys(), ", ")); }

int refuse_with(const Error& error) {
  fmt::print(stderr, "pawl: {}\n", error.context);
  return exit_code_of(error);
}

Error of_nobody(const ControlOptions& options, Error error) {
  if (error.sys_errno == EACCES) error.context += ": it is another user's";
  if (error.sys_errno != ENOENT && error.sys_errno != ECONNREFUSED) return error;
  return {ErrorCode::usage,
          fmt::format("{}: no run is live, so there is nothing to {}; pawl status {} says what there is", options.repo,
                      options.action, shell_word(options.repo)),
          0};
}

/// As the run itself will look at it, so that of several either all are set or none.
Result<void> check_setting(const std::string& setting) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    return failure(ErrorCode::usage, fmt::format("set {}: expected KEY=VALUE; keys are {}", setting, keys_text()));
  const std::string_view key = std::string_view(setting).substr(0, equals);
  const std::string_view value = std::string_view(setting).substr(equals + 1);
  if (key == "log-level") {
    const auto level = log_level(value);
    return level ? Result<void>() : std::unexpected(level.error());
  }
  const auto change = call_change(key, value);
  return change ? Result<void>() : std::unexpected(change.error());
}

}  // namespace

const std::vector<std::string>& setting_keys() {
  static const std::vector<std::string> keys = {"parallel-max", "rate", "rate-tokens", "log-level"};
  return keys;
}

Result<http::Changes> call_change(std::string_view key, std::string_view value) {
  http::Changes changes;
  if (key == "parallel-max") {
    unsigned number = 0;
    const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (fault != std::errc{} || end != value.data() + value.size() || number < 1 || number > 65'536)
      return failure(ErrorCode::usage, fmt::format("parallel-max={}: expected a whole number, 1 to 65536", value));
    changes.parallel_max = number;
    return changes;
  }
  if (key != "rate" && key != "rate-tokens")
    return failure(ErrorCode::usage, fmt::format("{}: expected one of {}; nothing else can be set while a run is live",
                                                 key, keys_text()));
  RateText rate;
  if (!lexical_cast(std::string(value), rate))
    return failure(ErrorCode::usage, fmt::format("{}={}: expected a rate: 10/s, 500/m or 90000/h, with a burst after "
                                                 "a comma (500/m,50), or 0 for none",
                                                 key, value));
  (key == "rate" ? changes.rate : changes.rate_tokens) = rate.value;
  return changes;
}

int control(const ControlOptions& options) {
  const bool sets = options.action == "set";
  if (sets == options.settings.empty())
    return refuse_with({ErrorCode::usage,
                        sets ? fmt::format("set: expected KEY=VALUE; keys are {}", keys_text())
                             : fmt::format("{}: takes no KEY=VALUE", options.action),
                        0});
  for (const auto& setting : options.settings)
    if (const auto valid = check_setting(setting); !valid) return refuse_with(valid.error());
  auto repository = open_at_any_branch(options.repo);
  if (!repository) return refuse_with(repository.error());
  const auto& folder = (*repository)->private_folder();
  if (!sets) {
    if (auto done = observe::ask_control(folder, options.action); !done)
      return refuse_with(of_nobody(options, done.error()));
    return kAllDone;
  }
  std::string set;
  for (const auto& setting : options.settings) {
    if (auto done = observe::ask_control(folder, "set " + setting); !done) {
      Error error = of_nobody(options, done.error());
      if (!set.empty()) error.context += "; set before that:" + set;
      return refuse_with(error);
    }
    set += " " + setting;
  }
  return kAllDone;
}

}  // namespace pawl::tool
