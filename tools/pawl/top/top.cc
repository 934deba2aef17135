#include "top.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <pawl/git.h>
#include <pawl/observe.h>
#include <pawl/observe_screen.h>

#include "exit_code.h"
#include "file_descriptor.h"
#include "look.h"
#include "painter.h"
#include "signals.h"
#include "status.h"
#include "watcher.h"

namespace pawl::tool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAskEvery{250};
constexpr std::chrono::milliseconds kPaintAtMostEvery{100};
constexpr std::chrono::seconds kSilence{2};  // before it is said that the run does not answer

bool has_terminal() {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || *term == '\0' || std::strcmp(term, "dumb") == 0;
  return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1 && !dumb;
}

int show_plainly(const TopOptions& options) {
  unblock_signals();
  StatusOptions status;
  status.repo = options.repo;
  status.watch = true;
  return show_status(status);
}

class Top {
 public:
  Top(const TopOptions& options, const std::filesystem::path& folder) : watcher_(folder, kAskEvery) {
    shown_.title = options.repo;
    shown_.keys = "q leaves; the run goes on";
  }

  enum class End : std::uint8_t { left, run_over, signalled, unusable };
  End run();
  [[nodiscard]] const Watcher::Seen& last() const noexcept { return seen_; }
  [[nodiscard]] int signal_number() const noexcept { return signal_; }

 private:
  bool open_signals();
  std::optional<End> look();
  void paint();

  Watcher watcher_;
  FileDescriptor signals_;
  std::unique_ptr<Painter> painter_;
  observe::ScreenOptions shown_;
  Watcher::Seen seen_;
  Clock::time_point painted_{};
  bool due_ = false;  // what is on the screen is not what is known
  bool resized_ = false;
  int signal_ = 0;
};

bool Top::open_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) ::sigaddset(&set, number);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  return signals_.valid();
}

/// Takes in what keys, signals and the run say.
std::optional<Top::End> Top::look() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGINT) return End::left;
    if (info.ssi_signo != SIGWINCH) return signal_ = static_cast<int>(info.ssi_signo), End::signalled;
    due_ = resized_ = true;
  }
  for (int key = painter_->key(); key != 0; key = painter_->key()) {
    if (key == 'q' || key == 'Q') return End::left;
    if (key == Painter::kRedrawKey) painter_->forget(), due_ = true;
  }
  seen_ = watcher_.take();
  if (seen_.ended) return End::run_over;
  return std::nullopt;
}

void Top::paint() {
  if (std::exchange(resized_, false)) {
    painter_->resized();
    painter_->forget();  // terminals differ in what they leave where
  }
  const auto silent = Clock::now() - seen_.answered;
  shown_.notice.clear();
  if (silent > kSilence)
    shown_.notice = fmt::format("no answer from the run for {} s{}{}",
                                std::chrono::duration_cast<std::chrono::seconds>(silent).count(),
                                seen_.problem.empty() ? "" : ": ", seen_.problem);
  painter_->paint(observe::render_screen(seen_.view.value_or(observe::RunView{}), shown_, painter_->size()));
  painted_ = Clock::now();
  due_ = false;
}

Top::End Top::run() {
  if (!open_signals()) return End::unusable;
  auto style = observe::Style::of_environment(STDOUT_FILENO);
  auto painter = Painter::open(style);
  if (!painter) return End::unusable;
  painter_ = std::move(*painter);
  shown_.utf8 = style.utf8;
  while (true) {
    if (const auto end = look()) return painter_.reset(), *end;
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - painted_);
    if (due_ && since >= kPaintAtMostEvery) paint();
    const auto rest = due_ ? kPaintAtMostEvery - std::min(since, kPaintAtMostEvery) : std::chrono::milliseconds{1000};
    pollfd polled[] = {{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}, {watcher_.fd(), POLLIN, 0}};
    const int ready = ::poll(polled, 3, static_cast<int>(std::max<std::int64_t>(rest.count(), 1)));
    if (ready > 0 && polled[2].revents != 0) due_ = true;
    // A terminal that is gone stays readable and has no keys.
    if (ready > 0 && (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) return painter_.reset(), End::left;
    if (ready == 0) due_ = true;
  }
}

}  // namespace

int show_top(const TopOptions& options) {
  if (!has_terminal()) return show_plainly(options);
  auto looked = open_to_look(options.repo, {});
  if (!looked) return fmt::print(stderr, "pawl: {}\n", looked.error().context), exit_code_of(looked.error());
  const auto folder = looked->repository->private_folder();
  const auto first = observe::read_status(folder);
  if (!first) return show_plainly(options);  // says what there is to say of a run that is not live
  Top top(options, folder);
  const Top::End end = top.run();
  if (end == Top::End::unusable) return show_plainly(options);
  if (end == Top::End::signalled) {
    ::signal(top.signal_number(), SIG_DFL);  // ncurses has a handler of its own
    unblock_signals();
    ::raise(top.signal_number());
  }
  if (end != Top::End::run_over) return kAllDone;
  if (const auto& last = top.last().view)
    fmt::print("the run has ended; as last seen: {}\n",
               observe::render_plain(*last, observe::Style::of_environment(STDOUT_FILENO)));
  std::fflush(stdout);
  unblock_signals();
  StatusOptions status;
  status.repo = options.repo;
  return show_status(status);
}

}  // namespace pawl::tool
