// Header lines of a request: which are sent, in libcurl's form, without allocating once warmed up.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/task.h>

namespace pawl::http {

/// Empty: "Name: value" is a header line that may be sent. Else what is wrong with it, without its value.
[[nodiscard]] std::string header_fault(std::string_view line);

/// Writes a faultless "Name: value" to `out` in libcurl's form, where an empty value is spelt "Name;".
void format_header(std::string_view line, std::string& out);

/// Name of a header line in either form.
[[nodiscard]] std::string_view header_name(std::string_view line) noexcept;

/// Names of headers compare without case.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b) noexcept;

/// Without white space and the end of a line on both sides.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

/// A method is a token (RFC 9110 section 5.6.2).
[[nodiscard]] bool is_token(std::string_view text) noexcept;

/// Appended to `out`: the request's digest and a hash of (stream, id) in hexadecimal. The same in every process, so
/// that a server recognises a request repeated after a crash.
void append_idempotency_key(const Request& request, std::string& out);

/// What the lines are for.
enum class Leg : std::uint8_t {
  own_origin,    // everything
  other_origin,  // a redirect led elsewhere: no common headers, nothing that authenticates
};
enum class Payload : std::uint8_t { none, body };

/// Lines that many requests have in common, in libcurl's form.
struct CommonHeaders {
  std::vector<std::string> lines;  // for the own origin alone: they may be secrets
  std::vector<std::string> basic;  // for every origin, weaker than `lines`: who asks, and what is understood
};

class HeaderList {
 public:
  /// libcurl asks before it sends a larger body (RFC 9110 section 10.1.1), and waits a second for an answer that few
  /// servers give, unless it is told not to.
  static constexpr std::size_t kBodyAskedFor = 1 << 20;

  /// Lists `common` (which must outlive the list and stay as it is) and the task's own, which replace common ones of
  /// the same name, plus Content-Type and Idempotency-Key. Of a request that differs from the one before in nothing
  /// but its key and body, only the key is written.
  void build(CommonHeaders& common, const Request& request, Leg leg, Payload payload);

  /// Owned by this object; valid until the next build().
  [[nodiscard]] curl_slist* get() noexcept { return nodes_.empty() ? nullptr : nodes_.data(); }

 private:
  /// What the list was built for, if it can be used again.
  struct Form {
    bool plain = false;  // the request had no headers of its own, and got a key
    Leg leg = Leg::own_origin;
    Payload payload = Payload::none;
    bool large = false;
    std::string content_type;
  };

  /// Lists `lines`, but not what the request or a line of `stronger` names too.
  void add_common(std::vector<std::string>& lines, std::span<const std::string> stronger, const Request& request,
                  bool typed);
  std::string& add_line();

  Form form_;
  std::vector<std::string> lines_;  // the first `used_` are in use, the others keep their buffers; the key is the first
  std::size_t used_ = 0;
  std::vector<curl_slist> nodes_;
  bool has_type_ = false;
  bool has_key_ = false;
};

}  // namespace pawl::http
