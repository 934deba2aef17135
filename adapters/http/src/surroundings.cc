#include "surroundings.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace pawl::http {

using std::chrono::milliseconds;

namespace {

std::string seconds_text(milliseconds delay) {
  const auto tenths = (delay.count() + 99) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

bool readable(const std::string& file) noexcept { return ::access(file.c_str(), R_OK) == 0; }

/// The certificates to trust: as curl does, from its variables, else from where this system keeps them.
std::string default_ca_file() {
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    const char* file = std::getenv(name);
    if (file != nullptr && *file != '\0') return file;
  }
  const char* built_in = curl_version_info(CURLVERSION_NOW)->cainfo;
  if (built_in != nullptr && readable(built_in)) return built_in;
  for (const char* file : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    if (readable(file)) return file;
  }
  return {};
}

bool proxies_in_environment() noexcept {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    const char* proxy = std::getenv(name);
    if (proxy != nullptr && *proxy != '\0') return true;
  }
  return false;
}

}  // namespace

Result<long> connections_per_shard(unsigned parallel_max, unsigned parts) {
  constexpr std::uint64_t kMost = 64;
  constexpr std::uint64_t kOthers = 64;   // journal, git, input, the resolver's
  constexpr std::uint64_t kShardOwn = 2;  // libcurl's own pair
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return failure(ErrorCode::io, "getrlimit failed", errno);
  const std::uint64_t shards = parts * ((parallel_max + Wire::kShardTransfers - 1) / Wire::kShardTransfers);
  const std::uint64_t least = std::min(parallel_max, Wire::kShardTransfers);
  const std::uint64_t needed = shards * (least + kShardOwn) + kOthers;
  if (limit.rlim_cur < needed) {
    return failure(ErrorCode::usage, "parallel_max " + std::to_string(parts * parallel_max) + " needs " +
                                         std::to_string(needed) + " file descriptors, and this process may open " +
                                         std::to_string(limit.rlim_cur) + " (ulimit -n)");
  }
  // Half of what is there: idle connections to other hosts are a convenience.
  return static_cast<long>(std::clamp<std::uint64_t>(limit.rlim_cur / 2 / shards, least, kMost));
}

Result<Surroundings> look_around(const Options& options, unsigned parts) {
  TransferSetup setup;
  setup.options = options;
  setup.secrets = Secrets(options);
  if (setup.options.user_agent.empty()) setup.options.user_agent = "pawl/" PAWL_VERSION;
  for (const auto& line : options.headers) format_header(line, setup.headers.lines.emplace_back());
  if (!options.bearer.empty()) setup.headers.lines.push_back("Authorization: Bearer " + options.bearer);
  // Lines of our own, and not libcurl's: those it formats twice for each request.
  setup.headers.basic.push_back("User-Agent: " + setup.options.user_agent);
  if (options.compressed) setup.headers.basic.emplace_back(kAcceptEncoding);
  for (const auto& line : options.connect_to) {
    curl_slist* longer = curl_slist_append(setup.connect_to.get(), line.c_str());
    if (longer == nullptr) return failure(ErrorCode::call, "libcurl has no memory");
    static_cast<void>(setup.connect_to.release());  // `longer` owns it now
    setup.connect_to.reset(longer);
  }
  // A Unix socket is where to connect; libcurl leaves proxies out for it, and need not look for any.
  setup.proxies = options.unix_socket.empty() && (!options.proxy.empty() || proxies_in_environment());
  setup.ca_file = options.ca_file.empty() ? default_ca_file() : options.ca_file;
  if (!setup.ca_file.empty() && !readable(setup.ca_file)) {
    return failure(ErrorCode::usage, "the file of trusted certificates cannot be read: " + setup.ca_file, errno);
  }
  if (!setup.ca_file.empty() && Trust::usable()) setup.trust = std::make_unique<Trust>(setup.ca_file);
  const auto connections = connections_per_shard(options.parallel_max, parts);
  if (!connections) return std::unexpected(connections.error());
  auto wire = Wire::make({.connections_max = *connections, .multiplex = options.version != Version::http1_1});
  if (!wire) return std::unexpected(wire.error());
  return Surroundings{std::move(setup), std::move(*wire)};
}

Refusal RequestCheck::check(const Request& request) {
  if (!is_token(request.method)) return {Failure::bad_request, "the method is empty or not a token"};
  for (const auto& line : request.headers) {
    if (auto fault = header_fault(line); !fault.empty()) return {Failure::bad_request, std::move(fault)};
  }
  if (request.content_type.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
    return {Failure::bad_request, "the content type has a line break or NUL byte"};
  }
  if (request.url == last_url_ && !last_origin_.empty()) return {};
  last_url_.clear();
  if (auto fault = parse_url(url_.get(), request.url, &last_origin_); !fault.empty()) {
    return {Failure::bad_url, std::move(fault)};
  }
  last_url_ = request.url;
  return {};
}

std::string_view host_text(const Host& host) noexcept {
  const std::string_view origin = host.origin;
  return origin.substr(origin.find("://") + 3);
}

static std::string ending_text(const Attempt& attempt) {
  if (attempt.failure != Failure::none) return std::string(code_of(attempt.failure));
  return attempt.status == 429 ? "rate limited" : "status " + std::to_string(attempt.status);
}

std::string tell_retry(const Options& options, const Call& call, const Attempt& attempt, milliseconds delay) {
  const std::string reason = ending_text(attempt);
  std::string text(host_text(*call.host));
  if (options.on_retry) options.on_retry({*call.task, text, reason, delay});
  return text.append(": ").append(reason).append(", next try in ").append(seconds_text(delay));
}

std::string breaker_text(const Host& host, const Attempt& attempt, std::chrono::steady_clock::time_point now) {
  std::string text(host_text(host));
  if (host.breaker.state() == BreakerState::closed) return text.append(": up again");
  text.append(": down (").append(ending_text(attempt)).append(", ").append(std::to_string(host.breaker.failures()));
  const auto wait = std::chrono::ceil<milliseconds>(host.breaker.until() - now);
  return text.append(" in a row), asked again in ").append(seconds_text(std::max(wait, milliseconds(0))));
}

std::string_view name_of(BreakerState state) noexcept {
  switch (state) {
    case BreakerState::closed: return "closed";
    case BreakerState::open: return "open";
    case BreakerState::half_open: return "half_open";
  }
  return "closed";
}

}  // namespace pawl::http
