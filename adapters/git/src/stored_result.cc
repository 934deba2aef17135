#include "stored_result.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <string>

#include "base64.h"

namespace pawl::git {
namespace {

using simdjson::SUCCESS;
using StoredValue = simdjson::ondemand::value;

bool read_digits(std::string_view text, std::size_t at, std::size_t count, unsigned& number) {
  const std::string_view digits = text.substr(at, count);
  if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) return false;
  return std::from_chars(digits.data(), digits.data() + digits.size(), number).ec == std::errc{};
}

/// As records have it: "2026-11-27T20:14:05.123Z".
std::optional<std::chrono::system_clock::time_point> time_of(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00.000Z";
  if (text.size() != kShape.size()) return std::nullopt;
  for (const std::size_t at : {4, 7, 10, 13, 16, 19, 23})
    if (text[at] != kShape[at]) return std::nullopt;
  unsigned year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, millis = 0;
  if (!read_digits(text, 0, 4, year) || !read_digits(text, 5, 2, month) || !read_digits(text, 8, 2, day) ||
      !read_digits(text, 11, 2, hour) || !read_digits(text, 14, 2, minute) || !read_digits(text, 17, 2, second) ||
      !read_digits(text, 20, 3, millis))
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second) + std::chrono::milliseconds(millis);
}

template <class Visit>
bool each_member(StoredValue value, Visit visit) {
  simdjson::ondemand::object object;
  if (value.get_object().get(object) != SUCCESS) return false;
  for (auto member : object) {
    std::string_view key;
    StoredValue inner;
    if (member.unescaped_key().get(key) != SUCCESS) return false;
    const std::string name(key);  // the parser's own copy goes when the value is read
    if (member.value().get(inner) != SUCCESS) return false;
    visit(name, inner);
  }
  return true;
}

bool is_null(StoredValue value) { return value.raw_json_token().starts_with("null"); }

void read_text_if(StoredValue value, std::string& text) {
  std::string_view view;
  if (value.get_string().get(view) == SUCCESS) text.assign(view);
}

bool read_error(StoredValue value, StoredResult& result) {
  bool code_encoded = false, message_encoded = false;
  const bool read = each_member(value, [&](std::string_view name, StoredValue inner) {
    if (name == "code") read_text_if(inner, result.error_code);
    if (name == "message") read_text_if(inner, result.error_message);
    if (name == "code_encoding") code_encoded = true;
    if (name == "message_encoding") message_encoded = true;
  });
  if (code_encoded) result.error_code = decode_base64(result.error_code).value_or("");
  if (message_encoded) result.error_message = decode_base64(result.error_message).value_or("");
  return read;
}

bool read_answer(StoredValue value, StoredResult& result) {
  return each_member(value, [&](std::string_view name, StoredValue inner) {
    std::uint64_t status = 0;
    if (name == "status_code" && inner.get_uint64().get(status) == SUCCESS && status < 1000)
      result.status_code = static_cast<int>(status);
  });
}

bool read_result_field(std::string_view name, StoredValue value, StoredResult& result) {
  if (name == "response") return is_null(value) || read_answer(value, result);
  if (name == "error") return is_null(value) || read_error(value, result);
  std::uint64_t number = 0;
  if (name == "attempts" && value.get_uint64().get(number) == SUCCESS)
    result.attempts = static_cast<std::uint32_t>(std::min<std::uint64_t>(number, UINT32_MAX));
  constexpr std::uint64_t kLongest = 1ull << 40;  // 34 years
  if (name == "duration_ms" && value.get_uint64().get(number) == SUCCESS)
    result.duration = std::chrono::milliseconds(std::min(number, kLongest));
  std::string_view text;
  if (name == "started" && value.get_string().get(text) == SUCCESS) result.started = time_of(text);
  return true;
}

}  // namespace

bool read_stored_result(std::string_view record, StoredResult& result) {
  result.status_code = 0;
  result.error_code.clear();
  result.error_message.clear();
  result.attempts = 0;
  result.started.reset();
  result.duration = std::chrono::milliseconds{0};
  // Both keep their memory for the next record.
  thread_local simdjson::ondemand::parser parser;
  thread_local std::string padded;
  padded.assign(record);
  padded.append(simdjson::SIMDJSON_PADDING, '\0');
  simdjson::ondemand::document document;
  simdjson::ondemand::object object;
  if (parser.iterate(padded.data(), record.size(), padded.size()).get(document) != SUCCESS) return false;
  if (document.get_object().get(object) != SUCCESS) return false;
  for (auto field : object) {
    std::string_view key;
    StoredValue value;
    if (field.unescaped_key().get(key) != SUCCESS) return false;
    const std::string name(key);
    if (field.value().get(value) != SUCCESS || !read_result_field(name, value, result)) return false;
  }
  return true;
}

}  // namespace pawl::git
