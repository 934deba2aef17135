#include "shell.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <utility>

#include <pawl/observe_screen.h>
#include <pawl/thread.h>

#include "stages.h"

namespace pawl::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kCountEvery{500};  // the prompt's counts
constexpr std::size_t kMostNews = 256;
constexpr std::size_t kMostFailures = 20;
constexpr std::size_t kMostPending = std::size_t{64} << 20;  // bytes that the run has not read yet
constexpr std::size_t kPlainPending = std::size_t{1} << 20;  // the same, of plain input: more is not read yet
constexpr std::size_t kPreviewBytes = 400;                   // of an answer

constexpr const char* kHelp =
    "a line is a task; with two slashes in front it is sent with one\n"
    "/status            what waits, runs, is done, failed\n"
    "/streams           which streams have waited longest, and what for\n"
    "/failed            what went wrong, and how often\n"
    "/pause, /resume    no new call leaves; calls leave again\n"
    "/set KEY=VALUE     parallel-max, rate, rate-tokens, log-level\n"
    "/quit              takes no more and finishes what was taken; again: stops now, the rest stays saved\n"
    "/help              this\n"
    "Ctrl-D is /quit, Ctrl-C clears the line (twice: /quit), Ctrl-R searches the history\n";

/// Local time to the millisecond: a name that no earlier shell has had, and that sorts.
std::string name_by_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::localtime_r(&now.tv_sec, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "shell-%Y%m%d-%H%M%S", &parts);
  return fmt::format("{}-{:03}", text.data(), now.tv_nsec / 1'000'000);
}

/// The XDG base directory specification's place for what a program remembers; empty: there is none.
std::filesystem::path history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::filesystem::path(state) / "pawl" / "history";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') return {};
  return std::filesystem::path(home) / ".local" / "state" / "pawl" / "history";
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r") == std::string_view::npos; }

std::string_view trimmed(std::string_view text) {
  const auto begin = std::min(text.find_first_not_of(" \t\r"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

std::string time_text(std::chrono::milliseconds time) {
  const auto ms = time.count();
  return ms < 1000 ? fmt::format("{} ms", ms) : fmt::format("{:.2f} s", static_cast<double>(ms) / 1000);
}

void ring(int fd) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd, &one, sizeof one);  // full: readable already
}

std::size_t columns_of_terminal() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Result<std::unique_ptr<Shell>> Shell::open() {
  std::unique_ptr<Shell> shell(new Shell);
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || *term == '\0' || std::strcmp(term, "dumb") == 0;
  shell->terminal_ = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1 && !dumb;
  shell->style_ = observe::Style::of_environment(STDERR_FILENO);
  shell->name_ = name_by_time();
  shell->wake_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  int ends[2] = {-1, -1};
  const bool piped = ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0;
  shell->from_ = FileDescriptor(ends[0]);
  shell->into_ = FileDescriptor(ends[1]);
  sigset_t set;
  ::sigemptyset(&set);
  if (shell->terminal_) {
    ::sigaddset(&set, SIGWINCH);
    ::sigaddset(&set, SIGTSTP);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  }
  shell->signals_ = FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!piped || !shell->wake_.valid() || !shell->signals_.valid())
    return failure(ErrorCode::io, std::string("cannot start the prompt: ") + std::strerror(errno), errno);
  return shell;
}

Shell::~Shell() { end(); }

Result<std::unique_ptr<input::Reader>> Shell::open_input(const RunOptions& options, int cancel_fd) {
  if (options.format == "files")
    return failure(ErrorCode::usage, "pawl shell reads lines: --format lines, urls or batch");
  auto reading = input_options(options, cancel_fd);
  if (!reading) return std::unexpected(reading.error());
  if (reading->format == input::Format::automatic) reading->format = input::Format::lines;
  auto reader = input::Reader::open({"shell", name_, from_.get()}, *reading);
  from_ = FileDescriptor();  // the reader has its own: once it is gone, writes fail instead of waiting for nobody
  return reader;
}

