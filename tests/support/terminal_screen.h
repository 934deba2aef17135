// What a terminal shows of the bytes that a program has written to it: the part of xterm that ncurses, libedit and the
// live line use. One column a character.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::test {

class TerminalScreen {
 public:
  TerminalScreen(std::size_t columns, std::size_t rows) { resize(columns, rows); }

  /// As a terminal does: what is there stays where it is, as far as it fits. A program then paints anew.
  void resize(std::size_t columns, std::size_t rows) {
    columns_ = columns;
    rows_ = rows;
    for (Grid* grid : {&main_, &alternate_}) {
      grid->resize(rows, Line(columns, " "));
      for (Line& line : *grid) line.resize(columns, " ");
    }
    top_ = 0;
    bottom_ = rows - 1;
    row_ = std::min(row_, rows - 1);
    column_ = std::min(column_, columns - 1);
  }

  void feed(std::string_view bytes) {
    rest_ += bytes;
    std::size_t used = 0;
    while (used < rest_.size()) {
      const std::size_t size = step(std::string_view(rest_).substr(used));
      if (size == 0) break;  // the rest of a sequence is still to come
      used += size;
    }
    rest_.erase(0, used);
  }

  [[nodiscard]] bool alternate() const noexcept { return on_alternate_; }
  [[nodiscard]] bool cursor_shown() const noexcept { return cursor_shown_; }
  [[nodiscard]] std::size_t times_cleared() const noexcept { return cleared_; }
  [[nodiscard]] std::string unknown() const { return unknown_; }
  [[nodiscard]] std::string line(std::size_t row) const {
    std::string text;
    for (const std::string& cell : grid()[row]) text += cell;
    return text.substr(0, text.find_last_not_of(' ') + 1);
  }
  [[nodiscard]] std::string text() const {
    std::string all;
    for (std::size_t row = 0; row < rows_; ++row) all += line(row) + "\n";
    return all;
  }
  /// The row that the cursor is in, up to the cursor.
  [[nodiscard]] std::string before_cursor() const {
    std::string text;
    for (std::size_t i = 0; i < column_; ++i) text += grid()[row_][i];
    return text;
  }

 private:
  using Line = std::vector<std::string>;
  using Grid = std::vector<Line>;

  [[nodiscard]] const Grid& grid() const { return on_alternate_ ? alternate_ : main_; }
  Grid& grid() { return on_alternate_ ? alternate_ : main_; }

