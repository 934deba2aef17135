#include "session.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include <pawl/engine.h>
#include <pawl/git.h>
#include <pawl/journal.h>
#include <pawl/observe.h>

#include "ctl.h"
#include "exit_code.h"
#include "feeder.h"
#include "kept_settings.h"
#include "next_command.h"
#include "observers.h"
#include "planner.h"
#include "remembered.h"
#include "run_log.h"
#include "run_notes.h"
#include "run_view.h"
#include "shell/shell.h"
#include "signals.h"
#include "stages.h"
#include "stream_folders.h"
#include "time_budget.h"
#include "web.h"

namespace pawl::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kQuietPush{3};  // at the end of a run, before a person is told what it waits for

std::uint64_t now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

class Session final : public observe::Steering {
 public:
  Session(const RunOptions& options, Mode mode, Shell* shell)
      : options_(options), mode_(mode), borrowed_shell_(shell) {}
  ~Session() {
    if (log_) log_->stop();  // its thread speaks through the observers
  }

  Result<void> open();
  int run();

  // Steering
  void pause() override;
  void resume() override;
  void drain() override;
  void stop() override;
  Result<void> set(std::string_view key, std::string_view value) override;

 private:
  Result<void> open_repository();
  Result<void> open_engine();
  void start_feeding();
  void retired(const Task& task);
  void held_failure(const Task& task);
  void pushed(const git::PushReport& report);
  void on_signal(int number);
  void hold_calls(bool hold);
  Result<void> set_now(std::string_view key, std::string_view value);
  void drain_as_asked(const std::string& how_to_stop);
  void call_budget_spent(const http::Spent& spent);
  void budget_spent(const std::string& which);
  void say_what_was_spent(const http::Stats& calls);
  bool begin_drain(const std::string& why);
  void begin_stop();
  void at_deadline(std::chrono::milliseconds time, std::function<void()> then);
  void info(std::string text);
  void complain(std::string text, observe::LogLevel level = observe::LogLevel::warn);
  void speak(const std::string& text, observe::LogLevel level = observe::LogLevel::info);
  void say(const std::string& text);
  observe::RunView view();
  int finish();

  const RunOptions& options_;
  const Mode mode_;
  Shell* const borrowed_shell_;  // null: nobody types
  const Clock::time_point began_ = Clock::now();
  RunOptions before_;      // what the run before had
  std::uint64_t run_ = 0;  // TaskId::run; set by open_repository()
  StopFlag stop_inputs_;

  // In the order in which they must come and, reversed, go.
  std::unique_ptr<git::Repository> repository_;
  std::optional<journal::RunLock> lock_;
  std::optional<KeptSettings> kept_;          // from open() on
  std::unique_ptr<git::Repository> look_up_;  // a second handle: the commit stage uses the first alone
  std::unique_ptr<git::KeyIndex> index_;
  std::unique_ptr<mockapi::Server> builtin_;
  http::Options http_options_;
  std::vector<std::unique_ptr<input::Reader>> readers_;
  std::unique_ptr<git::RecordReader> failed_;  // of look_up_
  std::unique_ptr<RunLog> log_;                // from open() on; outlives what tells it
  std::optional<Planner> planner_;
  std::unique_ptr<Observers> observers_;    // from run() on
  std::atomic<Observers*> shown_{nullptr};  // the same; set once by run(), as the log's thread may speak before
  std::unique_ptr<Engine> engine_;
  journal::Journal* borrowed_journal_ = nullptr;  // the engine's
  http::CallStage* borrowed_call_ = nullptr;      // the engine's
  const Stage* borrowed_commit_ = nullptr;        // the engine's
  std::unique_ptr<Feeder> feeder_;
  SlowStreams slow_streams_;
  std::unique_ptr<observe::WebServer> web_;  // listens from open() on; the observers' from run() on

  std::atomic<std::uint64_t> held_{0};         // tasks that retired held; written by retired()
  std::atomic<bool> any_failure_held_{false};  // set by held_failure()
  std::optional<TimeBudget> time_budget_;      // from run() on, as long as the run can be steered
  std::string spent_;                          // which budget ended the run; guarded by control_mutex_