void Shell::begin(Run run) {
  run_ = std::move(run);
  {
    const std::lock_guard lock(mutex_);
    running_ = true;
  }
  thread_ = std::thread([this] {
    name_this_thread("pawl-shell");
    loop();
  });
}

void Shell::end() {
  ended_.store(true, std::memory_order_release);
  ring(wake_.get());
  if (!thread_.joinable()) return;
  thread_.join();
  print_news();
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
  print_news();  // what came in between
  const auto last = run_.view();
  const auto read = last.inputs_read + last.bad_lines;
  if (given_ > read)
    say(fmt::format("pawl: the last {} lines were not accepted, so they are not saved", given_ - read));
}

void Shell::say(std::string text) { push({std::move(text), News::Kind::message}); }

void Shell::push(News news) {
  {
    const std::lock_guard lock(mutex_);
    if (running_) {
      if (news_.size() < kMostNews)
        news_.push_back(std::move(news));
      else
        ++left_out_;
      return ring(wake_.get());
    }
  }
  print(shown(news));
}

std::string Shell::name_of(const Request& request) const {
  const std::string_view id = request.id;
  if (id.size() > name_.size() && id.starts_with(name_) && id[name_.size()] == ':')
    return fmt::format("[{}]", id.substr(name_.size() + 1));
  if (request.stream == name_) return fmt::format("[{}]", id);
  return fmt::format("[{} {}]", request.stream, id);
}

void Shell::announce(const Task& task) {
  const Outcome& outcome = task.outcome;
  if (!task.committed) {
    if (!task.error || task.error->code == ErrorCode::cancelled) return;  // the summary counts what is left
    return push({fmt::format("{} {}", name_of(task.request), task.error->context), News::Kind::failure});
  }
  std::string what = outcome.kind == Outcome::Kind::answered ? fmt::format("{}", outcome.status_code)
                                                             : fmt::format("{}", outcome.error_code);
  std::string text = fmt::format("{} {} in {}", name_of(task.request), what, time_text(outcome.duration));
  if (outcome.attempts > 1) text += fmt::format(", {} attempts", outcome.attempts);
  const std::string& said = outcome.kind == Outcome::Kind::answered ? outcome.body : outcome.error_message;
  if (!said.empty()) text += ": " + said.substr(0, kPreviewBytes);
  if (outcome.success()) return push({std::move(text), News::Kind::result});
  {
    const std::lock_guard lock(mutex_);
    failures_.push_back(text);
    if (failures_.size() > kMostFailures) failures_.pop_front();
  }
  push({std::move(text), News::Kind::failure});
}

bool Shell::interrupt() {
  if (!terminal_ || ended_.load(std::memory_order_acquire)) return false;
  interrupts_.fetch_add(1, std::memory_order_relaxed);  // relaxed: the eventfd orders it
  ring(wake_.get());
  return true;
}

void Shell::loop() {
  if (terminal_) {
    auto editor = LineEditor::open({[this] { return prompt(); }, [this] { return wait(); }}, history_file());
    if (editor) {
      editor_ = std::move(*editor);
      read_terminal();
      editor_.reset();
      return;
    }
    print(editor.error().context + "\n");
  }
  read_plain();
}

void Shell::read_terminal() {
  print(fmt::format("each line is a task of stream {}; /help says what else there is\n", name_));
  std::string text;
  while (true) {
    switch (editor_->read(text)) {
      case LineEditor::Got::line:
        editor_->remember(text);
        line(text);
        break;
      case LineEditor::Got::cancelled: interrupted(); break;
      case LineEditor::Got::end: quit(); break;
      case LineEditor::Got::gone:
        if (!quitting_) quit();
        return wait_for_end();
      case LineEditor::Got::left: return;
    }
  }
}

void Shell::read_plain() {
  std::string text;  // what has no line end yet
  std::array<char, 65536> chunk;
  while (true) {
    const auto woken = wait();
    if (woken == LineEditor::Wake::leave) return;
    if (woken == LineEditor::Wake::cancel) {
      interrupted();
      continue;
    }
    const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) {
      if (!text.empty()) line(text);
      if (!quitting_) quit();
      return wait_for_end();
    }
    text.append(chunk.data(), static_cast<std::size_t>(got));
    take_plain(text);
  }
}

