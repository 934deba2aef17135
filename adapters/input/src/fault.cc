#include "fault.h"

#include <utility>

namespace pawl::input {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kQuotedMax = 60;

bool printable(unsigned char byte) noexcept { return byte >= 0x20 && byte != 0x7f; }

void append_hex(std::string& out, unsigned char byte) {
  out += kHexDigits[byte >> 4];
  out += kHexDigits[byte & 15];
}

}  // namespace

std::unexpected<Fault> fault_at(std::size_t offset, std::string what) {
  return std::unexpected(Fault{offset, std::move(what)});
}

std::unexpected<Fault> fault_in_field(std::size_t offset, std::string_view field, std::string_view expected,
                                      std::string_view got) {
  std::string what = "field " + in_quotes(field) + ": expected ";
  what.append(expected).append(", got ").append(got);
  return fault_at(offset, std::move(what));
}

std::unexpected<Error> bad_line(std::string_view file, std::uint64_t line, const Fault& fault) {
  std::string context(file);
  context += ':' + std::to_string(line);
  if (fault.offset != Fault::kNowhere) context += ':' + std::to_string(fault.offset + 1);
  context += ": " + fault.what;
  return failure(ErrorCode::input, std::move(context));
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  std::size_t shown = text.size() <= kQuotedMax ? text.size() : kQuotedMax;
  // Do not cut a UTF-8 character in two.
  while (shown < text.size() && shown > 0 && (static_cast<unsigned char>(text[shown]) & 0xc0) == 0x80) --shown;
  for (const char c : text.substr(0, shown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (printable(byte)) {
      out += c;
    } else {
      out += "\\x";
      append_hex(out, byte);
    }
  }
  out += shown < text.size() ? "…\"" : "\"";
  return out;
}

std::string named_byte(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  if (printable(value) && value < 0x80) return {'\'', byte, '\''};
  std::string out = "byte 0x";
  append_hex(out, value);
  return out;
}

}  // namespace pawl::input
