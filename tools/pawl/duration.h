// Durations on the command line: seconds as curl takes them ("2", "0.5"), or with a unit ("500ms", "1s", "5m", "1h").
#pragma once

#include <chrono>
#include <string>

namespace pawl::tool {

struct Duration {
  std::chrono::milliseconds value{0};
};

/// Called by CLI11 for options of this type. False: not a duration.
bool lexical_cast(const std::string& text, Duration& duration);

[[nodiscard]] std::string to_text(Duration duration);

}  // namespace pawl::tool
