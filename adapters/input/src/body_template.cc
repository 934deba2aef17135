#include "body_template.h"

#include "text.h"

namespace pawl::input {
namespace {

constexpr std::string_view kLine = "{line}";
constexpr std::string_view kJson = "{line:json}";

}  // namespace

BodyTemplate::BodyTemplate(std::string_view text) {
  if (text.empty()) text = kLine;
  std::size_t done = 0;
  for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at)) {
    const std::string_view rest = text.substr(at);
    const std::string_view found = rest.starts_with(kLine) ? kLine : rest.starts_with(kJson) ? kJson : "";
    if (found.empty()) {
      ++at;
      continue;
    }
    pieces_.push_back({std::string(text.substr(done, at - done)), found == kLine ? Slot::line : Slot::json});
    at += found.size();
    done = at;
  }
  pieces_.push_back({std::string(text.substr(done)), Slot::none});
}

void BodyTemplate::render(std::string_view line, std::string& out) const {
  out.clear();
  for (const Piece& piece : pieces_) {
    out += piece.before;
    if (piece.slot == Slot::line) out += line;
    if (piece.slot == Slot::json) append_json_string(out, line);
  }
}

}  // namespace pawl::input
