// Who looks at a run and who steers it: everything that shows it, started and stopped in one place.
//
// To add one: a member behind a pointer, made in start() (or in the constructor if it must hear of the first task),
// ended in stop(). It gets the run's view as a function and, if it steers, the Steering; it may also be told of single
// tasks by retired() and retried().
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/control.h>
#include <pawl/http.h>
#include <pawl/observe.h>
#include <pawl/steering.h>
#include <pawl/task.h>
#include <pawl/web.h>

#include "error_log.h"
#include "options.h"

namespace pawl::tool {

class Shell;

class Observers {
 public:
  /// A snapshot of the run; any thread, between start() and the return of stop(). Costs up to some 100 µs: ask a few
  /// times a second, not per task.
  using View = std::function<observe::RunView()>;

  /// Shows nothing yet but messages. `options` and `steering` must outlive this.
  /// With a shell (null: there is none) it is the shell that shows messages, and there is no live line.
  Observers(const RunOptions& options, View view, observe::Steering& borrowed_steering, Shell* borrowed_shell);
  ~Observers();  // stop()
  Observers(const Observers&) = delete;
  Observers& operator=(const Observers&) = delete;

  /// Starts all, once the view may be asked for. What cannot start is said and does without: the run does not need it.
  /// `web` (null: none) listens already.
  void start(const std::filesystem::path& private_folder, std::unique_ptr<observe::WebServer> web);
  /// Ends all; afterwards the view is not asked for any more, and nobody steers. Idempotent; messages still come out.
  void stop();

  /// A line for the person at the terminal. Any thread; does not wait.
  void message(const std::string& text);
  /// The same, as it is: message() says who speaks.
  void line(const std::string& text);

  /// Of every task that retires, on a graph worker, one at a time: must be quick.
  void retired(const Task& task);
  /// Of every attempt that is followed by another one. Threads of the call stage, several at once: must be quick.
  void retried(const http::RetryNote& note);

  /// What went wrong lately. Any thread.
  [[nodiscard]] std::vector<observe::ErrorView> errors() const { return errors_.view(); }

 private:
  const RunOptions& options_;
  const View view_;
  observe::Steering& borrowed_steering_;
  Shell* const borrowed_shell_;
  ErrorLog errors_;
  std::unique_ptr<observe::Progress> progress_;
  std::unique_ptr<observe::StatusSocket> status_socket_;
  std::unique_ptr<observe::ControlSocket> control_socket_;
  std::unique_ptr<observe::WebServer> web_;
};

}  // namespace pawl::tool
