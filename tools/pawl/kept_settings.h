// The settings file of a live run: what the run began with, and what a person has set since. A later `pawl resume`, or
// `pawl run --failed`, goes on with that, whatever ended this one.
//
// When not to use it: without a run of one's own; others read the file (read_settings()).
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include <pawl/error.h>

#include "options.h"

namespace pawl::tool {

class KeptSettings {
 public:
  /// `settings`: as to_remember() makes them. Writes nothing yet.
  KeptSettings(RunOptions settings, std::string file);

  /// Replaces the file. Errors: io.
  [[nodiscard]] Result<void> write();

  /// Calls `change`, which sets `key` in the run, and then remembers it: success means that the next run begins with
  /// `value`, also after a SIGKILL or loss of power. One at a time, any thread; waits for the disk. Errors: those of
  /// `change`; usage: no such key, no value of it, or one that no run could begin with beside its other options (then
  /// nothing has been changed); io: it is set, and will not be remembered.
  [[nodiscard]] Result<void> set(std::string_view key, std::string_view value,
                                 const std::function<Result<void>()>& change);

 private:
  std::mutex mutex_;
  RunOptions settings_;  // guarded by mutex_
  const std::string file_;
};

}  // namespace pawl::tool
