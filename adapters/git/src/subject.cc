#include "subject.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "json_text.h"

namespace pawl::git {
namespace {

// Length of the code point at the front of `text`, 0 if there is no valid one.
std::size_t code_point_size(std::string_view text) noexcept {
  const auto lead = static_cast<std::uint8_t>(text.front());
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (size == 1) return 1;
  return size <= text.size() && is_utf8(text.substr(0, size)) ? size : 0;
}

// C0, DEL, C1, and what starts a new line or turns the direction of writing around (U+2028 … U+202E, U+2066 …
// U+2069), with which a name could make a log show something else.
bool is_printable(std::string_view code_point) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(code_point[i]); };
  if (code_point.size() == 1) return byte(0) >= 0x20 && byte(0) != 0x7f;
  if (code_point.size() == 2) return byte(0) != 0xc2 || byte(1) >= 0xa0;
  if (code_point.size() != 3 || byte(0) != 0xe2) return true;
  if (byte(1) == 0x80) return byte(2) < 0xa8 || byte(2) > 0xae;
  return byte(1) != 0x81 || byte(2) < 0xa6 || byte(2) > 0xa9;
}

// Appends at most `columns` code points of `text`, made printable; returns how many.
std::size_t append_printable(std::string& out, std::string_view text, std::size_t columns) {
  std::size_t used = 0;
  while (!text.empty() && used < columns) {
    const std::size_t size = code_point_size(text);
    const std::string_view code_point = text.substr(0, size == 0 ? 1 : size);
    if (size != 0 && is_printable(code_point)) {
      out += code_point;
    } else {
      out += '?';
    }
    text.remove_prefix(code_point.size());
    ++used;
  }
  return used;
}

void append_result(std::string& out, const Outcome& outcome) {
  std::array<char, 64> text;
  int size = 0;
  if (outcome.kind == Outcome::Kind::answered) {
    const auto hundredths = (outcome.duration.count() + 5) / 10;
    size = std::snprintf(text.data(), text.size(), "%d in %lld.%02lld s", outcome.status_code,
                         static_cast<long long>(hundredths / 100), static_cast<long long>(hundredths % 100));
  } else {
    constexpr std::size_t kCodeColumns = 20;
    append_printable(out, outcome.error_code.empty() ? "failed" : outcome.error_code, kCodeColumns);
    size = std::snprintf(text.data(), text.size(), " after %u %s", outcome.attempts,
                         outcome.attempts == 1 ? "attempt" : "attempts");
  }
  out.append(text.data(), static_cast<std::size_t>(size));
}

}  // namespace

std::size_t append_shortened(std::string& out, std::string_view text, std::size_t columns) {
  const std::size_t begin = out.size();
  std::size_t used = append_printable(out, text, columns + 1);
  if (used <= columns) return used;
  out.resize(begin);
  used = append_printable(out, text, columns - 1);
  out += "…";
  return used + 1;
}

void write_subject(const Task& task, std::string& subject) {
  constexpr std::size_t kNameColumns = kSubjectColumns - 46;  // 20 for an error code, " after 1234567 attempts"
  constexpr std::size_t kStreamColumns = 24;
  subject.clear();
  // The id tells results apart, so it gets the larger part, and whatever the stream leaves.
  const std::size_t used = append_shortened(subject, task.request.stream, kStreamColumns);
  subject += ' ';
  append_shortened(subject, task.request.id, kNameColumns - used);
  subject += ": ";
  append_result(subject, task.outcome);
}

}  // namespace pawl::git
