#include <charconv>
#include <cmath>

#include <pawl/mockapi.h>

namespace pawl::mockapi {
namespace {

constexpr double kLongestMs = 86'400'000;  // a day
constexpr double kWidestSigma = 5;

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

Result<void> check_share(std::string_view name, double share) {
  if (share >= 0 && share <= 1) return {};
  return failure(ErrorCode::usage, std::string(name) + " must be 0 to 1, not " + std::to_string(share));
}

Result<void> check_latency(const Latency& latency) {
  if (!(latency.mean_ms >= 0 && latency.mean_ms <= kLongestMs))
    return failure(ErrorCode::usage, "latency must be 0 to 24 hours");
  if (latency.kind == Latency::Kind::uniform && !(latency.spread >= 0 && latency.spread <= latency.mean_ms))
    return failure(ErrorCode::usage, "a uniform latency must run from a smaller to a larger time, neither negative");
  if (latency.kind == Latency::Kind::lognormal && !(latency.spread >= 0 && latency.spread <= kWidestSigma))
    return failure(ErrorCode::usage, "the sigma of a lognormal latency must be 0 to 5");
  return {};
}

Result<Latency> parse_uniform(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos)
    return failure(ErrorCode::usage,
                   "a uniform latency is written 'uniform:10ms-90ms', not 'uniform:" + std::string(text) + "'");
  const auto low = parse_duration_ms(text.substr(0, dash));
  if (!low) return std::unexpected(low.error());
  const auto high = parse_duration_ms(text.substr(dash + 1));
  if (!high) return std::unexpected(high.error());
  return Latency{Latency::Kind::uniform, (*low + *high) / 2, (*high - *low) / 2};
}

Result<Latency> parse_lognormal(std::string_view text) {
  const std::size_t comma = text.find(',');
  const auto sigma = comma == std::string_view::npos ? std::nullopt : parse_number(text.substr(comma + 1));
  if (!sigma)
    return failure(ErrorCode::usage,
                   "a lognormal latency is written 'lognormal:50ms,0.5' (mean, sigma), not "
                   "'lognormal:" +
                       std::string(text) + "'");
  const auto mean = parse_duration_ms(text.substr(0, comma));
  if (!mean) return std::unexpected(mean.error());
  return Latency{Latency::Kind::lognormal, *mean, *sigma};
}

}  // namespace

Result<double> parse_duration_ms(std::string_view text) {
  std::string_view number = text;
  double unit_ms = 0;
  if (number.ends_with("us")) {
    number.remove_suffix(2);
    unit_ms = 0.001;
  } else if (number.ends_with("ms")) {
    number.remove_suffix(2);
    unit_ms = 1;
  } else if (number.ends_with('s')) {
    number.remove_suffix(1);
    unit_ms = 1000;
  }
  const auto value = parse_number(number);
  const bool unit_missing = unit_ms == 0 && value != 0.0;
  if (!value || unit_missing || *value < 0 || *value * unit_ms > kLongestMs)
    return failure(ErrorCode::usage,
                   "a time is written like 250us, 50ms, 1.5s or 0, at most a day, not " + quoted(text));
  return *value * unit_ms;
}

Result<Latency> Latency::parse(std::string_view text) {
  constexpr std::string_view kUniform = "uniform:";
  constexpr std::string_view kLognormal = "lognormal:";
  Result<Latency> latency;
  if (text.starts_with(kUniform)) {
    latency = parse_uniform(text.substr(kUniform.size()));
  } else if (text.starts_with(kLognormal)) {
    latency = parse_lognormal(text.substr(kLognormal.size()));
  } else {
    const auto fixed = parse_duration_ms(text);
    if (!fixed) return std::unexpected(fixed.error());
    latency = Latency{Kind::fixed, *fixed, 0};
  }
  if (!latency) return latency;
  if (const auto checked = check_latency(*latency); !checked) return std::unexpected(checked.error());
  return latency;
}

Result<void> Options::validate() const {
  if (const auto checked = check_latency(latency); !checked) return checked;
  const std::pair<std::string_view, double> shares[] = {
      {"error rate", error_rate}, {"drop rate", drop_rate}, {"truncate rate", truncate_rate}, {"slow rate", slow_rate}};
  double sum = 0;
  for (const auto& [name, share] : shares) {
    if (const auto checked = check_share(name, share); !checked) return checked;
    sum += share;
  }
  if (sum > 1 + 1e-9)
    return failure(ErrorCode::usage,
                   "error, drop, truncate and slow rates must be 1 together at most, not " + std::to_string(sum));
  if (!(slow_ms >= 0 && slow_ms <= kLongestMs)) return failure(ErrorCode::usage, "slow time must be 0 to 24 hours");
  if (error_codes.empty()) return failure(ErrorCode::usage, "at least one error code is needed");
  for (const int code : error_codes) {
    if (code < 400 || code > 599)
      return failure(ErrorCode::usage, "error codes must be 400 to 599, not " + std::to_string(code));
  }
  if (!(rate_limit_per_s >= 0 && rate_limit_per_s <= 1e9))
    return failure(ErrorCode::usage, "rate limit must be 0 (none) to 1000000000 calls per second");
  if (retry_after && (retry_after->count() < 0 || static_cast<double>(retry_after->count()) > kLongestMs))
    return failure(ErrorCode::usage, "retry-after must be 0 to 24 hours");
  if (capacity > 1'000'000) return failure(ErrorCode::usage, "capacity must be 0 (no bound) to 1000000 calls");
  if (body_bytes > 1ull << 30) return failure(ErrorCode::usage, "answers must be at most 1 GiB");
  return {};
}

}  // namespace pawl::mockapi
