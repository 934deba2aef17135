#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <pawl/log.h>
#include <pawl/thread.h>

#include "log_line.h"
#include "thread_signals.h"
#include "unique_fd.h"

namespace pawl::observe {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kLogLastWait{200};
constexpr std::chrono::seconds kLogWindow{1};
// What is copied into the queue: more than a line shows, so that a secret that is cut is not shown in part.
constexpr std::size_t kLogCopiedBytes = 8192;
constexpr std::array<std::string_view, 4> kLevelNames = {"error", "warn", "info", "debug"};

/// How often an event has come in its present second.
struct EventRate {
  std::string_view event;  // a literal
  LogLevel level = LogLevel::info;
  SteadyTime since{};
  unsigned lines = 0;
  std::uint64_t more = 0;  // not written, and not summed up yet
};

}  // namespace

std::string_view name_of(LogLevel level) noexcept { return kLevelNames[static_cast<std::size_t>(level)]; }

std::optional<LogLevel> parse_log_level(std::string_view text) noexcept {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i)
    if (text == kLevelNames[i]) return static_cast<LogLevel>(i);
  return std::nullopt;
}

struct Log::Impl {
  LogOptions options;
  UniqueFd file;
  int fd = 2;
  std::atomic<LogLevel> level;  // written by set_level(), read by all. relaxed: a stale level lasts for a line

  mutable std::mutex mutex;  // guards what follows up to `thread`
  std::condition_variable news;
  std::vector<LogEntry> queue;
  std::uint64_t queued_bytes = 0;
  std::vector<EventRate> rates;
  std::uint64_t dropped_unsaid = 0;
  LogStats counts;
  bool stopping = false;
  SteadyTime give_up_at = SteadyTime::max();  // when stopping: no write waits longer
  std::thread thread;

  bool torn = false;  // the thread's own: the file ends within a line

  /// mutex is held. Whether the event has a line left in this second.
  bool admit(LogLevel of, std::string_view event, SteadyTime now) {
    auto rate = std::ranges::find(rates, event, &EventRate::event);
    if (rate == rates.end()) rate = rates.insert(rates.end(), EventRate{event, of, now, 0, 0});
    if (now - rate->since >= kLogWindow && rate->more == 0) {
      rate->since = now;
      rate->lines = 0;
    }
    rate->level = of;
    if (rate->lines < options.lines_per_second) return ++rate->lines, true;
    ++rate->more;
    ++counts.summed_up;
    if (rate->more == 1) news.notify_all();  // the thread wakes when the second is over
    return false;
  }

  /// mutex is held. Sums up events whose second is over, or all; answers when the next one's is.
  SteadyTime sum_up(std::vector<LogEntry>& entries, SteadyTime now) {
    SteadyTime next = SteadyTime::max();
    for (EventRate& rate : rates) {
      if (rate.more == 0) continue;
      if (!stopping && now - rate.since < kLogWindow) {
        next = std::min(next, rate.since + kLogWindow);
        continue;
      }
      const std::uint64_t more = std::exchange(rate.more, 0);
      entries.push_back({std::chrono::system_clock::now(),
                         rate.level,
                         rate.event,
                         std::to_string(more) + " more like this",
                         {{"more", more}}});
      rate.since = now;
      rate.lines = 0;
    }
    if (const auto lost = std::exchange(dropped_unsaid, 0); lost != 0)
      entries.push_back({std::chrono::system_clock::now(),
                         LogLevel::warn,
                         "log_dropped",
                         std::to_string(lost) + " lines dropped: the log could not be written as fast",
                         {{"dropped", lost}}});
    return next;
  }

  std::chrono::milliseconds patience() {
    const std::lock_guard lock(mutex);
    if (give_up_at == SteadyTime::max()) return kLogLastWait;
    return std::max(std::chrono::milliseconds{0}, std::chrono::duration_cast<std::chrono::milliseconds>(
                                                      give_up_at - std::chrono::steady_clock::now()));
  }

  /// A descriptor that is ready takes PIPE_BUF bytes without waiting, and whole: most lines are shorter. False: it does
  /// not take them, or not before stop() has waited long enough.
  bool write_whole(std::string_view text) {
    while (!text.empty()) {
      const auto wait = patience();
      pollfd polled{fd, POLLOUT, 0};
      const int ready = ::poll(&polled, 1, static_cast<int>(wait.count()));
      if (ready > 0 && (polled.revents & POLLOUT) == 0) return false;  // nobody reads it any more
      if (ready <= 0) {
        if (wait < kLogLastWait) return false;
        continue;
      }
      const ssize_t written = ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
      if (written < 0 && errno != EINTR && errno != EAGAIN) return false;
      if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
      if (written > 0) torn = !text.empty();
    }
    return true;
  }

