// `pawl ctl`: steers a live run through its control socket.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <pawl/http.h>

namespace pawl::tool {

struct ControlOptions {
  std::string repo;
  std::string action;                 // pause, resume, drain, stop, set
  std::vector<std::string> settings;  // KEY=VALUE, of `set`
};

/// What of a live run can be set: as the options of these names.
[[nodiscard]] const std::vector<std::string>& setting_keys();

/// Asks and returns the exit code; says what is wrong on standard error.
[[nodiscard]] int control(const ControlOptions& options);

/// What a setting of a live run means for its calls: parallel-max, rate, rate-tokens, as the options of that name.
/// Errors: usage (names what there is, or what was expected).
[[nodiscard]] Result<http::Changes> call_change(std::string_view key, std::string_view value);

}  // namespace pawl::tool
