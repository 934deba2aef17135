// A line of a log, from an event to text. Pure but for the mask it is given.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <pawl/log.h>

namespace pawl::observe {

inline constexpr std::size_t kLogMessageBytes = 2048;
inline constexpr std::size_t kLogValueBytes = 512;

struct LogEntry {
  using Value = std::variant<std::string, std::uint64_t, double>;

  std::chrono::system_clock::time_point time;
  LogLevel level = LogLevel::info;
  std::string_view event;  // a literal
  std::string message;
  std::vector<std::pair<std::string, Value>> fields;

  /// What it takes in a queue, roughly.
  [[nodiscard]] std::size_t bytes() const noexcept;
};

/// Hides what `mask` finds in message and values (it may be empty), then cuts them. Without line end.
[[nodiscard]] std::string render_log_line(LogEntry entry, LogFormat format,
                                          const std::function<void(std::string&)>& mask);

/// RFC 3339, UTC, milliseconds.
[[nodiscard]] std::string log_time(std::chrono::system_clock::time_point time);

}  // namespace pawl::observe
