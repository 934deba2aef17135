#include "limit_headers.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "headers.h"

namespace pawl::http {

using std::chrono::milliseconds;

namespace {

constexpr double kLongestMs = 366.0 * 24 * 3600 * 1000;
constexpr double kFirstDate = 1e9;  // plain seconds beyond this (31 years) are a date

/// Takes the number that `text` begins with off it.
std::optional<double> take_number(std::string_view& text) noexcept {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(value) || value < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<std::uint64_t> count_of(std::string_view text) noexcept {
  // "100, 100;w=60" and "10;w=1" begin with what counts.
  text = trim(text.substr(0, text.find_first_of(",;")));
  const auto value = take_number(text);
  if (!value || !text.empty()) return std::nullopt;
  return static_cast<std::uint64_t>(std::min(*value, 1e15));
}

milliseconds ms_of(double count) noexcept {
  return milliseconds(static_cast<milliseconds::rep>(std::ceil(std::clamp(count, 0.0, kLongestMs))));
}

/// Milliseconds of the unit that `text` begins with, which is taken off it; 0: none.
double take_unit(std::string_view& text) noexcept {
  struct Unit {
    std::string_view name;
    double ms;
  };
  static constexpr Unit kUnits[] = {{"ms", 1},    {"us", 1e-3}, {"µs", 1e-3}, {"ns", 1e-6},
                                    {"h", 3.6e6}, {"m", 6e4},   {"s", 1e3},   {"d", 8.64e7}};
  for (const auto& unit : kUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    return unit.ms;
  }
  return 0;
}

/// Cuts the part before the next `separator` off `text`; quoted separators do not count.
std::string_view take_part(std::string_view& text, char separator) noexcept {
  bool quoted = false;
  std::size_t at = 0;
  for (; at < text.size() && (quoted || text[at] != separator); ++at) quoted = quoted != (text[at] == '"');
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return trim(part);
}

/// One policy of a structured field: `"name";r=5;t=30`.
struct Item {
  std::string_view name;
  std::optional<std::uint64_t> quota, remaining, reset_s, window_s;
  bool counts_requests = true;
};

Item item_of(std::string_view text) noexcept {
  Item item;
  item.name = take_part(text, ';');
  while (!text.empty()) {
    std::string_view value = take_part(text, ';');
    const std::string_view key = take_part(value, '=');
    value = trim(value);
    if (key == "r") item.remaining = count_of(value);
    if (key == "t") item.reset_s = count_of(value);
    if (key == "q") item.quota = count_of(value);
    if (key == "w") item.window_s = count_of(value);
    if (key == "qu") item.counts_requests = value == "\"requests\"";
  }
  return item;
}

/// What the policy of that name adds.
void complete(Item& item, std::string_view policies) noexcept {
  while (!policies.empty()) {
    const Item policy = item_of(take_part(policies, ','));
    if (policy.name != item.name) continue;
    item.counts_requests = item.counts_requests && policy.counts_requests;
    if (!item.quota) item.quota = policy.quota;
    if (!item.reset_s) item.reset_s = policy.window_s;  // by then at the latest
    return;
  }
}

milliseconds seconds_ms(std::uint64_t seconds) noexcept { return ms_of(static_cast<double>(seconds) * 1000); }

/// "limit=10, remaining=5, reset=30".
void take_named(std::string_view text, Quota& quota) noexcept {
  while (!text.empty()) {
    std::string_view value = take_part(text, ',');
    const std::string_view key = take_part(value, '=');
    const auto count = count_of(value);
    if (same_name(key, "limit")) quota.limit = count;
    if (same_name(key, "remaining")) quota.remaining = count;
    if (same_name(key, "reset") && count) quota.reset = seconds_ms(*count);
  }
}

/// Takes `prefix` off a name, whatever its case.
bool take_prefix(std::string_view& name, std::string_view prefix) noexcept {
  if (!same_name(name.substr(0, prefix.size()), prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

}  // namespace

std::optional<milliseconds> parse_reset(std::string_view value, std::chrono::system_clock::time_point now) noexcept {
  value = trim(value);
  if (value.empty()) return std::nullopt;
  double ms = 0;
  bool first = true;
  while (!value.empty()) {
    const auto count = take_number(value);
    if (!count) return std::nullopt;
    if (value.empty() && first) {
      if (*count < kFirstDate) return ms_of(*count * 1000);
      const auto since = std::chrono::duration_cast<milliseconds>(now.time_since_epoch());
      return ms_of(*count * 1000 - static_cast<double>(since.count()));
    }
    const double unit = take_unit(value);
    if (unit <= 0) return std::nullopt;
    ms += *count * unit;
    first = false;
  }
  return ms_of(ms);
}

void LimitHeaders::clear() noexcept {
  if (!any_) return;
  any_ = false;
  requests_ = tokens_ = {};
  policies_.clear();
  items_.clear();
}

bool LimitHeaders::take(std::string_view name, std::string_view value,
                        std::chrono::system_clock::time_point (*clock)()) {
  if (name.size() < 9 || (name.front() | 0x20) == 'c') return false;  // nothing that begins as Content- does
  const bool common = take_prefix(name, "x-ratelimit-");
  if (!common && !take_prefix(name, "ratelimit")) return false;
  any_ = true;
  if (!common && name.empty()) {
    // The newest form begins with a policy's name, which is a string or a token without '='.
    const bool named = value.substr(0, value.find_first_of(";,")).find('=') != std::string_view::npos;
    if (named) {
      take_named(value, requests_);
    } else {
      items_.append(items_.empty() ? "" : ",").append(value);
    }
    return true;
  }
  if (!common && name.front() == '-') name.remove_prefix(1);
  if (!common && same_name(name, "policy")) {
    policies_.append(policies_.empty() ? "" : ",").append(value);
    return true;
  }
  const std::string_view what = name.substr(0, name.find('-'));
  name.remove_prefix(std::min(what.size() + 1, name.size()));
  const bool tokens = same_name(name, "tokens");
  if (!tokens && !name.empty() && !same_name(name, "requests")) return true;  // of something else
  Quota& quota = tokens ? tokens_ : requests_;
  if (same_name(what, "limit")) quota.limit = count_of(value);
  if (same_name(what, "remaining")) quota.remaining = count_of(value);
  if (same_name(what, "reset")) quota.reset = parse_reset(value.substr(0, value.find(',')), clock());
  return true;
}

Quota LimitHeaders::requests() const {
  Quota least = requests_;
  std::string_view items = items_;
  while (!items.empty()) {
    Item item = item_of(take_part(items, ','));
    complete(item, policies_);
    if (!item.counts_requests || !item.remaining) continue;
    Quota quota{.limit = item.quota, .remaining = item.remaining, .reset = std::nullopt};
    if (item.reset_s) quota.reset = seconds_ms(*item.reset_s);
    // Of two that let nothing through, the longer one decides.
    if (!least.known() || *quota.remaining < *least.remaining ||
        (*quota.remaining == *least.remaining && quota.reset > least.reset)) {
      if (quota.known()) least = quota;
    }
  }
  return least;
}

}  // namespace pawl::http
