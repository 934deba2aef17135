#include "duration.h"

#include <charconv>
#include <cmath>
#include <string_view>

namespace pawl::tool {

bool lexical_cast(const std::string& text, Duration& duration) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc{} || !std::isfinite(number) || number < 0) return false;
  const std::string_view unit(rest, end);
  double factor = 0;
  if (unit.empty() || unit == "s") factor = 1000;
  if (unit == "ms") factor = 1;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  const double ms = number * factor;
  if (factor == 0 || ms > 1e15) return false;
  duration.value = std::chrono::milliseconds{std::llround(ms)};
  return true;
}

std::string to_text(Duration duration) { return std::to_string(duration.value.count()) + "ms"; }

}  // namespace pawl::tool