  std::mutex control_mutex_;  // of steering: signals, deadlines, faults
  bool controllable_ = true;  // the engine is there to be steered; guarded by control_mutex_
  std::atomic<observe::Phase> phase_{observe::Phase::running};  // written under control_mutex_
  std::atomic<bool> paused_{false};                             // likewise
  std::mutex fault_mutex_;
  std::optional<Error> fault_;                           // the first error of journal, disk or repository
  bool work_tree_behind_ = false, push_behind_ = false;  // set while the engine goes, read afterwards
  std::mutex ended_mutex_;
  std::condition_variable ended_changed_;
  bool ended_ = false;
  std::vector<std::jthread> deadlines_;  // guarded by ended_mutex_ until the run has ended
};

Result<void> Session::open_repository() {
  git::RepositoryOptions where{options_.repo, options_.branch, {}};
  if (mode_ != Mode::run && mode_ != Mode::shell) where.missing = git::RepositoryOptions::Missing::fail;
  auto repository = git::Repository::open(where);
  if (!repository) return std::unexpected(repository.error());
  repository_ = std::move(*repository);
  auto lock = journal::RunLock::take(repository_->private_folder());
  if (!lock) return std::unexpected(lock.error());
  lock_.emplace(std::move(*lock));
  auto look_up = git::Repository::open(where);
  if (!look_up) return std::unexpected(look_up.error());
  look_up_ = std::move(*look_up);
  if (layout_of(options_) == git::Layout::record) {
    auto index = git::KeyIndex::open(*look_up_, [this](std::uint64_t keys) {
      if (keys > 0) info(fmt::format("reading the branch: {} keys so far", keys));
    });
    if (!index) return std::unexpected(index.error());
    index_ = std::move(*index);
  }
  const std::string settings = (repository_->private_folder() / "settings").string();
  if (auto read = read_settings(before_, settings); !read) return read;
  run_ = std::max(now_us(), before_.last_run + 1);  // also after the clock was set back
  return {};
}

Result<void> Session::open_engine() {
  auto commit = commit_options(options_, run_);
  commit.on_work_tree_report = [this](const git::WorkTreeReport& report) {
    if (!report.problem.empty()) {
      complain("the branch has the results, the work tree does not: " + report.problem + "; the next run catches up");
      work_tree_behind_ = true;
    }
    if (report.files_left != 0) complain(left_files_text(report));
  };
  commit.on_push_report = [this](const git::PushReport& report) { pushed(report); };
  commit.on_branch_report = [this](const git::BranchReport& report) { log_->branch_report(report); };
  auto journal = journal::Journal::open(journal_options(options_, *repository_));
  if (!journal) return std::unexpected(journal.error());
  const std::string& branch = repository_->branch();
  if (auto fits = check_left_tasks((*journal)->left(), before_, options_, branch); !fits) return fits;
  if (mode_ == Mode::run || mode_ == Mode::shell)
    if (auto has = check_token((*journal)->left(), before_, options_); !has) return has;
  kept_.emplace(to_remember(options_, branch, run_), (repository_->private_folder() / "settings").string());
  if (auto kept = kept_->write(); !kept) return kept;
  if (auto noted = note_begin(options_, *repository_, run_); !noted) return noted;
  http_options_.on_spent = [this](const http::Spent& spent) { call_budget_spent(spent); };
  http_options_.on_tokens_unknown = [this](const Task& task) {
    complain(
        fmt::format("stream {}, id {}: the answer has no number at {} (--budget-tokens-by), so it and others like "
                    "it are counted as 0 tokens",
                    task.request.stream, task.request.id, options_.budget_tokens_by));
  };
  http_options_.on_retry = [this](const http::RetryNote& note) {
    log_->retried(note);
    observers_->retried(note);
  };
  http_options_.on_event = [this](const http::Event& event) { log_->call_event(event); };
  http_options_.on_held_failure = [this](const Task& task) { held_failure(task); };
  auto call = http::make_call_stage(http_options_, journal->get());
  if (!call) return std::unexpected(call.error());
  auto encoder = git::make_encoder(commit);
  if (!encoder) return std::unexpected(encoder.error());
  auto committer = git::make_commit_stage(*repository_, commit);
  if (!committer) return std::unexpected(committer.error());
  borrowed_journal_ = journal->get();
  borrowed_call_ = call->get();
  borrowed_commit_ = committer->get();

  Planner::Options planning{run_, Rerun::none};
  if (options_.retry_failed) planning.rerun = Rerun::failed;
  if (options_.again) planning.rerun = Rerun::all;
  if (mode_ == Mode::failed) planning.rerun = Rerun::recorded;
  planner_.emplace(index_.get(), planning);
  Limits limits;
  limits.tasks_in_flight = options_.tasks_in_flight;
  limits.bytes_in_flight = options_.bytes_in_flight;
  auto engine =
      Engine::make(limits, {std::move(*journal), std::move(*call), std::move(*encoder), std::move(*committer)},
                   [this](const Task& task) { retired(task); });
  if (!engine) return std::unexpected(engine.error());
  engine_ = std::move(*engine);
  return {};
}

