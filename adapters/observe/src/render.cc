#include <unistd.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <vector>

#include <pawl/observe.h>

#include "text.h"

namespace pawl::observe {

namespace {

// A piece of the line. The higher `spare`, the earlier it is left out when columns are few; 0 stays to the last.
struct Piece {
  std::string text;
  int spare = 0;
  bool alarming = false;
};

constexpr std::string_view kRed = "\x1b[31m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kPlain = "\x1b[0m";

Charset charset_of(Style style) noexcept { return style.utf8 ? Charset::utf8 : Charset::ascii; }

std::string counted(std::string_view name, std::uint64_t count) { return std::string(name) + " " + grouped(count); }

std::vector<Piece> pieces_of(const RunView& view) {
  std::vector<Piece> pieces;
  if (view.phase == Phase::draining) pieces.push_back({"finishing", 1});
  if (view.phase == Phase::stopping) pieces.push_back({"stopping", 1});
  pieces.push_back({counted("waiting", view.waiting()), 4});
  pieces.push_back({counted("calling", view.calling()), 3});
  pieces.push_back({counted("ordering", view.ordering()), 6});
  pieces.push_back({counted("committed", view.status.committed), 0});
  pieces.push_back({counted("failed", view.status.failed), 1, view.status.failed > 0});
  if (view.phase != Phase::done) pieces.push_back({rate_text(view.rate_per_s), 5});
  if (view.eta && view.phase != Phase::done) pieces.push_back({"ETA " + clock_time(*view.eta), 2});
  return pieces;
}

std::string_view separator_of(Style style) noexcept { return style.utf8 ? " · " : ", "; }

std::size_t joined_columns(const std::vector<Piece>& pieces, Style style) {
  std::size_t sum = 0;
  for (const Piece& piece : pieces) sum += columns_of(piece.text);
  return pieces.empty() ? 0 : sum + (pieces.size() - 1) * columns_of(separator_of(style));
}

std::string joined(const std::vector<Piece>& pieces, Style style) {
  std::string out;
  for (const Piece& piece : pieces) {
    if (!out.empty()) out += separator_of(style);
    const bool coloured = piece.alarming && style.colour;
    if (coloured) out += kRed;
    out += piece.text;
    if (coloured) out += kPlain;
  }
  return out;
}

// `[` cells `]`; with UTF-8 a cell fills in eighths.
std::string bar(double fraction, std::size_t cells, Style style) {
  constexpr std::array<std::string_view, 8> kParts = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto steps = static_cast<std::size_t>(fraction * static_cast<double>(cells) * 8.0);
  const std::size_t full = std::min(cells, steps / 8);
  std::string out = "[";
  for (std::size_t i = 0; i < full; ++i) out += style.utf8 ? "█" : "#";
  std::size_t empty = cells - full;
  if (empty > 0 && style.utf8) {
    out += kParts[steps % 8];
    --empty;
  }
  out.append(empty, style.utf8 ? ' ' : '.');
  return out + "]";
}

std::string first_set(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

}  // namespace

Style Style::of_environment(int fd) {
  std::string locale = first_set({"LC_ALL", "LC_CTYPE", "LANG"});
  std::erase(locale, '-');
  std::ranges::transform(locale, locale.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  Style style;
  style.utf8 = locale.find("UTF8") != std::string::npos;
  style.colour = ::isatty(fd) == 1 && first_set({"NO_COLOR"}).empty() && first_set({"TERM"}) != "dumb";
  return style;
}

std::string render_line(const RunView& view, std::size_t columns, Style style) {
  constexpr std::size_t kLongestBar = 20;
  constexpr std::size_t kShortestBar = 6;
  constexpr std::size_t kBarEdges = 3;  // brackets and a space
  std::vector<Piece> pieces = pieces_of(view);
  while (joined_columns(pieces, style) > columns && pieces.size() > 1) {
    const auto least = std::ranges::max_element(pieces, {}, &Piece::spare);
    if (least->spare == 0) break;
    pieces.erase(least);
  }
  const std::size_t used = joined_columns(pieces, style);
  if (used > columns) return cut_to(joined(pieces, {style.utf8, false}), columns, charset_of(style));
  std::string line = joined(pieces, style);
  const auto fraction = view.fraction();
  const std::size_t room = columns - used;
  if (!fraction || room < kShortestBar + kBarEdges) return line;
  return bar(*fraction, std::min(kLongestBar, room - kBarEdges), style) + " " + line;
}

std::string render_note(const RunView& view, std::size_t columns, Style style) {
  if (view.note.empty()) return {};
  const std::string text = cut_to(clean_line(view.note, charset_of(style)), columns, charset_of(style));
  return style.colour ? std::string(kYellow).append(text).append(kPlain) : text;
}

std::string render_plain(const RunView& view, Style style) {
  style.colour = false;
  std::vector<Piece> pieces = pieces_of(view);
  if (const auto fraction = view.fraction()) {
    pieces.insert(pieces.begin(), {fixed(std::floor(*fraction * 100), 0) + "%"});
  }
  std::string line = "pawl: " + joined(pieces, style);
  const std::string note = render_note(view, kNoWidthLimit, style);
  return note.empty() ? line : line + " (" + note + ")";
}

}  // namespace pawl::observe
