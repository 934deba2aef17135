#include "outcomes.h"

#include <chrono>
#include <utility>

#include "failure.h"

namespace pawl::http {

std::string key_text(const Task& task) { return "stream " + task.request.stream + ", id " + task.request.id + ": "; }

std::uint32_t begin_attempt(Outcome& outcome) {
  const auto attempts = outcome.attempts + 1;
  const auto started = attempts == 1 ? std::chrono::system_clock::now() : outcome.started;
  outcome.reset();
  outcome.attempts = attempts;
  outcome.started = started;
  return attempts;
}

void write_outcome(Outcome& outcome, const Attempt& last, std::string failure_text) {
  outcome.duration = last.elapsed;
  outcome.status_code = last.status;
  if (last.failure == Failure::none) {
    outcome.kind = Outcome::Kind::answered;
    return;
  }
  outcome.kind = Outcome::Kind::failed;
  outcome.body.clear();
  outcome.content_type.clear();
  outcome.error_code = code_of(last.failure);
  outcome.error_message = std::move(failure_text);
}

void write_refusal(Outcome& outcome, std::string_view code, std::string text) {
  outcome.kind = Outcome::Kind::failed;
  outcome.error_code = code;
  outcome.error_message = std::move(text);
  outcome.started = std::chrono::system_clock::now();
}

void give_up_failed(Task& task) {
  const Outcome& outcome = task.outcome;
  std::string why = key_text(task);
  if (outcome.kind == Outcome::Kind::answered)
    why.append("status ").append(std::to_string(outcome.status_code));
  else
    why.append(outcome.error_code).append(": ").append(outcome.error_message);
  why.append(", attempts: ").append(std::to_string(outcome.attempts));
  task.outcome.reset();
  task.give_up({ErrorCode::held, std::move(why), 0});
}

}  // namespace pawl::http
