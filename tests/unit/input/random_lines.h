// Random batch lines beside the tasks that they mean.
#pragma once

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>

#include <pawl/task.h>

namespace pawl::input {

class RandomLines {
 public:
  explicit RandomLines(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

  /// One line without line end; `task` is what it must be read as. `number` makes the id unique.
  std::string line(std::size_t number, std::string_view default_stream, Request& task) {
    static constexpr std::string_view kMethodNames[] = {"POST", "GET", "PUT", "PATCH", "DELETE"};
    task.id = text() + std::to_string(number);
    task.method = kMethodNames[below(5)];
    const std::string path = "/p" + std::to_string(below(100));
    task.url = "https://api.test" + path;
    task.stream = below(3) == 0 ? "s" + text() : std::string(default_stream);
    task.body = task.method == "GET" ? "" : value(0);
    if (task.body == "null" && task.method == "DELETE") task.body.clear();
    task.content_type = task.body.empty() ? "" : "application/json";
    std::string fields[6];
    std::size_t count = 0;
    fields[count++] = field("custom_id") + string(task.id);
    fields[count++] = field("method") + string(task.method);
    fields[count++] = field("url") + string(below(2) == 0 ? path : task.url);
    if (!task.body.empty()) fields[count++] = field("body") + task.body;
    if (task.stream != default_stream) fields[count++] = field("stream") + string(task.stream);
    if (below(3) == 0) fields[count++] = field("unknown") + value(0);
    std::shuffle(fields, fields + count, random_);
    std::string out = space() + "{";
    for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ",") + space() + fields[i] + space();
    return out + "}" + space();
  }

  /// Text of 1 to 12 characters of one to four bytes.
  std::string text() {
    static constexpr std::string_view kPieces[] = {"a", "Z", "0", " ",  "\"",       "\\",           "/",
                                                   "{", "]", ",", "\n", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    std::string out;
    for (std::size_t left = 1 + below(12); left > 0; --left) out += kPieces[below(std::size(kPieces))];
    return out;
  }

  /// `text` as a JSON string, some characters escaped at random.
  std::string string(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || (byte < 0x80 && below(8) == 0)) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\u%04X", static_cast<unsigned>(byte));
        out += escape;
      } else if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else {
        out += c;
      }
    }
    return out + '"';
  }

 private:
  std::string space() { return std::string(below(4) == 0 ? below(3) : 0, below(2) == 0 ? ' ' : '\t'); }
  std::string field(std::string_view name) { return string(name) + space() + ":" + space(); }

  std::string value(std::size_t depth) {
    static constexpr std::string_view kScalars[] = {"0",    "-1.5e7", "true", "false",
                                                    "null", "[]",     "{}",   "18446744073709551616"};
    const std::size_t kind = below(depth < 4 ? 5 : 3);
    if (kind == 0) return std::string(kScalars[below(std::size(kScalars))]);
    if (kind <= 2) return string(text());
    std::string out = kind == 3 ? "[" : "{";
    for (std::size_t i = 0, count = 1 + below(4); i < count; ++i) {
      out += (i == 0 ? "" : ",") + space();
      if (kind == 4) out += field(text());
      out += value(depth + 1) + space();
    }
    return out + (kind == 3 ? "]" : "}");
  }

  std::mt19937_64 random_;
};

}  // namespace pawl::input
