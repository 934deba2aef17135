#include "web_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <sstream>

#include <pawl/web.h>

namespace pawl::observe {

namespace {

constexpr std::string_view kLocalhost = "localhost";

bool is_ip(const std::string& text) {
  in6_addr any;
  return ::inet_pton(AF_INET, text.c_str(), &any) == 1 || ::inet_pton(AF_INET6, text.c_str(), &any) == 1;
}

bool is_loopback(const std::string& ip) {
  in_addr four{};
  if (::inet_pton(AF_INET, ip.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, ip.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

// Without port and brackets.
std::string_view bare_host(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    return end == std::string_view::npos ? std::string_view() : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

bool is_reading(std::string_view method) { return method == "GET" || method == "HEAD"; }

// A number in a column of /proc/net/tcp, "0100007F:24F8": what follows the colon.
unsigned port_of(const std::string& column) {
  unsigned port = 0;
  const auto colon = column.rfind(':');
  if (colon == std::string::npos) return 0;
  std::from_chars(column.data() + colon + 1, column.data() + column.size(), port, 16);
  return port;
}

}  // namespace

bool names_an_address(std::string_view host) {
  const std::string bare(bare_host(host));
  return bare == kLocalhost || is_ip(bare);
}

bool same_secret(std::string_view left, std::string_view right) noexcept {
  if (left.size() != right.size() || left.empty()) return false;
  unsigned differs = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    differs |= static_cast<unsigned char>(left[i]) ^ static_cast<unsigned>(static_cast<unsigned char>(right[i]));
  }
  return differs == 0;
}

std::string why_refused(const WebRequest& request, const WebPolicy& policy) {
  const bool own_name = names_an_address(request.host) ||
                        (!policy.loopback && !policy.host_name.empty() && bare_host(request.host) == policy.host_name);
  // Prometheus in the network may know this machine by any name, and metrics are all it gets.
  const bool scrape = !policy.loopback && is_reading(request.method) && request.path == "/metrics";
  if (!own_name && !scrape)
    return "ask for this page by its IP address or as localhost: other names are not answered (DNS rebinding)";
  if (is_reading(request.method)) return {};
  if (request.method != "POST") return "GET, HEAD and POST only";
  if (!policy.loopback) return "a run is steered on a loopback address only, or with `pawl ctl`";
  if (request.origin != "http://" + std::string(request.host)) return "this did not come from the run's own page";
  if (!request.fetch_site.empty() && request.fetch_site != "same-origin")
    return "this did not come from the run's own page";
  if (!same_secret(request.token, policy.token)) return "the page is of another run: load it again";
  return {};
}

bool connection_is_of(std::string_view table, unsigned peer_port, unsigned own_port, unsigned user) {
  std::istringstream lines{std::string(table)};
  bool found = false;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream columns(line);
    std::string number, local, remote, state, queues, timer, retransmits;
    unsigned owner = 0;
    if (!(columns >> number >> local >> remote >> state >> queues >> timer >> retransmits >> owner)) continue;
    if (port_of(local) != peer_port || port_of(remote) != own_port) continue;
    constexpr std::string_view kEstablished = "01";
    if (state != kEstablished || (owner != user && owner != 0)) return false;
    found = true;
  }
  return found;
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto expected = [&](std::string_view what) {
    return failure(ErrorCode::usage,
                   std::string(what) + ", such as 9464, 127.0.0.1:9464 or [::1]:9464; got '" + std::string(text) + "'");
  };
  ListenAddress address;
  const auto colon = text.rfind(':');
  const std::string_view digits = colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::string_view host = colon == std::string_view::npos ? std::string_view() : text.substr(0, colon);
  unsigned port = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (problem != std::errc{} || end != digits.data() + digits.size() || port > 65535)
    return expected("expected a port or an IP address and a port");
  address.port = static_cast<std::uint16_t>(port);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  address.host = host.empty() || host == kLocalhost ? "127.0.0.1" : std::string(host);
  const bool six = address.host.find(':') != std::string::npos;
  if (!is_ip(address.host) || six != bracketed) return expected("expected an IP address before the port");
  address.loopback = is_loopback(address.host);
  return address;
}

}  // namespace pawl::observe
