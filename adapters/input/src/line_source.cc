#include "line_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fault.h"
#include "json_members.h"

namespace pawl::input {
namespace {

constexpr std::size_t kChunk = 256 * 1024;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

Result<LineSource> LineSource::open(const std::string& path, std::size_t line_bytes_max, int cancel_fd) {
  if (path == "-") return open(STDIN_FILENO, "stdin", line_bytes_max, cancel_fd);
  // O_NONBLOCK: a named pipe is opened without waiting for its writer; poll() waits instead, and can be cancelled.
  return of(OwnedFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)), path, line_bytes_max,
            cancel_fd);
}

Result<LineSource> LineSource::open(int fd, const std::string& path, std::size_t line_bytes_max, int cancel_fd) {
  return of(OwnedFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)), path, line_bytes_max, cancel_fd);
}

Result<LineSource> LineSource::of(OwnedFd fd, std::string shown_path, std::size_t line_bytes_max, int cancel_fd) {
  LineSource source;
  source.shown_path_ = std::move(shown_path);
  source.fd_ = std::move(fd);
  struct stat info{};
  if (!source.fd_.valid() || ::fstat(source.fd_.get(), &info) != 0) {
    const int error = errno;
    return failure(ErrorCode::input, "cannot open " + source.shown_path_ + ": " + std::strerror(error), error);
  }
  if (S_ISDIR(info.st_mode)) {
    return failure(ErrorCode::input, source.shown_path_ + " is a folder: only format files reads folders", EISDIR);
  }
  source.regular_ = S_ISREG(info.st_mode);
  if (source.regular_) {
    const off_t done = std::max<off_t>(::lseek(source.fd_.get(), 0, SEEK_CUR), 0);
    source.bytes_total_ = static_cast<std::uint64_t>(std::max<off_t>(info.st_size - done, 0));
  }
  source.cancel_fd_ = cancel_fd;
  source.line_bytes_max_ = line_bytes_max;
  return source;
}

Result<LineSource::Got> LineSource::next() {
  if (unread_) {
    unread_ = false;
    return Got::line;
  }
  while (true) {
    const char* from = buffer_.get() + scan_;
    const auto* found = end_ > scan_ ? static_cast<const char*>(std::memchr(from, '\n', end_ - scan_)) : nullptr;
    if (found != nullptr) {
      const auto size = static_cast<std::size_t>(found - (buffer_.get() + begin_));
      const bool was_skipping = std::exchange(skipping_, false);
      take_line(size, size + 1);
      if (was_skipping) continue;
      ++number_;
      if (size > line_bytes_max_) return over_long();
      break;
    }
    scan_ = end_;
    if (skipping_) {
      begin_ = scan_ = end_ = 0;
    } else if (end_ - begin_ > line_bytes_max_) {
      ++number_;
      skipping_ = true;
      return over_long();
    }
    auto filled = fill();
    if (!filled) return std::unexpected(std::move(filled.error()));
    if (*filled == Fill::cancelled) return Got::cancelled;
    if (*filled == Fill::some) continue;
    if (begin_ == end_) return Got::end;
    ++number_;
    take_line(end_ - begin_, end_ - begin_);
    break;
  }
  if (text_.ends_with('\r')) text_.remove_suffix(1);
  if (number_ == 1 && text_.starts_with(kByteOrderMark)) text_.remove_prefix(kByteOrderMark.size());
  return Got::line;
}

void LineSource::take_line(std::size_t size, std::size_t with_end) {
  text_ = std::string_view(buffer_.get() + begin_, size);
  begin_ += with_end;
  scan_ = begin_;
}

std::unexpected<Error> LineSource::over_long() const {
  return bad_line(
      shown_path_, number_,
      {Fault::kNowhere, "expected a line of at most " + std::to_string(line_bytes_max_) + " bytes, got a longer one"});
}

Result<bool> LineSource::wait_readable() const {
  pollfd waits[] = {{fd_.get(), POLLIN, 0}, {cancel_fd_, POLLIN, 0}};  // poll() passes over a negative descriptor
  while (::poll(waits, 2, -1) < 0) {
    if (errno == EINTR) continue;
    const int error = errno;
    return failure(ErrorCode::io, "cannot wait for " + shown_path_ + ": " + std::strerror(error), error);
  }
  return waits[1].revents == 0;
}

Result<LineSource::Fill> LineSource::fill() {
  if (ended_) return Fill::end;
  make_room();
  bool must_wait = !regular_ || cancel_fd_ >= 0;
  while (true) {
    if (must_wait) {
      auto ready = wait_readable();
      if (!ready) ended_ = true;
      if (!ready) return std::unexpected(std::move(ready.error()));
      if (!*ready) return Fill::cancelled;
    }
    const ssize_t got = ::read(fd_.get(), buffer_.get() + end_, capacity_ - end_);
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      bytes_read_ += static_cast<std::uint64_t>(got);
      std::memset(buffer_.get() + end_, 0, kJsonPadding);
      return Fill::some;
    }
    if (got == 0) {
      ended_ = true;
      return Fill::end;
    }
    const int error = errno;
    must_wait = error != EINTR || must_wait;
    if (error == EINTR || error == EAGAIN) continue;
    ended_ = true;
    begin_ = scan_ = end_ = 0;  // half a line is not a line
    return failure(ErrorCode::io, "cannot read " + shown_path_ + ": " + std::strerror(error), error);
  }
}

/// Makes space for a chunk behind end_: moves the begun line to the front, doubles the buffer if that is not enough.
void LineSource::make_room() {
  const std::size_t kept = end_ - begin_;
  if (capacity_ - end_ >= kChunk) return;
  if (capacity_ - kept >= kChunk) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, kept);
  } else {
    const std::size_t capacity = std::max(2 * capacity_, 2 * kChunk);
    auto larger = std::make_unique_for_overwrite<char[]>(capacity + kJsonPadding);
    if (kept > 0) std::memcpy(larger.get(), buffer_.get() + begin_, kept);
    buffer_ = std::move(larger);
    capacity_ = capacity;
  }
  scan_ -= begin_;
  begin_ = 0;
  end_ = kept;
}

}  // namespace pawl::input