  void put(std::vector<LogEntry>& entries) {
    std::uint64_t written = 0, lost = 0;
    for (LogEntry& entry : entries) {
      const std::uint64_t bytes = entry.bytes();
      std::string line = render_log_line(std::move(entry), options.format, options.mask);
      bool taken = true;
      if (options.file.empty() && options.write_line)
        options.write_line(std::move(line));
      else
        taken = write_whole((torn ? "\n" : "") + line + '\n');
      (taken ? written : lost) += 1;
      const std::lock_guard lock(mutex);
      queued_bytes -= std::min(queued_bytes, bytes);
    }
    const std::lock_guard lock(mutex);
    counts.written += written;
    counts.dropped += lost;
    dropped_unsaid += lost;
  }

  void loop() {
    std::unique_lock lock(mutex);
    SteadyTime next = SteadyTime::max();
    while (true) {
      const auto something = [this] { return stopping || !queue.empty(); };
      if (next == SteadyTime::max()) {
        // Woken for the first event that is to be summed up, too.
        news.wait(lock, [&] {
          return something() || std::ranges::any_of(rates, [](const EventRate& rate) { return rate.more != 0; });
        });
      } else {
        news.wait_until(lock, next, something);
      }
      const bool last = stopping;
      auto entries = std::exchange(queue, {});
      next = sum_up(entries, std::chrono::steady_clock::now());
      lock.unlock();
      put(entries);
      lock.lock();
      if (last) return;
    }
  }
};

Log::Log(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Log::~Log() { stop(); }

Result<std::unique_ptr<Log>> Log::open(const LogOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->level.store(options.level, std::memory_order_relaxed);  // relaxed: before the thread
  impl->fd = options.fd;
  if (!options.file.empty()) {
    // Not blocking: a pipe without a reader is an error, and a full one does not hold the thread.
    impl->file = UniqueFd(::open(options.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666));
    if (!impl->file.valid())
      return failure(ErrorCode::io, "cannot write the log " + options.file + ": " + std::strerror(errno), errno);
    impl->fd = impl->file.get();
  }
  const SignalsBlocked blocked;
  impl->thread = std::thread([log = impl.get()] {
    name_this_thread("pawl-log");
    log->loop();
  });
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

bool Log::wants(LogLevel level) const noexcept { return level <= this->level(); }

LogLevel Log::level() const noexcept { return impl_->level.load(std::memory_order_relaxed); }  // relaxed: see Impl

void Log::set_level(LogLevel level) noexcept { impl_->level.store(level, std::memory_order_relaxed); }  // likewise

void Log::write(LogLevel level, std::string_view event, std::string_view message,
                std::initializer_list<LogField> fields) {
  if (!wants(level)) return;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopping || !impl_->admit(level, event, std::chrono::steady_clock::now())) return;
  }
  LogEntry entry{std::chrono::system_clock::now(), level, event, std::string(message.substr(0, kLogCopiedBytes)), {}};
  entry.fields.reserve(fields.size());
  for (const LogField& field : fields) {
    if (const auto* text = std::get_if<std::string_view>(&field.value))
      entry.fields.emplace_back(field.name, std::string(text->substr(0, kLogCopiedBytes)));
    else if (const auto* count = std::get_if<std::uint64_t>(&field.value))
      entry.fields.emplace_back(field.name, *count);
    else
      entry.fields.emplace_back(field.name, std::get<double>(field.value));
  }
  const std::uint64_t bytes = entry.bytes();
  const std::lock_guard lock(impl_->mutex);
  if (impl_->stopping) return;
  if (impl_->queued_bytes + bytes > impl_->options.queued_bytes_max) {
    ++impl_->counts.dropped;
    ++impl_->dropped_unsaid;
    return;
  }
  impl_->queued_bytes += bytes;
  impl_->queue.push_back(std::move(entry));
  impl_->news.notify_all();
}

void Log::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->stopping) impl_->give_up_at = std::chrono::steady_clock::now() + kLogLastWait;
    impl_->stopping = true;
  }
  impl_->news.notify_all();
  if (impl_->thread.joinable()) impl_->thread.join();
}

LogStats Log::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->counts;
}

}  // namespace pawl::observe
