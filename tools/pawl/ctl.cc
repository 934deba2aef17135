#include "ctl.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

#include <pawl/control.h>
#include <pawl/git.h>

#include "exit_code.h"
#include "rate.h"

namespace pawl::tool {
namespace {

int refuse_with(const Error& error) {
  fmt::print(stderr, "pawl: {}\n", error.context);
  return exit_code_of(error);
}

Error of_nobody(const ControlOptions& options, Error error) {
  if (error.sys_errno != ENOENT && error.sys_errno != ECONNREFUSED) return error;
  return {ErrorCode::usage,
          fmt::format("{}: no run is live, so there is nothing to {}; pawl status {} says what there is", options.repo,
                      options.action, options.repo),
          0};
}

}  // namespace

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
    return failure(
        ErrorCode::usage,
        fmt::format("{}: expected one of parallel-max, rate, rate-tokens, log-level; nothing else can be set while a "
                    "run is live",
                    key));
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
                        sets ? "set: expected KEY=VALUE; keys are parallel-max, rate, rate-tokens, log-level"
                             : fmt::format("{}: takes no KEY=VALUE", options.action),
                        0});
  auto repository = git::Repository::open({options.repo, {}, git::RepositoryOptions::Missing::fail});
  if (!repository) return refuse_with(repository.error());
  const auto& folder = (*repository)->private_folder();
  if (!sets) {
    if (auto done = observe::ask_control(folder, options.action); !done)
      return refuse_with(of_nobody(options, done.error()));
    return kAllDone;
  }
  for (const auto& setting : options.settings) {
    if (setting.find('=') == std::string::npos)
      return refuse_with({ErrorCode::usage, fmt::format("set {}: expected KEY=VALUE", setting), 0});
    if (auto done = observe::ask_control(folder, "set " + setting); !done)
      return refuse_with(of_nobody(options, done.error()));
  }
  return kAllDone;
}

}  // namespace pawl::tool
