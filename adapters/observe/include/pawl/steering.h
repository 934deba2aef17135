// Steering: what a person may want of a run while it runs, for whoever asks (a control socket, a page, a prompt).
//
// When not to use it: from within the pipeline (a stage, RetireFn); it is for observers.
#pragma once

#include <string_view>

#include <pawl/error.h>
#include <pawl/export.h>

namespace pawl::observe {

/// Any thread, several at once; does not wait for the pipeline, and but for set() takes a mutex for moments. Each call
/// may come at any time, also when the run is ending: what has no meaning any more does nothing.
class PAWL_API Steering {
 public:
  /// No new call leaves; those on their way finish and are committed. Idempotent.
  virtual void pause() = 0;
  /// Calls leave again. Idempotent.
  virtual void resume() = 0;
  /// Takes no more, finishes what is called, commits it and ends: as SIGINT once.
  virtual void drain() = 0;
  /// Gives up what can be given up and ends within a second: as SIGINT twice.
  virtual void stop() = 0;
  /// Sets what can be set while a run goes on: parallel-max, rate, rate-tokens, log-level, as the
  /// options of that name take them. Waits for the disk: the next run of the repository is to know it, too.
  /// Errors: usage (unknown key; a value that is none of that key: says what is expected), io (set, and not
  /// remembered).
  [[nodiscard]] virtual Result<void> set(std::string_view key, std::string_view value) = 0;

 protected:
  ~Steering() = default;
};

}  // namespace pawl::observe
