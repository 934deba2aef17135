// What a call stage finds around it before its loop starts: certificates, proxies, file descriptors, the wire. And the
// two small things its loop asks besides: whether a request can be tried at all, and how to tell a person of a retry.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <pawl/http.h>

#include "retry.h"
#include "transfer.h"
#include "url.h"
#include "wire.h"

namespace pawl::http {

struct Surroundings {
  TransferSetup setup;  // owner and on_connected are the stage's to set
  std::unique_ptr<Wire> wire;
};

/// How many connections each shard of one of so many parts may keep within the process's limit of descriptors. Errors:
/// usage (it allows too few), io.
[[nodiscard]] Result<long> connections_per_shard(unsigned parallel_max, unsigned parts);

/// `parts`: how many stages like this one share the process's descriptors. Errors: as make_call_stage().
[[nodiscard]] Result<Surroundings> look_around(const Options& options, unsigned parts);

/// Why a request is not even tried, as the outcome will say it. `none`: it can be tried.
struct Refusal {
  Failure failure = Failure::none;
  std::string text;
};

/// Checks requests and finds the origin they go to. One thread.
class RequestCheck {
 public:
  RequestCheck() : url_(curl_url()) {}

  [[nodiscard]] Refusal check(const Request& request);
  /// Of the request that was checked last, if it can be tried.
  [[nodiscard]] const std::string& origin() const noexcept { return last_origin_; }

 private:
  UrlHandle url_;
  std::string last_url_, last_origin_;  // tasks of one input mostly name the same URL
};

/// "https://api.example.com:443" → "api.example.com:443".
[[nodiscard]] std::string_view host_text(const Host& host) noexcept;

/// Tells on_retry, and returns it as a line for a person: "127.0.0.1:8080: connect_failed, next try in 3.0 s".
[[nodiscard]] std::string tell_retry(const Options& options, const Call& call, const Attempt& attempt,
                                     std::chrono::milliseconds delay);

/// "127.0.0.1:8080: down (connect_failed, 20 in a row), asked again in 1.0 s", or that it is up again.
[[nodiscard]] std::string breaker_text(const Host& host, const Attempt& attempt,
                                       std::chrono::steady_clock::time_point now);

}  // namespace pawl::http
