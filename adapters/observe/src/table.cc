#include "table.h"

#include <algorithm>

namespace pawl::observe {

namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastFlexible = 8;

std::size_t least_width(const std::vector<Column>& columns) {
  std::size_t sum = (columns.size() - 1) * kGap;
  for (const Column& column : columns) sum += column.width == 0 ? kLeastFlexible : column.width;
  return sum;
}

/// Takes columns away, with their cells, until the others fit.
void leave_out(std::vector<Column>& columns, std::vector<Row>& rows, std::size_t width) {
  while (columns.size() > 1 && least_width(columns) > width) {
    const auto least = std::ranges::max_element(columns, {}, &Column::spare);
    if (least->spare == 0) return;
    const auto at = least - columns.begin();
    columns.erase(least);
    for (Row& row : rows) row.erase(row.begin() + at);
  }
}

std::string padded(const Column& column, const std::string& text, std::size_t width, bool last, Charset charset) {
  std::string fitting = cut_to(clean_line(text, charset), width, charset);
  const std::size_t room = width - columns_of(fitting);
  if (column.to_the_right) return std::string(room, ' ') + fitting;
  return last ? fitting : fitting + std::string(room, ' ');
}

}  // namespace

std::vector<ScreenLine> lay_out(std::vector<Column> columns, std::vector<Row> rows, std::size_t width,
                                Charset charset) {
  leave_out(columns, rows, width);
  const std::size_t least = least_width(columns);
  const std::size_t extra = width > least ? width - least : 0;
  std::vector<ScreenLine> lines;
  const auto add = [&](const auto& text_of, const auto& tone_of) {
    ScreenLine line;
    std::size_t left = width;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::size_t wanted = columns[i].width == 0 ? kLeastFlexible + extra : columns[i].width;
      const std::size_t gap = i == 0 ? 0 : kGap;
      if (left <= gap) break;  // too narrow even for what must stay
      const std::size_t room = std::min(wanted, left - gap);
      const bool last = i + 1 == columns.size();
      line.push_back({std::string(gap, ' ') + padded(columns[i], text_of(i), room, last, charset), tone_of(i)});
      left -= gap + room;
    }
    lines.push_back(std::move(line));
  };
  add([&](std::size_t i) -> const std::string& { return columns[i].title; }, [](std::size_t) { return Tone::title; });
  for (const Row& row : rows)
    add([&](std::size_t i) -> const std::string& { return row[i].text; }, [&](std::size_t i) { return row[i].tone; });
  return lines;
}

}  // namespace pawl::observe
