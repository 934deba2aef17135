// A run on HTTP: metrics for Prometheus, the status as JSON, and a page for people that can also steer it.
//
//   GET /              the page: one document, no request to anywhere else
//   GET /metrics       Prometheus' text format, version 0.0.4
//   GET /status.json   to_json()
//   GET /history.json  the run since its start, at most 600 points (adapters/observe/format.md)
//   POST /pause, /resume, /drain
//
// Everything is made from the RunView when it is asked for, and once a second for the history: being looked at costs
// the pipeline nothing. It is plain HTTP without passwords, so it is for the machine itself: whoever reaches the
// address can read. Steering is for the user whose run it is, on a loopback address only, and asks for a token that
// only the page has, its own origin and a host name that no other site can have taken (DNS rebinding).
//
// When not to use it: where the network is not trusted (put a proxy with TLS and passwords before it), or for programs
// on the same machine that need no HTTP (StatusSocket).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/observe.h>
#include <pawl/steering.h>

namespace pawl::observe {

/// Where a WebServer listens.
struct ListenAddress {
  std::string host;        // an IP address; IPv6 without brackets
  std::uint16_t port = 0;  // 0: any that is free
  bool loopback = true;    // of this machine only
};

/// Reads PORT, HOST:PORT or [IPV6]:PORT; without a host it is 127.0.0.1, and "localhost" is that, too. Pure. Errors:
/// usage (says what is expected).
[[nodiscard]] PAWL_API Result<ListenAddress> parse_listen_address(std::string_view text);

/// The run in Prometheus' text format: names begin with pawl_, times in seconds, sizes in bytes; at most kLanesShown
/// lanes are told apart. Pure.
[[nodiscard]] PAWL_API std::string to_prometheus(const RunView& view);

class PAWL_API WebServer {
 public:
  struct Options {
    ListenAddress listen;
    std::string title;  // of the page: what is run
  };

  /// Binds and serves; until start() it answers 503. Errors: usage (the address cannot be bound; says why), io.
  [[nodiscard]] static Result<std::unique_ptr<WebServer>> open(const Options& options);

  /// `sample` is called by the server's threads, one at a time. `borrowed_steering` (null: nobody steers) must outlive
  /// the server. Once.
  void start(std::function<RunView()> sample, Steering* borrowed_steering);

  /// Ends the threads. At once, but up to 2 s later while a peer is connected that asks for nothing.
  ~WebServer();
  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;

  /// "http://127.0.0.1:9464/", with the port that was taken.
  [[nodiscard]] const std::string& url() const noexcept;

 private:
  struct PAWL_LOCAL Impl;
  explicit WebServer(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl::observe