Result<void> Session::open() {
  if (auto valid = check(options_); !valid) return valid;
  if (mode_ == Mode::failed && layout_of(options_) == git::Layout::raw)
    return failure(ErrorCode::usage, "--failed: layout raw keeps no record of failures; run the inputs again");
  auto builtin = start_builtin(options_);
  if (!builtin) return std::unexpected(builtin.error());
  builtin_ = std::move(*builtin);
  auto http = http_options(options_, builtin_.get());
  if (!http) return std::unexpected(http.error());
  http_options_ = std::move(*http);
  auto log = RunLog::open(options_, http_options_,
                          {[this](std::string line) { say(line); }, [this](std::string text) { complain(text); }});
  if (!log) return std::unexpected(log.error());
  log_ = std::move(*log);
  if (auto valid = commit_options(options_, run_).validate(); !valid) return valid;
  if (auto opened = open_web(options_, web_); !opened) return opened;
  // Inputs before the repository: a mistyped file name must not leave a repository behind.
  if (mode_ == Mode::run) {
    auto readers = open_inputs(options_, stop_inputs_.fd());
    if (!readers) return std::unexpected(readers.error());
    readers_ = std::move(*readers);
  }
  if (borrowed_shell_ != nullptr) {
    auto typed = borrowed_shell_->open_input(options_, stop_inputs_.fd());
    if (!typed) return std::unexpected(typed.error());
    readers_.push_back(std::move(*typed));
  }
  if (auto opened = open_repository(); !opened) return opened;
  if (mode_ == Mode::run)
    if (auto free = check_stream_folders(options_, readers_, *repository_); !free) return free;
  if (mode_ == Mode::failed) {
    auto failed = git::RecordReader::open(*look_up_, git::Records::failed);
    if (!failed) return std::unexpected(failed.error());
    failed_ = std::move(*failed);
  }
  return open_engine();
}

void Session::start_feeding() {
  const auto left = borrowed_journal_->left();
  if (left.tasks != 0)
    speak(
        fmt::format("the journal holds {} of an earlier run, {} of them answered and {} perhaps on their way "
                    "when it ended: these first",
                    counted(left.tasks, "task"), left.answers, left.in_doubt));
  if (left.torn_bytes != 0) speak(fmt::format("the journal's last {} bytes were torn and are cut", left.torn_bytes));
  if (options_.format == "auto" && borrowed_shell_ == nullptr)
    for (std::size_t i = 0; i < readers_.size(); ++i)
      info(fmt::format("{}: {}", input::source_name(options_.inputs[i]), readers_[i]->how_chosen()));
  Feeder::Sources sources;
  sources.borrowed_journal = borrowed_journal_;
  sources.readers = std::move(readers_);
  sources.failed = std::move(failed_);
  sources.on_bad_line = options_.on_bad_line == "skip" ? OnBadLine::skip : OnBadLine::stop;
  sources.hold_in_doubt = options_.on_unknown == "hold";
  feeder_ = std::make_unique<Feeder>(*engine_, *planner_, stop_inputs_, std::move(sources),
                                     [this](std::string text) { complain(std::move(text)); });
}

