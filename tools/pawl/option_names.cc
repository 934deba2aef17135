#include "option_names.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace pawl::tool {
namespace {

struct Name {
  std::string_view field;   // of http::Options, input::Options
  std::string_view option;  // that it is made from
};
constexpr std::array kNames = {
    Name{"base_url", "--base-url"},
    Name{"body_template", "--body"},
    Name{"budget_tokens_at", "--budget-tokens-by"},
    Name{"call_threads", "--call-threads"},
    Name{"connect_timeout", "--connect-timeout"},
    Name{"content_type", "--content-type"},
    Name{"first_byte_time_max", "--max-time-first-byte"},
    Name{"idle_time_max", "--idle-timeout"},
    Name{"line_bytes_max", "--line-bytes-max"},
    Name{"method", "--method"},
    Name{"parallel_max", "--parallel-max"},
    Name{"proxy", "--proxy"},
    Name{"rate", "--rate"},
    Name{"rate_tokens", "--rate-tokens"},
    Name{"response_bytes_max", "--max-response-bytes"},
    Name{"retry_delay", "--retry-delay"},
    Name{"retry_max", "--retry"},
    Name{"retry_time_max", "--retry-max-time"},
    Name{"stream_by", "--stream-by"},
    Name{"time_max", "--max-time"},
    Name{"tokens_by", "--tokens-by"},
    Name{"unix_socket", "--unix-socket"},
    Name{"url", "--url"},
};

}  // namespace

Error in_typed_words(Error error) {
  constexpr std::string_view kInput = "input option ";
  constexpr std::string_view kBeside = "a base_url beside it";
  std::string& text = error.context;
  const bool of_input = text.starts_with(kInput);
  const std::size_t begin = of_input ? kInput.size() : 0;
  const std::size_t end = std::min(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", begin), text.size());
  // An option's name and what is wrong with it, not a sentence that begins with a word such as "rate".
  const bool named = of_input || text.substr(end).starts_with(" is ") || text.substr(end).starts_with(":");
  const auto* const name = std::ranges::find(kNames, std::string_view(text).substr(begin, end - begin), &Name::field);
  if (!named || name == kNames.end()) return error;
  text = std::string(name->option) + text.substr(end);
  if (const auto at = text.find(kBeside); at != std::string::npos)
    text.replace(at, kBeside.size(), "--base-url beside it");
  return error;
}

}  // namespace pawl::tool
