// A run as a full screen: what `pawl top` shows, as lines of text that whoever has a terminal paints.
//
// When not to use it: for a line or a log; render_line() and render_plain() of observe.h are for that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/export.h>
#include <pawl/observe.h>

namespace pawl::observe {

/// What a piece of text means; how that looks is the painter's affair. All is readable without any of it.
enum class Tone : std::uint8_t {
  plain,
  faint,
  title,
  good,
  warning,
  bad,
};

struct Span {
  std::string text;  // clean: no control characters, valid in the charset asked for
  Tone tone = Tone::plain;
};

using ScreenLine = std::vector<Span>;

struct ScreenSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

struct ScreenOptions {
  std::string title;   // whose run it is
  std::string notice;  // what is wrong with the showing itself ("no answer for 3 s"); may be empty
  std::string keys;    // the last line: which keys there are; may be empty
  bool utf8 = false;   // else ASCII alone
};

/// At most `size.rows` lines, none wider than `size.columns`: head, budget, note, stages, lanes, the slowest streams,
/// the last errors, keys. What has no room is left out, lists first shortened; a size of 0 gives nothing. Pure.
[[nodiscard]] PAWL_API std::vector<ScreenLine> render_screen(const RunView& view, const ScreenOptions& options,
                                                             ScreenSize size);

/// Text of strangers as one line that cannot steer a terminal, cut to `columns`. Pure.
[[nodiscard]] PAWL_API std::string one_line(std::string_view text, std::size_t columns, Style style);

}  // namespace pawl::observe