  void down() {
    if (row_ == bottom_)
      scroll(1);
    else if (row_ + 1 < rows_)
      ++row_;
  }
  void scroll(std::size_t lines) { delete_lines(top_, lines); }
  void delete_lines(std::size_t at, std::size_t count) {
    for (; count > 0 && at <= bottom_; --count) {
      grid().erase(grid().begin() + static_cast<std::ptrdiff_t>(at));
      grid().insert(grid().begin() + static_cast<std::ptrdiff_t>(bottom_), Line(columns_, " "));
    }
  }
  void insert_lines(std::size_t at, std::size_t count) {
    for (; count > 0 && at <= bottom_; --count) {
      grid().erase(grid().begin() + static_cast<std::ptrdiff_t>(bottom_));
      grid().insert(grid().begin() + static_cast<std::ptrdiff_t>(at), Line(columns_, " "));
    }
  }
  void clear(std::size_t row, std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < std::min(to, columns_); ++i) grid()[row][i] = " ";
  }

  void put(std::string_view character) {
    if (wrap_next_) {
      column_ = 0;
      down();
    }
    grid()[row_][column_] = character;
    last_ = character;
    wrap_next_ = column_ + 1 == columns_;
    if (!wrap_next_) ++column_;
  }

  // One character or sequence; 0: not whole yet.
  std::size_t step(std::string_view in) {
    const auto first = static_cast<unsigned char>(in[0]);
    if (first == 0x1b) return escape(in);
    if (first >= 0x80) {
      const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
      if (in.size() < size) return 0;
      put(in.substr(0, size));
      return size;
    }
    if (first >= 0x20) {
      put(in.substr(0, 1));
      return 1;
    }
    wrap_next_ = false;
    if (first == '\r') column_ = 0;
    if (first == '\n') down();
    if (first == '\b' && column_ > 0) --column_;
    if (first == '\t') column_ = std::min(columns_ - 1, (column_ / 8 + 1) * 8);
    return 1;
  }

  std::size_t escape(std::string_view in) {
    if (in.size() < 2) return 0;
    if (in[1] == '(' || in[1] == ')') return in.size() < 3 ? 0 : 3;
    if (in[1] == 'M') {
      if (row_ == top_)
        insert_lines(top_, 1);
      else
        --row_;
    }
    if (in[1] != '[') return 2;
    const auto end = std::find_if(in.begin() + 2, in.end(), [](char c) { return c >= '@' && c <= '~'; });
    if (end == in.end()) return 0;
    const auto size = static_cast<std::size_t>(end - in.begin()) + 1;
    sequence(std::string(in.substr(2, size - 3)), *end);
    return size;
  }

  void sequence(const std::string& parameters, char kind) {
    std::vector<std::size_t> numbers;
    for (std::size_t at = 0; at <= parameters.size();) {
      const std::size_t semicolon = std::min(parameters.find(';', at), parameters.size());
      const std::string number = parameters.substr(at, semicolon - at);
      numbers.push_back(number.empty() || number.find_first_not_of("0123456789") != std::string::npos
                            ? 0
                            : static_cast<std::size_t>(std::stoul(number)));
      at = semicolon + 1;
    }
    const std::size_t raw = numbers[0];
    const std::size_t count = std::max<std::size_t>(raw, 1);
    if (kind != 'm') wrap_next_ = false;
    switch (kind) {
      case 'A': row_ -= std::min(row_, count); break;
      case 'B': row_ = std::min(rows_ - 1, row_ + count); break;
      case 'C': column_ = std::min(columns_ - 1, column_ + count); break;
      case 'D': column_ -= std::min(column_, count); break;
      case 'G': column_ = std::min(columns_, count) - 1; break;
      case 'Z': column_ = column_ == 0 ? 0 : (column_ - 1) / 8 * 8; break;
      case 'd': row_ = std::min(rows_, count) - 1; break;
      case 'H':
        row_ = std::min(rows_, count) - 1;
        column_ = std::min(columns_, std::max<std::size_t>(numbers.size() > 1 ? numbers[1] : 1, 1)) - 1;
        break;
      case 'J': erase_screen(raw); break;
      case 'K': clear(row_, raw == 0 ? column_ : 0, raw == 1 ? column_ + 1 : columns_); break;
      case 'X': clear(row_, column_, column_ + count); break;
      case 'P': {
        Line& line = grid()[row_];
        for (std::size_t i = 0; i < count; ++i) {
          line.erase(line.begin() + static_cast<std::ptrdiff_t>(column_));
          line.emplace_back(" ");
        }
        break;
      }
      case '@': {
        Line& line = grid()[row_];
        for (std::size_t i = 0; i < count; ++i) line.insert(line.begin() + static_cast<std::ptrdiff_t>(column_), " ");
        line.resize(columns_);
        break;
      }
      case 'b': {
        const std::string character = last_;
        for (std::size_t i = 0; i < count; ++i) put(character);
        break;
      }
      case 'L': insert_lines(row_, count); break;
      case 'M': delete_lines(row_, count); break;
      case 'S': scroll(count); break;
      case 'T': insert_lines(top_, count); break;
      case 'r':
        top_ = count - 1;
        bottom_ = numbers.size() > 1 && numbers[1] > 0 ? std::min(rows_, numbers[1]) - 1 : rows_ - 1;
        row_ = column_ = 0;
        break;
      case 'h':
      case 'l': mode(parameters, kind == 'h'); break;
      case 'm':
      case 't':
      case 'n':
      case 'c': break;
      default: unknown_ += parameters + kind + " ";
    }
  }

  void erase_screen(std::size_t what) {
    if (what == 2) ++cleared_;
    for (std::size_t row = 0; row < rows_; ++row) {
      if (what == 2 || (what == 0 && row > row_) || (what == 1 && row < row_)) clear(row, 0, columns_);
    }
    if (what == 0) clear(row_, column_, columns_);
    if (what == 1) clear(row_, 0, column_ + 1);
  }

  void mode(const std::string& parameters, bool on) {
    if (parameters == "?25") cursor_shown_ = on;
    if (parameters != "?1049" || on == on_alternate_) return;
    if (on) saved_ = {row_, column_};
    on_alternate_ = on;
    if (on) alternate_.assign(rows_, Line(columns_, " "));
    if (!on) row_ = std::min(saved_.first, rows_ - 1), column_ = std::min(saved_.second, columns_ - 1);
  }

  std::size_t columns_ = 0, rows_ = 0;
  Grid main_, alternate_;
  bool on_alternate_ = false;
  bool cursor_shown_ = true;
  std::size_t row_ = 0, column_ = 0;
  std::pair<std::size_t, std::size_t> saved_;
  std::size_t top_ = 0, bottom_ = 0;
  bool wrap_next_ = false;
  std::size_t cleared_ = 0;
  std::string last_ = " ";
  std::string rest_;     // of a sequence that has not come whole
  std::string unknown_;  // sequences that this is no model of
};

}  // namespace pawl::test
