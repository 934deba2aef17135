// What a response's headers say of the server's limits. Understood are
//   x-ratelimit-{limit,remaining,reset}-{requests,tokens}, resets such as "6m0s", "1s", "20ms" or plain seconds;
//   x-ratelimit-{limit,remaining,reset}, where a reset may also be seconds since 1970;
//   RateLimit-{Limit,Remaining,Reset} (draft-ietf-httpapi-ratelimit-headers, up to version 6);
//   RateLimit: limit=10, remaining=5, reset=30 (version 7);
//   RateLimit: "name";r=5;t=30 with RateLimit-Policy: "name";q=10;w=60 (version 8 and later).
// Pure functions of names, values and the time. What cannot be understood says nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::http {

/// How much a server still lets through.
struct Quota {
  std::optional<std::uint64_t> limit;              // in a window
  std::optional<std::uint64_t> remaining;          // until the reset
  std::optional<std::chrono::milliseconds> reset;  // from now

  /// It says when how much may be sent.
  [[nodiscard]] bool known() const noexcept { return remaining.has_value() && reset.has_value(); }
};

class LimitHeaders {
 public:
  void clear() noexcept;
  /// Takes one header; asks `clock` where a reset may be a date. False: it is about something else. Allocates nothing
  /// once its buffers have grown.
  bool take(std::string_view name, std::string_view value,
            std::chrono::system_clock::time_point (*clock)() = &std::chrono::system_clock::now);

  /// Of several policies, the one that lets the least through.
  [[nodiscard]] Quota requests() const;
  [[nodiscard]] const Quota& tokens() const noexcept { return tokens_; }

 private:
  bool any_ = false;
  Quota requests_, tokens_;
  std::string policies_;  // RateLimit-Policy
  std::string items_;     // RateLimit in its newest form
};

/// "6m0s", "1.5s", "20ms", "120" (seconds), "1372700873" (seconds since 1970). nullopt: none of these.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_reset(std::string_view value,
                                                                   std::chrono::system_clock::time_point now) noexcept;

}  // namespace pawl::http
