// Header lines of a request: which are sent, in libcurl's form, without allocating once warmed up.
#pragma once

#include <curl/curl.h>

#include <cstdint>
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

class HeaderList {
 public:
  /// Lists `common` (in libcurl's form, must outlive the list) and the task's own, which replace common ones of the
  /// same name, plus Content-Type and Idempotency-Key.
  void build(std::vector<std::string>& common, const Request& request, Leg leg, Payload payload);

  /// Owned by this object; valid until the next build().
  [[nodiscard]] curl_slist* get() noexcept { return nodes_.empty() ? nullptr : nodes_.data(); }

 private:
  std::string& add_line();

  std::vector<std::string> lines_;  // the first `used_` are in use, the others keep their buffers
  std::size_t used_ = 0;
  std::vector<curl_slist> nodes_;
};

}  // namespace pawl::http
