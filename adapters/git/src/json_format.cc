#include "json_format.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "json_text.h"

namespace pawl::git {
namespace {

constexpr std::uint32_t kNone = static_cast<std::uint32_t>(-1);

struct Value {
  std::string_view key;         // with quotes; empty: not a member
  std::string_view text;        // of a scalar; of a container its first byte
  std::uint32_t first = kNone;  // child
  std::uint32_t next = kNone;   // sibling
};

/// Reads a text that is_json() into values, and writes them.
class Formatter {
 public:
  explicit Formatter(std::string_view text) : text_(text) {}

  void format(std::string& out) {
    read({});
    write(0, 0, out);
    out += '\n';
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  std::string_view string() {
    const std::size_t begin = at_++;
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    return text_.substr(begin, ++at_ - begin);
  }

  std::string_view scalar() {
    if (text_[at_] == '"') return string();
    const std::size_t end = std::min(text_.find_first_of(" \t\r\n,]}", at_), text_.size());
    return text_.substr(std::exchange(at_, end), end - at_);
  }

  // As deep as is_json() allows, see kMaxJsonDepth.
  std::uint32_t read(std::string_view key) {
    const auto self = static_cast<std::uint32_t>(values_.size());
    values_.push_back({key, {}, kNone, kNone});
    const char open = text_[at_];
    if (open != '{' && open != '[') {
      values_[self].text = scalar();
      return self;
    }
    values_[self].text = text_.substr(at_++, 1);
    std::vector<std::uint32_t> children;
    for (skip_space(); text_[at_] != '}' && text_[at_] != ']'; skip_space()) {
      std::string_view name;
      if (open == '{') {
        name = string();
        skip_space();
        ++at_;  // the colon
        skip_space();
      }
      children.push_back(read(name));
      skip_space();
      if (text_[at_] == ',') ++at_;
    }
    ++at_;
    if (open == '{') {
      // Their numbers grow in the order they came, which keeps members of one name in it.
      std::ranges::sort(children, {}, [this](std::uint32_t child) { return std::pair(name_of(child), child); });
    }
    std::uint32_t* link = &values_[self].first;
    for (const std::uint32_t child : children) {
      *link = child;
      link = &values_[child].next;
    }
    return self;
  }

  /// Without the quotes: `"a"` comes before `"a!"`, though '!' comes before the quote.
  [[nodiscard]] std::string_view name_of(std::uint32_t value) const {
    const std::string_view key = values_[value].key;
    return key.substr(1, key.size() - 2);
  }

  void write(std::uint32_t self, std::size_t level, std::string& out) const {
    const Value& value = values_[self];
    if (!value.key.empty()) (out += value.key) += ": ";
    out += value.text;
    const char open = value.text.front();
    if (open != '{' && open != '[') return;
    const auto new_line = [&out](std::size_t depth) { (out += '\n').append(2 * depth, ' '); };
    for (std::uint32_t child = value.first; child != kNone; child = values_[child].next) {
      if (child != value.first) out += ',';
      new_line(level + 1);
      write(child, level + 1, out);
    }
    if (value.first != kNone) new_line(level);
    out += open == '{' ? '}' : ']';
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Value> values_;
};

}  // namespace

bool format_json(std::string_view text, std::string& out) {
  out.clear();
  text = trimmed(text);
  if (text.size() >= kNone || !is_utf8(text) || !is_json(text)) return false;
  Formatter(text).format(out);
  return true;
}

}  // namespace pawl::git
