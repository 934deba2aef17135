// What the server answers: from a request to status, headers and body. Knows the endpoints; knows no sockets, no
// faults and no counters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "json_scan.h"
#include "request_parser.h"

namespace pawl::mockapi {

struct Answer {
  int status = 200;
  std::string content_type;
  std::string headers;  // further ones, each ended by CR LF
  std::string body;

  /// Back to an empty 200 of JSON; buffers kept.
  void reset();
};

class Api {
 public:
  struct Settings {
    std::uint64_t body_bytes = 0;  // pad answers of /v1/… to this size
    std::int64_t created = 0;      // 0: the clock
  };
  explicit Api(Settings settings) noexcept : settings_(settings) {}

  /// Fills `answer` (which has been reset) for any request. The same request always gets the same answer, "created"
  /// excepted unless it is set.
  void answer(const Request& request, Answer& answer);

  /// An OpenAI-shaped error. `type` and `code` are plain ASCII words.
  static void error(Answer& answer, int status, std::string_view type, std::string_view code, std::string_view message);

 private:
  void chat_completion(const Request& request, Answer& answer);
  void completion(const Request& request, Answer& answer);
  void embeddings(const Request& request, Answer& answer);
  [[nodiscard]] bool scan(const Request& request, Answer& answer);
  void begin_object(const Request& request, Answer& answer, std::string_view id_prefix, std::string_view object);
  void finish_object(Answer& answer) const;
  [[nodiscard]] std::int64_t created() const;

  Settings settings_;
  JsonScan scan_;
};

/// "OK", "Too Many Requests", …; for a number without a name its class ("Client Error").
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

void append_number(std::string& out, std::uint64_t number);

}  // namespace pawl::mockapi
