// Painter: the whole terminal for a while, through ncurses. What was on it comes back, also its scrollback.
//
// One thread uses it; one at a time. Not for output that is no terminal.
#pragma once

#include <memory>
#include <vector>

#include <pawl/error.h>
#include <pawl/observe_screen.h>

namespace pawl::tool {

class Painter {
 public:
  /// Takes the terminal of standard input and output. Errors: io (it is none, or terminfo does not know it).
  [[nodiscard]] static Result<std::unique_ptr<Painter>> open(observe::Style style);
  /// Gives it back.
  ~Painter();
  Painter(const Painter&) = delete;
  Painter& operator=(const Painter&) = delete;

  [[nodiscard]] observe::ScreenSize size() const noexcept { return size_; }
  /// The terminal has another size now: asks for it. Paint all anew afterwards.
  void resized();
  /// What differs from what is there is written.
  void paint(const std::vector<observe::ScreenLine>& lines);
  /// Forgets what is there: the next paint() writes all.
  void forget();
  /// A key that was pressed; 0: none. Does not wait.
  [[nodiscard]] int key();

  static constexpr int kRedrawKey = 12;  // Ctrl-L

 private:
  struct Impl;
  explicit Painter(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
  observe::ScreenSize size_;
};

}  // namespace pawl::tool
