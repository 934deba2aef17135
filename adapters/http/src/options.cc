#include <curl/curl.h>
#include <sys/un.h>

#include <chrono>
#include <string>
#include <string_view>

#include <pawl/http.h>

#include "curl_version.h"
#include "headers.h"
#include "json_number.h"

namespace pawl::http {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kDay = std::chrono::hours(24);
constexpr std::size_t kSocketPathMax = sizeof(sockaddr_un::sun_path) - 1;

bool printable(std::string_view text) noexcept {
  for (char c : text) {
    if (c < 0x20 || c == 0x7f) return false;
  }
  return true;
}

Result<void> within(std::string_view name, milliseconds value, milliseconds least, milliseconds most) {
  if (value >= least && value <= most) return {};
  return failure(ErrorCode::usage, std::string(name) + " is " + std::to_string(value.count()) + " ms, not within " +
                                       std::to_string(least.count()) + " … " + std::to_string(most.count()) + " ms");
}

Result<void> validate_times(const Options& options) {
  if (auto ok = within("retry_delay_max", options.retry_delay_max, milliseconds(0), kDay); !ok) return ok;
  if (auto ok = within("retry_delay", options.retry_delay, milliseconds(0), options.retry_delay_max); !ok) return ok;
  if (auto ok = within("retry_time_max", options.retry_time_max, milliseconds(0), 365 * kDay); !ok) return ok;
  if (auto ok = within("time_max", options.time_max, milliseconds(1), kDay); !ok) return ok;
  if (auto ok = within("first_byte_time_max", options.first_byte_time_max, milliseconds(0), kDay); !ok) return ok;
  if (auto ok = within("idle_time_max", options.idle_time_max, milliseconds(0), kDay); !ok) return ok;
  return within("connect_timeout", options.connect_timeout, milliseconds(1), kDay);
}

Result<void> validate_rate(std::string_view name, const Rate& rate) {
  if (!(rate.count >= 0 && rate.count <= 1e12) || !(rate.burst >= 0 && rate.burst <= 1e12)) {
    return failure(ErrorCode::usage, std::string(name) + ": count and burst must be 0 … 1e12");
  }
  return within(std::string(name) + ".per", rate.per, milliseconds(1000), kDay);
}

}  // namespace

Result<void> Options::validate() const {
  if (parallel_max < 1 || parallel_max > 65'536) {
    return failure(ErrorCode::usage, "parallel_max is " + std::to_string(parallel_max) + ", not within 1 … 65536");
  }
  if (call_threads < 1 || call_threads > 64) {
    return failure(ErrorCode::usage, "call_threads is " + std::to_string(call_threads) + ", not within 1 … 64");
  }
  if (call_threads > 1 && (stream_calls == StreamCalls::serial || budget_calls != 0 || budget_tokens != 0 ||
                           rate.count > 0 || rate_tokens.count > 0 || concurrency == Concurrency::adaptive)) {
    return failure(ErrorCode::usage, "call_threads is " + std::to_string(call_threads) +
                                         ": serial streams, budgets, rates and adaptive concurrency need a single one");
  }
  if (call_threads > parallel_max || (parallel_max_host != 0 && call_threads > parallel_max_host)) {
    return failure(ErrorCode::usage, "call_threads is " + std::to_string(call_threads) +
                                         ", more than there are calls at once for them to share");
  }
  if (retry_max > 1000) {
    return failure(ErrorCode::usage, "retry_max is " + std::to_string(retry_max) + ", not within 0 … 1000");
  }
  if (auto ok = validate_times(*this); !ok) return ok;
  if (const auto fault = JsonNumber::pointer_fault(budget_tokens_at); !fault.empty()) {
    return failure(ErrorCode::usage, "budget_tokens_at is '" + budget_tokens_at + "': " + fault);
  }
  if (auto ok = validate_rate("rate", rate); !ok) return ok;
  if (auto ok = validate_rate("rate_tokens", rate_tokens); !ok) return ok;
  if (const auto fault = JsonNumber::pointer_fault(tokens_by); !tokens_by.empty() && !fault.empty()) {
    return failure(ErrorCode::usage, "tokens_by is '" + tokens_by + "': " + fault);
  }
  if (!(retry_share >= 0 && retry_share <= 1)) return failure(ErrorCode::usage, "retry_share is not within 0 … 1");
  if (response_bytes_max < 1) return failure(ErrorCode::usage, "response_bytes_max is 0: no response could be taken");
  for (const auto& line : headers) {
    if (const auto fault = header_fault(line); !fault.empty()) return failure(ErrorCode::usage, fault);
  }
  if (!printable(bearer)) return failure(ErrorCode::usage, "the bearer token has a line break or control character");
  if (!printable(user_agent)) return failure(ErrorCode::usage, "user_agent has a line break or control character");
  if (proxy.find('\0') != std::string::npos) return failure(ErrorCode::usage, "proxy has a NUL byte");
  if (unix_socket.size() > kSocketPathMax || unix_socket.find('\0') != std::string::npos) {
    return failure(ErrorCode::usage, "unix_socket has a NUL byte or is longer than " + std::to_string(kSocketPathMax) +
                                         " bytes, which is all that the system takes");
  }
  if (!unix_socket.empty() && !proxy.empty()) {
    return failure(ErrorCode::usage, "unix_socket and proxy: a connection leads to the one or to the other");
  }
  const curl_version_info_data* curl = curl_version_info(CURLVERSION_NOW);
  if (version != Version::http1_1 && (loses_http2(curl->version_num) || (curl->features & CURL_VERSION_HTTP2) == 0)) {
    return failure(ErrorCode::unsupported,
                   std::string("HTTP/2 needs libcurl 8 or later with HTTP/2; this is libcurl ") + curl->version +
                       ", which loses requests over it");
  }
  return {};
}

}  // namespace pawl::http