/// Runs on a graph worker for every task that retires.
void Session::retired(const Task& task) {
  log_->retired(task);
  observers_->retired(task);
  if (task.committed) {
    if (task.outcome.success()) return;
    if (layout_of(options_) == git::Layout::raw) complain(failure_in_raw(task));
    if (const auto noted = planner_->note_failure(task.request); !noted) complain(noted.error().context);
    return;
  }
  if (!task.error || task.error->code == ErrorCode::cancelled) return;
  if (task.error->code == ErrorCode::held) {
    held_.fetch_add(1, std::memory_order_relaxed);  // relaxed: shown only
    return;
  }
  bool first = false;
  {
    const std::lock_guard lock(fault_mutex_);
    first = !fault_.has_value();
    if (first) fault_ = task.error;
  }
  const bool alone = task.error->code == ErrorCode::obstructed;
  if (alone)
    complain(task.error->context + "; the task stays in the journal: move what is in its way, then pawl resume " +
             shell_word(options_.repo));
  if (alone || !first) return;
  complain(task.error->context, observe::LogLevel::error);
  const std::lock_guard lock(control_mutex_);
  begin_drain("nothing more can be stored, so nothing more is called");
}

/// Runs on the call stage's thread when --on-failure holds a task back.
void Session::held_failure(const Task& task) {
  planner_->hold_stream(task.request.stream);
  const bool first = !any_failure_held_.exchange(true, std::memory_order_relaxed);  // relaxed: only decides who speaks
  if (!first) return;
  if (options_.on_failure != "halt")
    return complain(task.error->context + "; held, as all failures of this run, with what follows in their streams");
  const std::lock_guard lock(control_mutex_);
  begin_drain(task.error->context + "; held, and nothing more is called (--on-failure halt)");
}

/// Runs on the call stage's thread.
void Session::call_budget_spent(const http::Spent& spent) {
  const std::lock_guard lock(control_mutex_);
  if (spent.what == http::Spent::What::calls)
    budget_spent(fmt::format("--budget-calls {}", options_.budget_calls));
  else
    budget_spent(fmt::format("--budget-tokens {}", options_.budget_tokens));
}

/// control_mutex_ is held.
void Session::budget_spent(const std::string& which) {
  const auto calling = controllable_ ? engine_->status().call.active : 0;
  if (begin_drain(fmt::format("{} is spent: no new call begins; finishing {} and committing them", which,
                              counted(calling, "running call")))) {
    spent_ = which;
    log_->spent(which);
  }
}

/// The last word on a run that a budget has ended.
void Session::say_what_was_spent(const http::Stats& calls) {
  const std::lock_guard lock(control_mutex_);
  if (spent_.empty()) return;
  const auto seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  std::string tokens = options_.budget_tokens != 0 ? fmt::format(" and {} tokens", calls.tokens) : std::string();
  complain(
      fmt::format("{} is spent: {}{} in {:.1f} s; what is left stays saved, `pawl resume {}` goes on with "
                  "that budget anew, or with another one given there (0: none)",
                  spent_, counted(calls.attempts_sent, "call"), tokens, seconds, shell_word(options_.repo)));
}

/// control_mutex_ is held. False: the run is ending already.
bool Session::begin_drain(const std::string& why) {
  observe::Phase running = observe::Phase::running;
  if (!phase_.compare_exchange_strong(running, observe::Phase::draining)) return false;
  complain(why);
  stop_inputs_.raise();
  if (controllable_) engine_->drain();
  return true;
}

/// control_mutex_ is held.
void Session::begin_stop() {
  if (phase_.exchange(observe::Phase::stopping) == observe::Phase::stopping) return;
  complain("stopping now; unfinished tasks stay saved");
  stop_inputs_.raise();
  if (controllable_) engine_->abort();
  at_deadline(std::chrono::milliseconds{900}, [this] {
    // Whatever still blocks (a disk, a remote file system): what is accepted is in the journal, so leaving is safe.
    std::fputs(("pawl: stopped; `pawl resume " + shell_word(options_.repo) + "` continues\n").c_str(), stderr);
    LineEditor::restore_terminal();
    std::_Exit(kUnfinished);
  });
}

void Session::pushed(const git::PushReport& report) {
  if (report.problem.empty()) return;
  const bool end = report.moment == git::PushReport::Moment::end;
  complain(fmt::format("{} is behind the branch: {}{}", report.remote, report.problem,
                       end ? "; the next run with --push catches up" : "; pawl keeps trying"));
  if (end) push_behind_ = true;
}

void Session::on_signal(int number) {
  if (number == SIGINT && borrowed_shell_ != nullptr && borrowed_shell_->interrupt()) return;
  const std::lock_guard lock(control_mutex_);
  if (phase_.load() == observe::Phase::running)
    drain_as_asked("press Ctrl-C again");
  else if (number != SIGHUP)
    begin_stop();
}

