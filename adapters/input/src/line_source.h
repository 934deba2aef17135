// LineSource: the lines of a file, a pipe or a terminal, read(2) in chunks, in memory bounded by the longest line.
//
// Never maps a file: one that is cut short while it is read must not kill the process. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <pawl/error.h>

#include "owned_fd.h"

namespace pawl::input {

class LineSource {
 public:
  enum class Got : std::uint8_t { line, end, cancelled };

  /// Opens `path` ("-": standard input). Errors: input (missing, unreadable, a folder).
  [[nodiscard]] static Result<LineSource> open(const std::string& path, std::size_t line_bytes_max, int cancel_fd);
  /// The same of a duplicate of `fd`, called `path` in messages.
  [[nodiscard]] static Result<LineSource> open(int fd, const std::string& path, std::size_t line_bytes_max,
                                               int cancel_fd);

  /// Moves to the next line. Errors: input (over-long; passed over by the next call), io (the next call says `end`).
  [[nodiscard]] Result<Got> next();

  /// Makes the next next() give the current line once more.
  void unread() noexcept { unread_ = true; }

  /// The current line without its line end; kJsonPadding bytes behind it are readable. Valid until next().
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
  [[nodiscard]] std::uint64_t bytes_read() const noexcept { return bytes_read_; }
  [[nodiscard]] std::optional<std::uint64_t> bytes_total() const noexcept { return bytes_total_; }

  /// The path for messages: "stdin" for "-".
  [[nodiscard]] const std::string& shown_path() const noexcept { return shown_path_; }

 private:
  enum class Fill : std::uint8_t { some, end, cancelled };
  LineSource() = default;
  [[nodiscard]] static Result<LineSource> of(OwnedFd fd, std::string shown_path, std::size_t line_bytes_max,
                                             int cancel_fd);
  [[nodiscard]] Result<Fill> fill();
  [[nodiscard]] Result<bool> wait_readable() const;
  void make_room();
  void take_line(std::size_t size, std::size_t with_end);
  [[nodiscard]] std::unexpected<Error> over_long() const;

  std::string shown_path_;
  OwnedFd fd_;
  int cancel_fd_ = -1;
  bool regular_ = false;
  std::size_t line_bytes_max_ = 0;

  std::unique_ptr<char[]> buffer_;  // capacity_ bytes and the padding
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // of what has not been given out
  std::size_t scan_ = 0;   // up to here there is no line end behind begin_
  std::size_t end_ = 0;

  std::string_view text_;
  std::uint64_t number_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::optional<std::uint64_t> bytes_total_;
  bool skipping_ = false;  // inside an over-long line
  bool ended_ = false;
  bool unread_ = false;
};

}  // namespace pawl::input
