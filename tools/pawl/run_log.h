// What a run tells its log (--log) and its job log (--joblog): which event is worth a line, at which level, with which
// fields. Without the options every function does nothing.
//
// All functions may be called by any thread; none waits for a file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <pawl/git.h>
#include <pawl/http.h>
#include <pawl/journal.h>
#include <pawl/log.h>
#include <pawl/observe.h>
#include <pawl/task.h>

#include "exit_code.h"
#include "joblog.h"
#include "options.h"

namespace pawl::tool {

/// As --log-level takes it. Errors: usage.
[[nodiscard]] Result<observe::LogLevel> log_level(std::string_view name);

class RunLog {
 public:
  struct Voices {
    std::function<void(std::string)> line;      // writes a line of the log above the live line
    std::function<void(std::string)> complain;  // a message to the person
  };

  /// Opens what `options` ask for; `http` says which secrets there are. Errors: io, usage.
  [[nodiscard]] static Result<std::unique_ptr<RunLog>> open(const RunOptions& options, const http::Options& http,
                                                            Voices voices);

  /// The log goes to standard error, so messages need not go there a second time.
  [[nodiscard]] bool is_voice() const noexcept { return log_ != nullptr && to_stderr_; }
  /// As --log-level takes it, while the run goes on. Errors: usage (no level; there is no log).
  Result<void> set_level(std::string_view level);

  void message(observe::LogLevel level, std::string_view text);
  void began(std::uint64_t run, const journal::Left& left, const std::string& branch);
  void call_event(const http::Event& event);
  void retried(const http::RetryNote& retry);
  void branch_report(const git::BranchReport& report);
  /// A task that retires, committed or not.
  void retired(const Task& task);
  void spent(std::string_view budget);
  void ended(ExitCode code, const observe::RunView& last);
  /// Writes the rest. Idempotent; one thread.
  void stop();

 private:
  explicit RunLog(const RunOptions& options) : options_(options) {}
  void note(observe::LogLevel level, std::string_view event, std::string_view text,
            std::initializer_list<observe::LogField> fields = {});

  const RunOptions& options_;  // borrowed
  bool to_stderr_ = false;
  std::unique_ptr<observe::Log> log_;
  std::unique_ptr<JobLog> job_log_;
};

}  // namespace pawl::tool
