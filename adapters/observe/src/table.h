// Table: rows of cells in columns that fit a width; the less important columns go when it is narrow.
#pragma once

#include <string>
#include <vector>

#include <pawl/observe_screen.h>

#include "text.h"

namespace pawl::observe {

struct Column {
  std::string title;
  std::size_t width = 0;  // 0: takes what the others leave, at least kLeastFlexible; one such column a table
  bool to_the_right = false;
  int spare = 0;  // the highest goes first; 0 stays
};

struct Cell {
  std::string text;  // cleaned and cut by the table
  Tone tone = Tone::plain;
};

using Row = std::vector<Cell>;  // as many as there are columns

/// The title line and one line a row.
[[nodiscard]] std::vector<ScreenLine> lay_out(std::vector<Column> columns, std::vector<Row> rows, std::size_t width,
                                              Charset charset);

}  // namespace pawl::observe
