// Reads one HTTP/1.1 request after another from a stream of bytes (RFC 9112), strictly: what two readers could
// understand in two ways is refused.
//
// Push parser: it takes bytes as they come, in pieces of any size, and stops at the end of a request, so pipelined
// requests are taken one by one. No socket, no clock. Not thread-safe; not movable, because views point inside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::mockapi {

struct Header {
  std::string_view name;
  std::string_view value;
};

/// Views are valid until RequestParser::next().
struct Request {
  std::string_view method;
  std::string_view path;  // without query
  std::string_view content_type;
  std::string_view idempotency_key;
  std::vector<Header> headers;
  std::string body;
  bool keep_alive = true;
  bool http_1_0 = false;
};

class RequestParser {
 public:
  static constexpr std::size_t kHeadBytesMax = 64 * 1024;
  static constexpr std::size_t kChunkLineBytesMax = 4 * 1024;

  explicit RequestParser(std::uint64_t max_body_bytes) noexcept : max_body_bytes_(max_body_bytes) {}
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  /// Takes bytes up to the end of the current request and returns how many it took. Takes none once the request is
  /// complete or has failed.
  std::size_t consume(std::string_view bytes);

  [[nodiscard]] bool complete() const noexcept { return phase_ == Phase::complete; }
  [[nodiscard]] bool failed() const noexcept { return phase_ == Phase::failed; }
  /// No byte of the current request has been seen.
  [[nodiscard]] bool idle() const noexcept { return phase_ == Phase::head && head_.empty(); }
  /// The client waits for "100 Continue" before it sends the body. True once per request.
  [[nodiscard]] bool take_expectation() noexcept;
  /// REQUIRES: complete(). After failed(): what was understood so far.
  [[nodiscard]] const Request& request() const noexcept { return request_; }
  /// REQUIRES: failed(). The status that says why: 400, 413, 431, 501 or 505.
  [[nodiscard]] int failure_status() const noexcept { return failure_status_; }
  [[nodiscard]] std::string_view failure_reason() const noexcept { return failure_reason_; }

  /// Forgets the request; ready for the next one.
  void next() noexcept;

 private:
  enum class Phase : std::uint8_t { head, body, chunk_size, chunk_data, chunk_end, trailer, complete, failed };

  /// Adds bytes to `line` up to and with LF; false while the line is not complete (or on failure).
  bool take_line(std::string_view bytes, std::size_t& at, std::string& line, std::size_t limit, int status_beyond);
  void take_head_line(std::string_view bytes, std::size_t& at);
  void take_data(std::string_view bytes, std::size_t& at);
  void take_chunk_size(std::string_view bytes, std::size_t& at);
  void take_chunk_end(std::string_view bytes, std::size_t& at);
  void take_trailer_line(std::string_view bytes, std::size_t& at);
  void finish_head();
  bool parse_request_line(std::string_view line);
  bool parse_header(std::string_view line);
  bool note_header(const Header& header);
  bool note_content_length(std::string_view value);
  bool note_connection(std::string_view value);
  void begin_body();
  bool fail(int status, std::string_view reason) noexcept;

  const std::uint64_t max_body_bytes_;
  Phase phase_ = Phase::head;
  std::string head_;            // request line and headers as they came
  std::size_t line_begin_ = 0;  // of the line being taken, in head_
  std::string line_;            // chunk size or trailer line being taken
  std::size_t trailer_bytes_ = 0;
  std::uint64_t data_left_ = 0;  // of the body, or of the current chunk
  std::uint64_t content_length_ = 0;
  bool has_content_length_ = false;
  bool chunked_ = false;
  bool expects_continue_ = false;
  int hosts_ = 0;
  int failure_status_ = 0;
  std::string_view failure_reason_;
  Request request_;
};

/// Whether two header names or tokens are the same, without regard to case (ASCII).
[[nodiscard]] bool same_token(std::string_view left, std::string_view right) noexcept;

}  // namespace pawl::mockapi
