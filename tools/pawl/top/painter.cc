#include "painter.h"

#define NCURSES_NOMACROS 1  // else "move" and "erase" are taken from everybody else
#include <curses.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace pawl::tool {

struct Painter::Impl {
  SCREEN* screen = nullptr;
  bool colour = false;
};

namespace {

/// Text is painted by the locale, and one that knows UTF-8 is always there.
void take_locale(bool utf8) {
  const bool known = std::setlocale(LC_CTYPE, "") != nullptr;
  if (utf8 && (!known || std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0)) std::setlocale(LC_CTYPE, "C.UTF-8");
}

attr_t attributes_of(observe::Tone tone, bool colour) {
  const auto pair = [colour](short number) { return colour ? static_cast<attr_t>(COLOR_PAIR(number)) : A_NORMAL; };
  switch (tone) {
    case observe::Tone::plain: return A_NORMAL;
    case observe::Tone::faint: return A_DIM;
    case observe::Tone::title: return A_BOLD;
    case observe::Tone::good: return pair(1);
    case observe::Tone::warning: return pair(2) | A_BOLD;
    case observe::Tone::bad: return pair(3) | A_BOLD;
  }
  return A_NORMAL;
}

}  // namespace

Painter::Painter(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Result<std::unique_ptr<Painter>> Painter::open(observe::Style style) {
  take_locale(style.utf8);
  auto impl = std::make_unique<Impl>();
  impl->screen = ::newterm(nullptr, stdout, stdin);
  if (impl->screen == nullptr) return failure(ErrorCode::io, "terminfo does not know this terminal");
  ::cbreak();
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  ::curs_set(0);
  if (style.colour && ::has_colors() && ::start_color() == OK && ::use_default_colors() == OK) {
    ::init_pair(1, COLOR_GREEN, -1);
    ::init_pair(2, COLOR_YELLOW, -1);
    ::init_pair(3, COLOR_RED, -1);
    impl->colour = true;
  }
  std::unique_ptr<Painter> painter(new Painter(std::move(impl)));
  painter->resized();
  return painter;
}

Painter::~Painter() {
  ::endwin();
  ::delscreen(impl_->screen);
}

void Painter::resized() {
  winsize now{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 && now.ws_row > 0 && now.ws_col > 0)
    ::resizeterm(now.ws_row, now.ws_col);
  size_ = {static_cast<std::size_t>(std::max(0, getmaxx(stdscr))),
           static_cast<std::size_t>(std::max(0, getmaxy(stdscr)))};
}

void Painter::paint(const std::vector<observe::ScreenLine>& lines) {
  ::erase();
  for (std::size_t row = 0; row < lines.size() && row < size_.rows; ++row) {
    ::move(static_cast<int>(row), 0);
    for (const observe::Span& span : lines[row]) {
      ::attrset(static_cast<int>(attributes_of(span.tone, impl_->colour)));
      ::addstr(span.text.c_str());
    }
  }
  ::attrset(A_NORMAL);
  ::refresh();
}

void Painter::forget() { ::clearok(curscr, TRUE); }

int Painter::key() {
  const int got = ::getch();
  return got == ERR || got == KEY_RESIZE ? 0 : got;
}

}  // namespace pawl::tool