/// Takes the whole lines off `text`.
void Shell::take_plain(std::string& text) {
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    line(text.substr(begin, end - begin));
    begin = end + 1;
  }
  text.erase(0, begin);
}

/// There is nothing more to read; what is announced still is.
void Shell::wait_for_end() {
  input_over_ = true;
  for (auto woken = wait(); woken != LineEditor::Wake::leave; woken = wait())
    if (woken == LineEditor::Wake::cancel) interrupted();
}

/// Waits for standard input, and does all else meanwhile.
LineEditor::Wake Shell::wait() {
  while (true) {
    if (ended_.load(std::memory_order_acquire)) return LineEditor::Wake::leave;
    if (interrupts_.exchange(0, std::memory_order_relaxed) != 0) return LineEditor::Wake::cancel;
    print_news();
    feed_pipe();
    if (editor_ && Clock::now() - counted_ >= kCountEvery) {
      count();
      editor_->redraw();
    }
    // A full pipe holds plain input back; a person is told instead.
    const bool reads = !input_over_ && (editor_ || pending_.size() < kPlainPending);
    pollfd polled[] = {{reads ? STDIN_FILENO : -1, POLLIN, 0},
                       {wake_.get(), POLLIN, 0},
                       {signals_.get(), POLLIN, 0},
                       {pending_.empty() ? -1 : into_.get(), POLLOUT, 0}};
    ::poll(polled, std::size(polled), editor_ ? static_cast<int>(kCountEvery.count()) : -1);
    std::uint64_t rung = 0;
    while (::read(wake_.get(), &rung, sizeof rung) > 0) {
    }
    signalfd_siginfo signal;
    while (::read(signals_.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
      if (!editor_) continue;
      if (signal.ssi_signo == SIGWINCH) editor_->resized();
      if (signal.ssi_signo == SIGTSTP) editor_->stop_here();
    }
    if (polled[0].revents != 0) return LineEditor::Wake::input;
  }
}

void Shell::line(const std::string& text) {
  interrupted_before_ = false;
  if (is_blank(text)) return;
  if (text.starts_with("//")) return give(std::string_view(text).substr(1));
  if (text.starts_with('/')) return command(trimmed(text));
  give(text);
}

void Shell::give(std::string_view text) {
  if (quitting_ || ending_) return print("not taken: the run takes no more\n");
  if (pending_.size() + text.size() > kMostPending) return print("not taken: too much waits already\n");
  pending_.append(text).append("\n");
  ++given_;
  feed_pipe();
}

void Shell::command(std::string_view text) {
  const auto space = text.find_first_of(" \t");
  const std::string_view name = text.substr(0, space);
  const std::string_view rest = space == std::string_view::npos ? std::string_view() : trimmed(text.substr(space));
  if (name == "/set") return set(rest);
  if (!rest.empty()) return print(fmt::format("{} takes nothing behind it; a task that begins so needs //\n", name));
  if (name == "/help") return print(kHelp);
  if (name == "/status") return show_status();
  if (name == "/streams") return show_streams();
  if (name == "/failed") return show_failures();
  if (name == "/quit") return quit();
  // What these do, the run says itself.
  if (name == "/pause") return run_.borrowed_steering->pause();
  if (name == "/resume") return run_.borrowed_steering->resume();
  print(fmt::format("no such command: {}; /help lists them, and a task that begins with / needs //\n", name));
}

void Shell::set(std::string_view words) {
  const auto at = words.find_first_of("= \t");
  if (at == std::string_view::npos || at == 0) return print("usage: /set KEY=VALUE, such as /set parallel-max=16\n");
  const std::string_view key = words.substr(0, at);
  const std::string_view value = trimmed(words.substr(at + 1));
  const auto done = run_.borrowed_steering->set(key, value);  // the run says that it did
  if (!done) print(done.error().context + "\n");
}

void Shell::quit() {
  if (quitting_) return run_.borrowed_steering->stop();
  quitting_ = true;
  feed_pipe();
  if (!terminal_) return;
  const auto now = view();
  const auto unread = given_ - std::min(given_, now.inputs_read + now.bad_lines);
  const auto left = now.status.in_flight() + unread;
  if (left == 0) return;
  print(fmt::format(
      "{} tasks left ({} calling, {} waiting): finishing and committing them; {}/quit again stops now, and "
      "what is left stays saved\n",
      left, now.calling(), now.waiting() + unread, now.paused ? "the run is paused, /resume lets it go on; " : ""));
}

void Shell::interrupted() {
  if (std::exchange(interrupted_before_, true) || quitting_) return quit();
  print("Ctrl-C again, or /quit, leaves\n");
}

/// Gives the run what its pipe takes, and closes it behind the last line.
void Shell::feed_pipe() {
  while (!pending_.empty()) {
    const ssize_t wrote = ::write(into_.get(), pending_.data(), pending_.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) return;
    if (wrote < 0) return pending_.clear();  // nobody reads any more; end() says what was not accepted
    pending_.erase(0, static_cast<std::size_t>(wrote));
  }
  if (quitting_ && into_.valid()) into_ = FileDescriptor();
}

observe::RunView Shell::view() {
  auto now = run_.view();
  pace_.update(now);
  return now;
}

void Shell::count() {
  const auto now = view();
  counted_ = Clock::now();
  ending_ = now.phase != observe::Phase::running;
  counts_.clear();
  const auto add = [this](const char* name, std::uint64_t number) {
    if (number != 0) counts_ += fmt::format("{}{} {}", counts_.empty() ? "" : ", ", number, name);
  };
  if (now.paused) counts_ = "paused";
  add("calling", now.calling());
  add("waiting", now.waiting());
  add("failed", now.status.failed);
}

std::string Shell::prompt() const {
  const std::string counts = counts_.empty() ? std::string() : " (" + counts_ + ")";
  return quitting_ || ending_ ? fmt::format("finishing{}> ", counts) : fmt::format("pawl {}{}> ", given_ + 1, counts);
}

std::string Shell::shown(const News& news) const {
  constexpr const char* kRed = "\x1b[31m";
  const std::size_t columns =
      terminal_ && news.kind != News::Kind::message ? columns_of_terminal() : observe::kNoWidthLimit;
  std::string text = observe::one_line(news.text, columns, style_);
  if (news.kind == News::Kind::failure && style_.colour) text = kRed + text + "\x1b[0m";
  return text + "\n";
}

void Shell::print_news() {
  std::vector<News> fresh;
  std::uint64_t skipped = 0;
  {
    const std::lock_guard lock(mutex_);
    fresh.swap(news_);
    skipped = std::exchange(left_out_, 0);
  }
  std::string text;
  for (const News& news : fresh) text += shown(news);
  if (skipped != 0) text += fmt::format("and {} more\n", skipped);
  if (!text.empty()) print(text);
}

void Shell::print(const std::string& text) {
  if (editor_) return editor_->print_above(text);
  std::fputs(text.c_str(), stderr);
}

void Shell::show_status() {
  const auto text = observe::render_status(observe::to_json(view()), style_);
  print(text ? *text + "\n" : text.error().context + "\n");
}

void Shell::show_streams() {
  const auto now = view();
  if (now.streams.empty()) return print("no stream waits\n");
  std::string text;
  for (const auto& stream : now.streams) {
    const std::string line =
        fmt::format("{}: {} for {} ({})", stream.stream, stream.waits_for, time_text(stream.waiting), stream.id);
    text += observe::one_line(line, columns_of_terminal(), style_) + "\n";
  }
  print(text);
}

void Shell::show_failures() {
  std::string text;
  for (const auto& error : view().errors)
    text +=
        observe::one_line(fmt::format("{} times, last {} ago: {}", error.count, time_text(error.last_ago), error.text),
                          columns_of_terminal(), style_) +
        "\n";
  {
    const std::lock_guard lock(mutex_);
    for (const auto& failed : failures_) text += observe::one_line(failed, columns_of_terminal(), style_) + "\n";
  }
  print(text.empty() ? "nothing failed\n" : text);
}

}  // namespace pawl::tool
