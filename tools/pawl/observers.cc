#include "observers.h"

#include <utility>

#include "run_view.h"
#include "shell/shell.h"
#include "web.h"

namespace pawl::tool {

Observers::Observers(const RunOptions& options, View view, observe::Steering& borrowed_steering, Shell* borrowed_shell)
    : options_(options),
      view_(std::move(view)),
      borrowed_steering_(borrowed_steering),
      borrowed_shell_(borrowed_shell) {
  observe::ProgressOptions shown;
  if (options_.quiet || borrowed_shell_ != nullptr)
    shown.mode = observe::ProgressMode::quiet;
  else if (options_.progress == "json")
    shown.mode = observe::ProgressMode::json;
  progress_ = std::make_unique<observe::Progress>(shown, view_);
}

Observers::~Observers() { stop(); }

void Observers::start(const std::filesystem::path& private_folder, std::unique_ptr<observe::WebServer> web) {
  auto status = observe::StatusSocket::open(private_folder, [this] {
    auto now = view_();
    (void)observe::notify_status(observe::render_plain(now, {}));
    return now;
  });
  if (status)
    status_socket_ = std::move(*status);
  else
    message(status.error().context);
  auto control = observe::ControlSocket::open(private_folder, borrowed_steering_);
  if (control)
    control_socket_ = std::move(*control);
  else
    message(control.error().context);
  progress_->start();
  if (borrowed_shell_ != nullptr) borrowed_shell_->begin({view_, &borrowed_steering_});
  web_ = std::move(web);
  if (!web_) return;
  message(web_notice(options_, *web_));
  web_->start(view_, &borrowed_steering_);
}

void Observers::stop() {
  if (borrowed_shell_ != nullptr) borrowed_shell_->end();
  progress_->stop();
  web_.reset();
  control_socket_.reset();
  status_socket_.reset();
}

void Observers::message(const std::string& text) { line("pawl: " + text); }

void Observers::line(const std::string& text) {
  if (borrowed_shell_ != nullptr) return borrowed_shell_->say(text);
  progress_->message(text);
}

void Observers::retired(const Task& task) {
  if (borrowed_shell_ != nullptr) borrowed_shell_->announce(task);
  if (task.committed) {
    if (!task.outcome.success()) errors_.note(failure_text(task), record_of(task, options_));
  } else if (task.error && task.error->code != ErrorCode::cancelled) {
    errors_.note(task.error->context);
  }
}

void Observers::retried(const http::RetryNote& note) {
  errors_.note(std::string(note.host).append(": ").append(note.reason).append(", tried again"));
}

}  // namespace pawl::tool
