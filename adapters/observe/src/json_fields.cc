#include "json_fields.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace pawl::observe {

namespace {

constexpr int kDeepest = 8;

void append_utf8(std::string& out, std::uint32_t value) {
  const auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (value < 0x80) return add(value);
  if (value < 0x800) {
    add(0xC0 | value >> 6);
  } else {
    add(0xE0 | value >> 12);
    add(0x80 | (value >> 6 & 0x3F));
  }
  add(0x80 | (value & 0x3F));
}

class Parser {
 public:
  Parser(std::string_view json, JsonFields& fields) : rest_(json), fields_(fields) {}

  bool whole() { return object("", 0) && (skip_space(), rest_.empty()); }

 private:
  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\r' || rest_[0] == '\t')) {
      rest_.remove_prefix(1);
    }
  }

  bool take(char wanted) {
    skip_space();
    if (rest_.empty() || rest_[0] != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool object(const std::string& prefix, int depth) {
    if (depth >= kDeepest || !take('{')) return false;
    if (take('}')) return true;
    do {
      std::string name;
      if (!string(name) || !take(':') || !value(prefix + name, depth)) return false;
    } while (take(','));
    return take('}');
  }

  bool array(const std::string& prefix, int depth) {
    if (depth >= kDeepest || !take('[')) return false;
    if (take(']')) return true;
    std::size_t index = 0;
    do {
      if (!value(prefix + std::to_string(index++), depth)) return false;
    } while (take(','));
    return take(']');
  }

  bool value(const std::string& path, int depth) {
    skip_space();
    if (rest_.empty()) return false;
    if (rest_[0] == '[') return array(path + ".", depth + 1);
    if (rest_[0] == '{') return object(path + ".", depth + 1);
    if (rest_[0] == '"') return string(fields_[path]);
    const std::size_t length = std::min(rest_.find_first_of(",}] \n\r\t"), rest_.size());
    const std::string_view text = rest_.substr(0, length);
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_number = error == std::errc{} && end == text.data() + text.size();
    if (!is_number && text != "null" && text != "true" && text != "false") return false;
    fields_[path] = text;
    rest_.remove_prefix(length);
    return true;
  }

  bool string(std::string& out) {
    out.clear();
    if (!take('"')) return false;
    while (!rest_.empty() && rest_[0] != '"') {
      if (static_cast<unsigned char>(rest_[0]) < 0x20) return false;
      if (rest_[0] == '\\') {
        if (!escape(out)) return false;
      } else {
        out += rest_[0];
        rest_.remove_prefix(1);
      }
    }
    return take('"');
  }

  // Code points above U+FFFF are never written escaped, so a surrogate is a fault.
  bool escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (rest_.size() < 2) return false;
    if (const auto at = kNames.find(rest_[1]); at != std::string_view::npos) {
      out += kMeant[at];
      rest_.remove_prefix(2);
      return true;
    }
    if (rest_[1] != 'u' || rest_.size() < 6) return false;
    std::uint32_t code = 0;
    const auto [end, error] = std::from_chars(rest_.data() + 2, rest_.data() + 6, code, 16);
    if (error != std::errc{} || end != rest_.data() + 6 || (code >= 0xD800 && code <= 0xDFFF)) return false;
    append_utf8(out, code);
    rest_.remove_prefix(6);
    return true;
  }

  std::string_view rest_;
  JsonFields& fields_;
};

}  // namespace

std::optional<JsonFields> json_fields(std::string_view json) {
  JsonFields fields;
  if (!Parser(json, fields).whole()) return std::nullopt;
  return fields;
}

}  // namespace pawl::observe
