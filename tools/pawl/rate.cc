#include "rate.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace pawl::tool {
namespace {

/// Takes a number above 0 off the beginning of `text`.
bool take_number(std::string_view& text, double& number) {
  const char* const end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc{} || !std::isfinite(number) || number <= 0 || number > 1e12) return false;
  text = std::string_view(rest, end);
  return true;
}

}  // namespace

bool lexical_cast(const std::string& text, RateText& rate) {
  http::Rate read;
  std::string_view rest = text;
  if (rest == "0") return rate.value = read, true;
  if (!take_number(rest, read.count) || rest.size() < 2 || rest[0] != '/') return false;
  switch (rest[1]) {
    case 's': read.per = std::chrono::seconds(1); break;
    case 'm': read.per = std::chrono::minutes(1); break;
    case 'h': read.per = std::chrono::hours(1); break;
    default: return false;
  }
  rest.remove_prefix(2);
  if (!rest.empty()) {
    if (rest[0] != ',') return false;
    rest.remove_prefix(1);
    if (!take_number(rest, read.burst) || read.burst < 1 || !rest.empty()) return false;
  }
  return rate.value = read, true;
}

std::string to_text(const RateText& rate) {
  const http::Rate& value = rate.value;
  if (value.count <= 0) return "0";
  const char unit = value.per == std::chrono::hours(1) ? 'h' : value.per == std::chrono::minutes(1) ? 'm' : 's';
  if (value.burst <= 0) return fmt::format("{}/{}", value.count, unit);
  return fmt::format("{}/{},{}", value.count, unit, value.burst);
}

}  // namespace pawl::tool
