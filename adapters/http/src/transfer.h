// One place on the wire: an easy handle, set up once, and what the present request and its response need.
// Used again for one task after the other. The call stage's thread only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <pawl/http.h>
#include <pawl/task.h>

#include "content_coding.h"
#include "curl_handles.h"
#include "failure.h"
#include "headers.h"
#include "limit_headers.h"
#include "secrets.h"
#include "trust.h"
#include "wait_line.h"
#include "wire.h"

namespace pawl::http {

/// What every transfer of a stage has in common.
struct TransferSetup {
  Options options;
  CommonHeaders headers;         // Options::headers and the bearer; user agent and codings
  Secrets secrets;               // of the options
  std::string ca_file;           // empty: libcurl's own default
  std::unique_ptr<Trust> trust;  // of that file; null: libcurl reads it itself
  StringList connect_to;         // of Options::connect_to; null: none
  bool proxies = true;           // false: there are none, so libcurl need not look
  [[nodiscard]] bool waits_with_limit() const noexcept {
    return options.first_byte_time_max.count() > 0 || options.idle_time_max.count() > 0;
  }
  /// Told when a connection to the call's host stands.
  void (*on_connected)(void* owner, Host& host) = nullptr;
  void* owner = nullptr;
};

class Transfer {
 public:
  /// Responses whose headers are larger than this are refused. Below libcurl's own bound, which newer versions have
  /// and report as a broken connection.
  static constexpr std::uint64_t kHeaderBytesMax = 256 << 10;
  static constexpr unsigned kRedirectsMax = 10;

  /// nullptr: libcurl has no memory. `setup` and `wire` must outlive the transfer.
  [[nodiscard]] static std::unique_ptr<Transfer> make(TransferSetup& setup, Wire& wire, unsigned shard);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() = default;

  /// Puts the call's request on the wire. `call` is borrowed until end(). False: libcurl refuses it.
  [[nodiscard]] bool begin(Call& call);
  /// After an HTTP response: goes on to where it redirects, within the same attempt. `none`: it is on the wire again.
  [[nodiscard]] Failure follow(const std::string& url);
  /// Takes it off the wire, whatever state it is in.
  void end() noexcept;

  /// It came to nothing because it went out on a connection that had been kept and was at its end, or out of step:
  /// nothing of an answer has come. That says nothing of the server, so it is no attempt of its own.
  [[nodiscard]] bool stale(CURLcode code) const noexcept;
  /// The same request once more on a connection of its own; at most once in an attempt (RFC 9112 section 9.3.1; all
  /// requests carry an Idempotency-Key). `none`: it is on the wire again.
  [[nodiscard]] Failure again();

  /// Why it ended; once for each time it went on the wire. `none`: a whole response, whose body and content type are in
  /// the outcome.
  [[nodiscard]] Failure conclude(CURLcode code);
  /// One sentence about a failure, for a person; never a secret.
  [[nodiscard]] std::string failure_text(Failure failure, CURLcode code) const;

  [[nodiscard]] Call* call() const noexcept { return call_; }  // nullptr: idle
  [[nodiscard]] int status() const noexcept { return status_; }
  /// The present request may have left this machine: a connection stood for it.
  [[nodiscard]] bool left() const noexcept { return left_; }
  /// Where a response with a redirecting status leads; empty: nowhere.
  [[nodiscard]] std::string redirect() const;
  [[nodiscard]] std::chrono::steady_clock::time_point begun() const noexcept { return begun_; }
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after() const noexcept;
  [[nodiscard]] const LimitHeaders& limits() const noexcept { return limits_; }
  /// When waiting for the next byte has gone on for too long; nullopt: there is no such time.
  [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> patience_ends() const noexcept;
  /// It has gone on for too long: the failure's text says so.
  void lose_patience() noexcept;
  [[nodiscard]] std::optional<bool> should_retry() const noexcept { return should_retry_; }
  [[nodiscard]] static Transfer& of(CURL* easy) noexcept;

 private:
  Transfer(TransferSetup& setup, Wire& wire, unsigned shard) noexcept : setup_(setup), wire_(wire), shard_(shard) {}
  [[nodiscard]] bool set_up();
  void set_up_tls();
  /// Sets method and body, as far as they differ from the last request's.
  void set_request(std::string_view method, Payload payload);
  [[nodiscard]] bool launch(Leg leg, std::chrono::milliseconds time_max);
  [[nodiscard]] std::optional<std::chrono::milliseconds> time_left() const noexcept;
  void clear_response() noexcept;
  /// A whole answer has come, whatever became of the rest of the request.
  [[nodiscard]] bool answer_whole() const noexcept;

  bool refuse(std::string_view fault) noexcept;
  bool take_header(std::string_view line) noexcept;
  bool take_status_line(std::string_view line) noexcept;
  bool take_field(std::string_view name, std::string_view value);
  bool take_content_length(std::string_view value) noexcept;
  bool take_body(std::string_view bytes) noexcept;
  static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept;
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept;
  static int on_connected(void* transfer, char*, char*, int, int) noexcept;

  TransferSetup& setup_;
  Wire& wire_;
  unsigned shard_;
  EasyHandle easy_;
  UrlHandle url_;
  std::string url_text_;  // what url_ is set to
  HeaderList headers_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};

  // The present call.
  Call* call_ = nullptr;
  std::chrono::steady_clock::time_point begun_{};
  std::string origin_;  // the call's own, known once a redirect is followed
  std::string method_;  // set on the handle
  Payload payload_ = Payload::none;
  Leg leg_ = Leg::own_origin;
  unsigned redirects_ = 0;
  bool fresh_ = false;  // it has a connection of its own: set on the handle
  bool left_ = false;
  std::chrono::milliseconds time_max_{0};                  // set on the handle
  long buffer_ = 0;                                        // set on the handle
  std::uint64_t last_body_bytes_ = 0;                      // of the call before
  std::chrono::steady_clock::time_point waiting_since_{};  // for a byte; kept only where there is a limit to it

  // The present response.
  int status_ = 0;
  bool status_seen_ = false;
  bool headers_whole_ = false;
  bool chunked_ = false;  // or in another transfer coding: it has no length
  bool too_large_ = false;
  std::string_view fault_;       // why it is no response to take; empty: nothing known
  bool own_request_id_ = false;  // from x-request-id, which counts more than request-id
  std::uint64_t header_bytes_ = 0;
  std::uint64_t body_bytes_ = 0;  // as they came, content-coding not undone
  unsigned body_pieces_ = 0;
  std::uint64_t headers_act_ = 0;  // number of the wire's act that brought their end
  bool apart_ = false;             // the body began to come in another one
  const void* tls_ = nullptr;      // the connection's session, if it is worth a look at the end
  std::optional<std::uint64_t> content_length_;
  std::optional<ContentDecoder> decoder_;
  std::optional<std::chrono::milliseconds> retry_after_;
  std::optional<std::chrono::milliseconds> retry_after_ms_;
  std::optional<bool> should_retry_;
  LimitHeaders limits_;
};

}  // namespace pawl::http
