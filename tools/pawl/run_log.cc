#include "run_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace pawl::tool {
namespace {

using observe::LogLevel;

/// Without its query, which may hold what others should not read.
std::string_view short_url(const std::string& url) {
  return std::string_view(url).substr(0, std::min(url.find('?'), url.size()));
}

std::string_view event_of(http::Event::What what) {
  switch (what) {
    case http::Event::What::lane_paused: return "lane_paused";
    case http::Event::What::breaker_opened: return "breaker_opened";
    case http::Event::What::breaker_closed: return "breaker_closed";
  }
  return "call";
}

observe::LogOptions log_options(const RunOptions& options, std::function<void(std::string)> above) {
  observe::LogOptions log;
  if (options.log != "-")
    log.file = options.log;
  else if (::isatty(2) == 1 && options.progress != "json")
    log.write_line = std::move(above);
  if (options.log_format == "json") log.format = observe::LogFormat::json;
  log.level = observe::parse_log_level(options.log_level).value_or(LogLevel::info);
  return log;
}

}  // namespace

Result<std::unique_ptr<RunLog>> RunLog::open(const RunOptions& options, const http::Options& http, Voices voices) {
  std::unique_ptr<RunLog> run_log(new RunLog(options));
  if (!options.log.empty()) {
    auto wanted = log_options(options, std::move(voices.line));
    wanted.mask = http::make_mask(http);
    auto log = observe::Log::open(wanted);
    if (!log) return std::unexpected(log.error());
    run_log->log_ = std::move(*log);
    run_log->to_stderr_ = options.log == "-";
  }
  if (!options.joblog.empty()) {
    auto job_log = JobLog::open(options.joblog, http::make_mask(http), std::move(voices.complain));
    if (!job_log) return std::unexpected(job_log.error());
    run_log->job_log_ = std::move(*job_log);
  }
  return run_log;
}

void RunLog::note(LogLevel level, std::string_view event, std::string_view text,
                  std::initializer_list<observe::LogField> fields) {
  if (log_) log_->write(level, event, text, fields);
}

Result<observe::LogLevel> log_level(std::string_view name) {
  if (const auto level = observe::parse_log_level(name)) return *level;
  return failure(ErrorCode::usage, fmt::format("log-level={}: expected error, warn, info or debug", name));
}

Result<void> RunLog::set_level(std::string_view level) {
  const auto wanted = log_level(level);
  if (!wanted) return std::unexpected(wanted.error());
  if (!log_) return failure(ErrorCode::usage, "log-level: the run has no log (--log)");
  log_->set_level(*wanted);
  return {};
}

void RunLog::message(LogLevel level, std::string_view text) { note(level, "message", text); }

void RunLog::began(std::uint64_t run, const journal::Left& left, const std::string& branch) {
  if (!log_) return;
  note(LogLevel::info, "run_started", "the run begins",
       {{"run", std::string_view(git::run_name(run))},
        {"version", std::string_view(PAWL_VERSION)},
        {"pid", static_cast<std::uint64_t>(::getpid())},
        {"repository", std::string_view(options_.repo)},
        {"branch", std::string_view(branch)},
        {"layout", std::string_view(options_.layout)},
        {"parallel_max", std::uint64_t{options_.parallel_max}},
        {"retry", std::uint64_t{options_.retry}},
        {"rate", std::string_view(to_text(options_.rate))},
        {"adaptive", std::string_view(options_.adaptive ? "yes" : "no")},
        {"durability", std::string_view(options_.durability)},
        {"commit_tasks", std::uint64_t{options_.commit_tasks}}});
  if (left.tasks != 0)
    note(LogLevel::info, "journal_recovered", "the journal holds tasks of an earlier run: these first",
         {{"tasks", left.tasks}, {"answered", left.answers}, {"in_doubt", left.in_doubt}});
  if (left.torn_bytes != 0)
    note(LogLevel::warn, "journal_torn", "the journal's last write was torn and is cut", {{"bytes", left.torn_bytes}});
}

void RunLog::call_event(const http::Event& event) {
  const bool good = event.what == http::Event::What::breaker_closed;
  note(good ? LogLevel::info : LogLevel::warn, event_of(event.what), event.text);
}

void RunLog::retried(const http::RetryNote& retry) {
  if (!log_ || !log_->wants(LogLevel::info)) return;
  note(LogLevel::info, "retry", retry.reason,
       {{"host", retry.host},
        {"stream", std::string_view(retry.task.request.stream)},
        {"id", std::string_view(retry.task.request.id)},
        {"attempts", std::uint64_t{retry.task.outcome.attempts}},
        {"delay_ms", static_cast<std::uint64_t>(retry.delay.count())}});
}

void RunLog::branch_report(const git::BranchReport& report) {
  const std::string_view tip = report.tip;
  if (report.what == git::BranchReport::What::published)
    return note(LogLevel::debug, "published", fmt::format("{} results are on the branch", report.results),
                {{"tip", tip}, {"results", report.results}, {"commits", report.commits}});
  note(LogLevel::info, "foreign_commit", "somebody else has moved the branch: building on what is there now",
       {{"tip", tip}, {"results_waiting", report.results}});
}

void RunLog::retired(const Task& task) {
  const Outcome& outcome = task.outcome;
  if (task.committed && job_log_) job_log_->note(task);
  if (!log_) return;
  const std::string_view stream = task.request.stream, id = task.request.id;
  if (!task.committed) {
    if (task.error && task.error->code != ErrorCode::cancelled)
      note(task.error->code == ErrorCode::held ? LogLevel::warn : LogLevel::error, "task_unfinished",
           task.error->context, {{"stream", stream}, {"id", id}});
    return;
  }
  if (outcome.success() || !log_->wants(LogLevel::warn)) return;
  const bool answered = outcome.kind == Outcome::Kind::answered;
  note(LogLevel::warn, "task_failed",
       answered ? fmt::format("status {}", outcome.status_code)
                : fmt::format("{}: {}", outcome.error_code, outcome.error_message),
       {{"stream", stream},
        {"id", id},
        {"url", short_url(task.request.url)},
        {"attempts", std::uint64_t{outcome.attempts}},
        {"duration_ms", static_cast<std::uint64_t>(outcome.duration.count())}});
}

void RunLog::spent(std::string_view budget) {
  note(LogLevel::warn, "budget_spent", "no new call begins", {{"budget", budget}});
}

void RunLog::ended(ExitCode code, const observe::RunView& last) {
  if (!log_) return;
  note(LogLevel::info, "run_ended", fmt::format("the run ends with exit code {}", static_cast<int>(code)),
       {{"exit_code", static_cast<std::uint64_t>(code)},
        {"committed", last.status.committed},
        {"failed", last.status.failed},
        {"skipped", last.skipped},
        {"skipped_failed", last.skipped_failed},
        {"unfinished", last.status.unfinished},
        {"retried", last.retried},
        {"elapsed_ms", static_cast<std::uint64_t>(last.elapsed.count())},
        {"p50_ms", last.latency.p50_ms},
        {"p99_ms", last.latency.p99_ms}});
}

void RunLog::stop() {
  if (job_log_) job_log_->stop();
  if (log_) log_->stop();
}

}  // namespace pawl::tool
