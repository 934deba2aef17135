#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <pawl/observe.h>
#include <pawl/thread.h>

#include "text.h"
#include "thread_signals.h"

namespace pawl::observe {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kMostMessages = 256;
constexpr milliseconds kLastWait{200};
constexpr std::string_view kClearRest = "\x1b[K";   // from the cursor to the end of its line
constexpr std::string_view kClearBelow = "\x1b[J";  // and everything below
constexpr std::string_view kOneUp = "\x1b[1A";

enum class Shape : std::uint8_t { live, plain, json, silent };

Shape shape_of(const ProgressOptions& options) {
  if (options.mode == ProgressMode::quiet) return Shape::silent;
  if (options.mode == ProgressMode::json) return Shape::json;
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || *term == '\0' || std::string_view(term) == "dumb";
  return ::isatty(options.fd) == 1 && !dumb ? Shape::live : Shape::plain;
}

std::size_t terminal_columns(int fd) noexcept {
  constexpr std::size_t kUsual = 80;
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

}  // namespace

struct Progress::Impl {
  ProgressOptions options;
  std::function<RunView()> sample;
  Shape shape;
  Style style;

  std::mutex mutex;  // guards what follows up to `thread`
  std::condition_variable news;
  std::vector<std::string> messages;
  std::uint64_t left_out = 0;
  bool stopping = false;
  bool running = false;
  steady_clock::time_point give_up_at = steady_clock::time_point::max();  // when stopping: no write waits longer
  std::thread thread;

  Pace pace;            // this and below: the thread's own
  int lines_drawn = 0;  // 0, 1 or 2: of the live line and its note

  Impl(ProgressOptions given, std::function<RunView()> sampler)
      : options(given),
        sample(std::move(sampler)),
        shape(shape_of(given)),
        style(given.style ? *given.style : Style::of_environment(given.fd)) {}

  milliseconds interval() const {
    constexpr milliseconds kShortest{10};
    switch (shape) {
      case Shape::live: return std::max(kShortest, options.redraw_every);
      case Shape::plain: return std::max(kShortest, options.plain_every);
      case Shape::json: return std::max(kShortest, options.json_every);
      case Shape::silent: break;
    }
    return std::chrono::hours{1};
  }

  // Time that a write may still wait; asked anew while it waits, because stop() shortens it.
  milliseconds patience() {
    const std::lock_guard lock(mutex);
    if (give_up_at == steady_clock::time_point::max()) return kLastWait;
    return std::max(milliseconds{0}, std::chrono::duration_cast<milliseconds>(give_up_at - steady_clock::now()));
  }

  bool writable_within(milliseconds wait) const noexcept {
    pollfd polled{options.fd, POLLOUT, 0};
    return ::poll(&polled, 1, static_cast<int>(wait.count())) > 0 && (polled.revents & POLLOUT) != 0;
  }

  // A writable pipe takes PIPE_BUF bytes without blocking. Writes all of `text` unless the descriptor is gone, or
  // stop() has been called and nothing moves any more.
  void write_whole(std::string_view text) {
    while (!text.empty()) {
      const milliseconds wait = patience();
      if (!writable_within(wait)) {
        pollfd polled{options.fd, POLLOUT, 0};
        const bool gone = ::poll(&polled, 1, 0) > 0 && (polled.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
        if (gone || wait < kLastWait) return;
        continue;
      }
      const ssize_t written = ::write(options.fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
      if (written < 0 && errno != EINTR && errno != EAGAIN) return;  // nobody to tell: it is the message channel
      if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  std::string erase() {
    std::string out;
    if (lines_drawn == 0) return out;
    out += "\r";
    if (lines_drawn == 2) out += kOneUp;
    out += kClearBelow;
    lines_drawn = 0;
    return out;
  }

  std::string draw(const RunView& view) {
    // A line as wide as the terminal would wrap; one column stays free.
    const std::size_t columns = terminal_columns(options.fd) - 1;
    std::string out = "\r";
    if (lines_drawn == 2) out += kOneUp;
    out += render_line(view, columns, style);
    out += kClearRest;
    const std::string note = render_note(view, columns, style);
    if (!note.empty()) out.append("\r\n").append(note).append(kClearRest);
    out += kClearBelow;
    lines_drawn = note.empty() ? 1 : 2;
    return out;
  }

  RunView view() {
    RunView now = sample();
    pace.update(now);
    return now;
  }

  void show() {
    if (shape == Shape::silent) return;
    const RunView now = view();
    if (shape == Shape::json) return write_whole(to_json(now) + "\n");
    if (shape == Shape::plain) return write_whole(render_plain(now, style) + "\n");
    if (writable_within(milliseconds{0})) write_whole(draw(now));
  }

  void say(const std::vector<std::string>& lines, std::uint64_t skipped) {
    const Charset charset = style.utf8 ? Charset::utf8 : Charset::ascii;
    const auto line_of = [&](const std::string& text) {
      return (shape == Shape::json ? message_to_json(text) : clean_line(text, charset)) + "\n";
    };
    std::string out = shape == Shape::live ? erase() : std::string();
    for (const auto& line : lines) out += line_of(line);
    if (skipped > 0) out += line_of(std::to_string(skipped) + " messages left out");
    write_whole(out);
  }

  void loop() {
    auto next = steady_clock::now() + interval();
    std::unique_lock lock(mutex);
    while (true) {
      news.wait_until(lock, next, [this] { return stopping || !messages.empty(); });
      const bool last = stopping;
      const auto lines = std::exchange(messages, {});
      const auto skipped = std::exchange(left_out, 0);
      lock.unlock();
      if (!lines.empty()) say(lines, skipped);
      const bool due = steady_clock::now() >= next;
      if (last) break;
      if (due || (shape == Shape::live && !lines.empty())) show();
      if (due) next = steady_clock::now() + interval();
      lock.lock();
    }
    if (shape == Shape::json) show();
    if (shape == Shape::live) write_whole(erase());
  }
};

Progress::Progress(ProgressOptions options, std::function<RunView()> sample)
    : impl_(std::make_unique<Impl>(options, std::move(sample))) {}

Progress::~Progress() { stop(); }

void Progress::start() {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->running || impl_->stopping) return;
  impl_->running = true;
  const SignalsBlocked blocked;
  impl_->thread = std::thread([impl = impl_.get()] {
    name_this_thread("pawl-progress");
    impl->loop();
  });
}

void Progress::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->stopping) impl_->give_up_at = steady_clock::now() + kLastWait;
    impl_->stopping = true;
  }
  impl_->news.notify_all();
  if (!impl_->thread.joinable()) return;
  impl_->thread.join();
  std::vector<std::string> late;  // said while the thread was ending
  std::uint64_t skipped = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->running = false;
    late = std::exchange(impl_->messages, {});
    skipped = std::exchange(impl_->left_out, 0);
  }
  if (!late.empty()) impl_->say(late, skipped);
}

void Progress::message(std::string text) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->running) {
      if (impl_->messages.size() >= kMostMessages) {
        ++impl_->left_out;
      } else {
        impl_->messages.push_back(std::move(text));
      }
      impl_->news.notify_all();
      return;
    }
  }
  impl_->say({std::move(text)}, 0);
}

}  // namespace pawl::observe
