#include "kept_settings.h"

#include <utility>

#include "ctl.h"

namespace pawl::tool {
namespace {

/// Errors: usage.
Result<void> put(RunOptions& settings, std::string_view key, std::string_view value) {
  if (key == "log-level") {
    settings.log_level = value;
    return {};  // whether it is one, and whether there is a log, the log says
  }
  const auto change = call_change(key, value);
  if (!change) return std::unexpected(change.error());
  if (change->parallel_max) settings.parallel_max = *change->parallel_max;
  if (change->rate) settings.rate.value = *change->rate;
  if (change->rate_tokens) settings.rate_tokens.value = *change->rate_tokens;
  RunOptions next = settings;
  if (next.rate_tokens.value.count <= 0) next.tokens_by.clear();  // as forget_what_is_excluded() does
  return check(next);
}

}  // namespace

KeptSettings::KeptSettings(RunOptions settings, std::string file)
    : settings_(std::move(settings)), file_(std::move(file)) {}

Result<void> KeptSettings::write() {
  const std::lock_guard lock(mutex_);
  return write_settings(settings_, file_);
}

Result<void> KeptSettings::set(std::string_view key, std::string_view value,
                               const std::function<Result<void>()>& change) {
  const std::lock_guard lock(mutex_);
  RunOptions changed = settings_;
  if (auto fits = put(changed, key, value); !fits) return fits;
  if (auto done = change(); !done) return done;
  settings_ = std::move(changed);
  auto written = write_settings(settings_, file_);
  if (!written) written.error().context = "set, but pawl resume will not know it: " + written.error().context;
  return written;
}

}  // namespace pawl::tool
