#include "log_line.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <type_traits>

#include "json_writer.h"
#include "text.h"

namespace pawl::observe {

namespace {

/// At most so many bytes, and no code point cut in two.
void cut_bytes(std::string& text, std::size_t most) {
  if (text.size() <= most) return;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  text += "...";
}

/// Stands alone between spaces without being taken for something else.
bool is_plain_value(std::string_view text) {
  if (text.empty()) return false;
  while (!text.empty()) {
    const CodePoint point = decode_first(text);
    if (!point.valid || point.value <= ' ' || point.value == '"' || point.value == '=' || point.value == '\\' ||
        columns_of(point.value) == 0)
      return false;
    text.remove_prefix(point.bytes);
  }
  return true;
}

void append_value(std::string& out, std::string_view text) {
  if (is_plain_value(text)) {
    out += clean_line(text, Charset::utf8);
    return;
  }
  out += '"';
  for (const char c : clean_line(text, Charset::utf8)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

std::string number_text(double value) {
  std::array<char, 32> buffer;
  return {buffer.data(),
          std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, 3).ptr};
}

std::string render_text(const LogEntry& entry) {
  std::string line = log_time(entry.time);
  line += ' ';
  line += name_of(entry.level);
  line.append(6 - name_of(entry.level).size(), ' ');
  line += entry.event;
  line += ' ';
  line += clean_line(entry.message, Charset::utf8);
  for (const auto& [name, value] : entry.fields) {
    line += ' ';
    line += name;
    line += '=';
    if (const auto* text = std::get_if<std::string>(&value))
      append_value(line, *text);
    else if (const auto* count = std::get_if<std::uint64_t>(&value))
      line += std::to_string(*count);
    else
      line += number_text(std::get<double>(value));
  }
  return line;
}

std::string render_json(const LogEntry& entry) {
  JsonWriter json;
  json.field("time", std::string_view(log_time(entry.time)));
  json.field("level", name_of(entry.level));
  json.field("event", entry.event);
  json.field("message", std::string_view(entry.message));
  for (const auto& [name, value] : entry.fields) {
    if (const auto* text = std::get_if<std::string>(&value))
      json.field(name, std::string_view(*text));
    else if (const auto* count = std::get_if<std::uint64_t>(&value))
      json.field(name, *count);
    else
      json.field(name, std::get<double>(value));
  }
  return json.take();
}

}  // namespace

std::size_t LogEntry::bytes() const noexcept {
  std::size_t sum = 128 + message.size();
  for (const auto& [name, value] : fields) {
    sum += 64 + name.size();
    if (const auto* text = std::get_if<std::string>(&value)) sum += text->size();
  }
  return sum;
}

std::string render_log_line(LogEntry entry, LogFormat format, const std::function<void(std::string&)>& mask) {
  const auto clean = [&mask](std::string& text, std::size_t most) {
    if (mask) mask(text);
    cut_bytes(text, most);
  };
  clean(entry.message, kLogMessageBytes);
  for (auto& [name, value] : entry.fields)
    if (auto* text = std::get_if<std::string>(&value)) clean(*text, kLogValueBytes);
  return format == LogFormat::json ? render_json(entry) : render_text(entry);
}

std::string log_time(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto millis = std::chrono::floor<std::chrono::milliseconds>(time - whole).count();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(whole);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> text;
  const int size =
      std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", 1900 + utc.tm_year, utc.tm_mon + 1,
                    utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(millis));
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace pawl::observe