/// A person, or what manages services, wants an end. control_mutex_ is held.
void Session::drain_as_asked(const std::string& how_to_stop) {
  (void)observe::notify_stopping();
  const auto calling = controllable_ ? engine_->status().call.active : 0;
  const bool begun =
      begin_drain(fmt::format("taking no more: finishing {} and committing them ({} to stop now; unfinished tasks "
                              "stay saved, `pawl resume {}` continues)",
                              counted(calling, "running call"), how_to_stop, shell_word(options_.repo)));
  if (begun && options_.drain_timeout.value.count() > 0)
    at_deadline(options_.drain_timeout.value, [this] {
      const std::lock_guard late(control_mutex_);
      begin_stop();
    });
}

void Session::drain() {
  const std::lock_guard lock(control_mutex_);
  if (phase_.load() == observe::Phase::running) drain_as_asked("pawl ctl " + shell_word(options_.repo) + " stop");
}

void Session::stop() {
  const std::lock_guard lock(control_mutex_);
  (void)observe::notify_stopping();
  begin_stop();
}

void Session::pause() { hold_calls(true); }

void Session::resume() { hold_calls(false); }

void Session::hold_calls(bool hold) {
  const std::lock_guard lock(control_mutex_);
  if (!controllable_ || paused_.exchange(hold) == hold) return;
  http::Changes change;
  change.paused = hold;
  if (!borrowed_call_->change(change)) return;  // only numbers can be wrong
  hold ? time_budget_->pause() : time_budget_->go_on();
  const auto calling = engine_->status().call.active;
  complain(hold ? fmt::format("paused: no new call leaves, {} running calls finish; pawl ctl {} resume goes on",
                              calling, shell_word(options_.repo))
                : "goes on: calls leave again");
}

Result<void> Session::set(std::string_view key, std::string_view value) {
  return kept_->set(key, value, [&] { return set_now(key, value); });
}

Result<void> Session::set_now(std::string_view key, std::string_view value) {
  if (key == "log-level") return log_->set_level(value);
  const auto change = call_change(key, value);
  if (!change) return std::unexpected(change.error());
  const std::lock_guard lock(control_mutex_);
  if (!controllable_) return {};
  if (auto changed = borrowed_call_->change(*change); !changed)
    return failure(changed.error().code, fmt::format("{}: {} (the run has --call-threads {})", key,
                                                     changed.error().context, options_.call_threads));
  complain(fmt::format("set {}={}", key, value));
  return {};
}

/// Calls `then` after `time`, unless the run ends before.
void Session::at_deadline(std::chrono::milliseconds time, std::function<void()> then) {
  const std::lock_guard lock(ended_mutex_);
  if (ended_) return;
  deadlines_.emplace_back([this, time, then = std::move(then)] {
    std::unique_lock wait(ended_mutex_);
    if (ended_changed_.wait_for(wait, time, [this] { return ended_; })) return;
    wait.unlock();
    then();
  });
}

void Session::info(std::string text) { complain(std::move(text), observe::LogLevel::info); }

void Session::complain(std::string text, observe::LogLevel level) {
  if (log_) log_->message(level, text);
  speak(text, level);
}

/// For a person alone: the log has it in its own words.
void Session::speak(const std::string& text, observe::LogLevel level) {
  const bool wanted = level != observe::LogLevel::info || !options_.quiet;
  if (wanted && !(log_ && log_->is_voice())) say("pawl: " + text);
}

/// A line on standard error, above the live line.
void Session::say(const std::string& text) {
  if (Observers* const shown = shown_.load(std::memory_order_acquire))  // acquire: pairs with run()
    shown->line(text);
  else
    std::fprintf(stderr, "%s\n", text.c_str());
}

