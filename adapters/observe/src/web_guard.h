// Who may ask a WebServer for what: decisions as pure functions of a request's headers.
//
// A page of another site that a person happens to look at can make their browser send requests to 127.0.0.1. It cannot
// read the answers, unless the site's name is made to point at 127.0.0.1 (DNS rebinding): then the Host header is still
// that name. So only names are answered that nobody else can own, and what changes the run needs a token from the page.
#pragma once

#include <string>
#include <string_view>

namespace pawl::observe {

struct WebRequest {
  std::string_view method;
  std::string_view path;  // without the query
  std::string_view host;  // headers; empty: not sent
  std::string_view origin;
  std::string_view fetch_site;  // Sec-Fetch-Site
  std::string_view token;       // X-Pawl-Token
};

struct WebPolicy {
  bool loopback = true;   // bound to an address of this machine only
  std::string token;      // what the page was given
  std::string host_name;  // of this machine; asked for over the network only
};

/// Why the request is refused; empty: it may go on. Whether the path exists is not looked at.
[[nodiscard]] std::string why_refused(const WebRequest& request, const WebPolicy& policy);

/// An IP address or "localhost", with or without a port: no name that somebody else's DNS answers for.
[[nodiscard]] bool names_an_address(std::string_view host);

/// Takes as long whatever the texts hold.
[[nodiscard]] bool same_secret(std::string_view left, std::string_view right) noexcept;

/// All that the kernel's table (`/proc/net/tcp`, proc(5)) has of connections from `peer_port` to `own_port` are alive
/// and belong to `user` or to root, and there is one. A socket that its process has closed belongs to nobody.
[[nodiscard]] bool connection_is_of(std::string_view table, unsigned peer_port, unsigned own_port, unsigned user);

}  // namespace pawl::observe
