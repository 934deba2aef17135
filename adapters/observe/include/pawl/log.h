// A log: one line for each event worth one, to a file or a descriptor, as text or JSON.
//
// Who writes to it does not wait: a line goes into a bounded queue, and one thread does the rest (hides secrets, makes
// the line, writes it). What does not fit is dropped, counted, and said in a line of its own. Each kind of event has so
// many lines a second; what is more is counted and summed up as "N more like this" when its second is over.
//
// When not to use it: for results or for what must not be lost (that is the journal's work), or for a line per task at
// thousands of tasks a second.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <pawl/error.h>
#include <pawl/export.h>

namespace pawl::observe {

/// In order of how much is logged.
enum class LogLevel : std::uint8_t { error, warn, info, debug };
[[nodiscard]] PAWL_API std::string_view name_of(LogLevel level) noexcept;
/// None: there is no such level.
[[nodiscard]] PAWL_API std::optional<LogLevel> parse_log_level(std::string_view text) noexcept;

enum class LogFormat : std::uint8_t {
  text,  // TIME LEVEL EVENT MESSAGE NAME=VALUE…; values that need it are quoted as in JSON
  json,  // one object: time, level, event, message, then the fields; valid UTF-8
};

struct LogField {
  std::string_view name;  // of letters, digits and "_"; not time, level, event, message
  std::variant<std::string_view, std::uint64_t, double> value;
};

struct PAWL_API LogOptions {
  std::string file;  // appended to, made if missing; a pipe or terminal will do. Empty: `fd`, or `write_line`
  int fd = 2;        // borrowed; must stay open as long as the log
  std::function<void(std::string)> write_line;  // takes finished lines, without line end, instead of `fd`; called by
                                                // the log's thread, must not wait
  LogFormat format = LogFormat::text;
  LogLevel level = LogLevel::info;
  unsigned lines_per_second = 10;               // 1 …: of one event; the rest is summed up
  std::uint64_t queued_bytes_max = 1ull << 20;  // of lines not yet written
  std::function<void(std::string& text)> mask;  // hides secrets in a message or a value; may be empty
};

/// Counts since open().
struct LogStats {
  std::uint64_t written = 0;    // lines, those that sum up included
  std::uint64_t summed_up = 0;  // events beyond lines_per_second
  std::uint64_t dropped = 0;    // no room in the queue, or the file did not take them
};

class PAWL_API Log {
 public:
  /// Starts the thread. Errors: io (names the file).
  [[nodiscard]] static Result<std::unique_ptr<Log>> open(const LogOptions& options);
  /// stop()
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// Any thread; wait-free.
  [[nodiscard]] bool wants(LogLevel level) const noexcept;
  [[nodiscard]] LogLevel level() const noexcept;
  /// Also while it is written to. Any thread; wait-free.
  void set_level(LogLevel level) noexcept;

  /// Any thread; takes a mutex for moments and never waits for the file. `event` names the kind: a literal, such as
  /// "task_failed". Texts are copied, and cut: a message to 2,048 bytes, a value to 512. After stop(): does nothing.
  void write(LogLevel level, std::string_view event, std::string_view message,
             std::initializer_list<LogField> fields = {});

  /// Writes what is queued and joins; a file that takes nothing is given up after 200 ms. Idempotent; one thread.
  void stop();

  /// Any thread.
  [[nodiscard]] LogStats stats() const;

 private:
  struct PAWL_LOCAL Impl;
  explicit Log(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl::observe