observe::RunView Session::view() {
  observe::RunView view;
  view.status = engine_->status();
  view.phase = phase_.load();
  view.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
  if (feeder_) {
    const auto counts = feeder_->counts();
    view.inputs_read = counts.read;
    view.recovered = counts.recovered;
    view.bad_lines = counts.bad_lines;
    view.bytes_read = counts.bytes_read;
    view.bytes_total = counts.bytes_total;
    view.in_doubt = counts.in_doubt;
    if (feeder_->complete()) view.tasks_total = counts.read + counts.recovered - planner_->held_back();
  }
  view.held = held_.load(std::memory_order_relaxed);
  view.skipped = planner_->skipped();
  view.skipped_failed = planner_->skipped_failed();
  show_stages(view, {*borrowed_journal_, *borrowed_call_, *borrowed_commit_}, options_);
  if (time_budget_) view.budget.time = time_budget_->counted();
  view.streams = slow_streams_.look(*engine_);
  view.errors = observers_->errors();
  view.paused = paused_.load();
  if (view.paused) view.note = "paused: no new call leaves; pawl ctl " + shell_word(options_.repo) + " resume goes on";
  return view;
}

int Session::run() {
  observers_ = std::make_unique<Observers>(options_, [this] { return view(); }, *this, borrowed_shell_);
  shown_.store(observers_.get(), std::memory_order_release);                     // release: pairs with say()
  auto signals = SignalWatch::start([this](int number) { on_signal(number); });  // signals before it have waited
  if (!signals) return complain(signals.error().context), exit_code_of(signals.error());
  log_->began(run_, borrowed_journal_->left(), repository_->branch());
  start_feeding();
  time_budget_.emplace(options_.budget_time.value, began_, [this] {
    const std::lock_guard lock(control_mutex_);
    budget_spent("--budget-time " + to_text(options_.budget_time));
  });
  // From here on other threads look at feeder and budget through view().
  observers_->start(repository_->private_folder(), std::move(web_));
  (void)observe::notify_ready();
  feeder_->wait();
  engine_->close();
  return finish();
}

/// Everything has retired: lets the stages finish the work tree and the journal, and says how it went.
int Session::finish() {
  auto last = view();
  last.phase = observe::Phase::done;
  last.note.clear();
  {
    const std::lock_guard lock(control_mutex_);
    controllable_ = false;
  }
  observers_->stop();
  time_budget_.reset();  // nobody pauses it any more
  const auto calls = borrowed_call_->stats();
  const auto feed_error = feeder_->error();
  const bool complete = feeder_->complete();
  feeder_.reset();
  if (!options_.push.empty())
    at_deadline(kQuietPush, [this] {
      complain(
          fmt::format("still pushing to {}; Ctrl-C twice leaves the rest to the next run with --push", options_.push));
    });
  engine_.reset();  // may take a while: the work tree's last files, the index. A second signal still ends it.
  {
    const std::lock_guard lock(ended_mutex_);
    ended_ = true;
  }
  ended_changed_.notify_all();
  last.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
  if (index_ && last.status.unfinished == 0 && !fault_ && planner_->index_is_true())
    if (auto marked = index_->mark_clean(*look_up_, run_); !marked) complain(marked.error().context);
  ExitCode code = kAllDone;
  if (last.status.failed != 0 || last.bad_lines != 0 || last.skipped_failed != 0) code = kSomeFailed;
  if (last.status.unfinished != 0 || !complete) code = kUnfinished;
  if (feed_error) code = exit_code_of(*feed_error);
  if (fault_ || work_tree_behind_ || push_behind_) code = kStorage;
  if (feed_error) complain(feed_error->context, observe::LogLevel::error);
  if (code == kUnfinished) say_what_was_spent(calls);
  if (auto noted = note_end(options_, *repository_, run_, code, last); !noted) complain(noted.error().context);
  log_->ended(code, last);
  log_->stop();
  if (!options_.quiet && options_.progress != "json") {
    observe::SummaryOptions summary;
    summary.result = fmt::format("{}, branch {}", options_.repo, short_branch(repository_->branch()));
    summary.next_command = next_command(options_, {mode_, code, complete, planner_->held_back()}, last);
    summary.style = observe::Style::of_environment(2);
    std::fputs(observe::render_summary(last, summary).c_str(), stderr);
  }
  return code;
}

}  // namespace

int run_session(const RunOptions& options, Mode mode, Shell* borrowed_shell) {
  Session session(options, mode, borrowed_shell);
  if (auto opened = session.open(); !opened) {
    std::fprintf(stderr, "pawl: %s\n", opened.error().context.c_str());
    return exit_code_of(opened.error());
  }
  return session.run();
}

}  // namespace pawl::tool
