// LineEditor: a prompt on the terminal with editing and history, and lines that appear above it meanwhile.
//
// libedit edits; what it waits for is asked of the caller, so that a prompt never stands in the way of other news. One
// thread uses it. Not for input that is no terminal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <pawl/error.h>

namespace pawl::tool {

class LineEditor {
 public:
  enum class Wake : std::uint8_t {
    input,   // standard input can be read
    cancel,  // give up the line
    leave,   // give up reading
  };
  struct Hooks {
    std::function<std::string()> prompt;  // one line; asked for at each drawing
    std::function<Wake()> wait;           // may call print_above(), redraw() and stop_here()
  };
  /// Edits on standard input and standard error, which must be terminals. `history`: where lines are kept, mode 0600;
  /// what is there is read. Errors: io (the terminal cannot be used).
  [[nodiscard]] static Result<std::unique_ptr<LineEditor>> open(Hooks hooks, std::filesystem::path history);
  /// The terminal as it was found; writes the history.
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Got : std::uint8_t {
    line,
    cancelled,  // as hooks.wait() said
    left,       // likewise
    end,        // Ctrl-D on an empty line
    gone,       // there is no terminal any more
  };
  /// Reads a line, without its line end.
  [[nodiscard]] Got read(std::string& line);

  /// Keeps a line for the arrow keys and the file, unless it is blank or begins with a space.
  void remember(const std::string& line);

  /// Whole lines, each with its line feed, above the prompt and what is typed behind it.
  void print_above(std::string_view text);
  /// Draws the prompt anew if it has another text now.
  void redraw();
  /// The terminal has another size.
  void resized();
  /// Ctrl-Z: gives the terminal back, stops the process, and goes on when it is continued.
  void stop_here();

  /// Puts the terminal back as open() found it, if it did: for a process that ends without its destructors. Any thread.
  static void restore_terminal() noexcept;

 private:
  struct Impl;
  explicit LineEditor(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// Columns that what is edited takes from the start of its first row to the cursor. `text` in UTF-8, as libedit shows
/// it: control characters as ^X, tabs to the next eighth column. Pure but for the locale.
[[nodiscard]] std::size_t edited_columns(std::string_view prompt, std::string_view text);

}  // namespace pawl::tool
