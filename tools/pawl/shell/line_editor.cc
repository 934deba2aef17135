#include "line_editor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <histedit.h>
#include <langinfo.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <system_error>
#include <utility>

namespace pawl::tool {
namespace {

constexpr int kHistoryLines = 2000;

// What restore_terminal() puts back. Written before `terminal_taken` is set.
termios terminal_before{};
std::atomic<bool> terminal_taken{false};

/// libedit reads wide characters by the locale; one that knows UTF-8 is always there.
void take_locale() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0)
    std::setlocale(LC_CTYPE, "C.UTF-8");
}

std::size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

struct FileEnd {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
struct EditorEnd {
  void operator()(EditLine* editor) const noexcept { ::el_end(editor); }
};
struct HistoryEnd {
  void operator()(History* history) const noexcept { ::history_end(history); }
};

}  // namespace

std::size_t edited_columns(std::string_view prompt, std::string_view text) {
  std::size_t columns = 0;
  std::mbstate_t state{};
  for (std::string_view rest : {prompt, text}) {
    while (!rest.empty()) {
      wchar_t wide = 0;
      const std::size_t bytes = std::mbrtowc(&wide, rest.data(), rest.size(), &state);
      if (bytes == static_cast<std::size_t>(-1) || bytes == static_cast<std::size_t>(-2) || bytes == 0) {
        state = {};
        columns += 1;
        rest.remove_prefix(1);
        continue;
      }
      rest.remove_prefix(bytes);
      if (wide == L'\t')
        columns += 8 - columns % 8;
      else if (wide < 0x20 || wide == 0x7f)
        columns += 2;
      else
        columns += static_cast<std::size_t>(std::max(0, ::wcwidth(wide)));
    }
  }
  return columns;
}

struct LineEditor::Impl {
  Hooks hooks;
  std::filesystem::path history_file;
  std::unique_ptr<std::FILE, FileEnd> output;  // with a buffer, which standard error has not
  std::unique_ptr<History, HistoryEnd> history;
  std::unique_ptr<EditLine, EditorEnd> editor;
  std::string prompt;              // as last drawn
  std::array<char, 4096> typed{};  // read and not given on
  std::size_t typed_begin = 0;
  std::size_t typed_end = 0;
  Got why = Got::line;   // what a read ended with, as far as next_character() knows
  bool shown = false;    // a prompt is on the screen
  bool changed = false;  // lines to write into the file

  static Impl& of(EditLine* line) {
    void* self = nullptr;
    ::el_get(line, EL_CLIENTDATA, &self);
    return *static_cast<Impl*>(self);
  }
  static char* prompt_of(EditLine* line) {
    Impl& self = of(line);
    self.prompt = self.hooks.prompt();
    return self.prompt.data();
  }
  static int next_character(EditLine* line, wchar_t* out) { return of(line).next(out); }

  int next(wchar_t* out);
  bool fill();
  void put(std::string_view text) const;
  void erase() const;
  void load_history();
  void save_history();
};

void LineEditor::Impl::put(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t wrote = ::write(STDERR_FILENO, text.data(), text.size());
    if (wrote < 0 && errno != EINTR && errno != EAGAIN) return;  // nobody sees it
    if (wrote > 0) text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

/// Clears the rows of prompt and line; the cursor is then where the prompt began.
void LineEditor::Impl::erase() const {
  const LineInfo* line = ::el_line(editor.get());
  const std::string_view before(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer));
  const std::size_t rows = edited_columns(prompt, before) / terminal_columns();
  put(rows == 0 ? "\r\x1b[J" : fmt::format("\r\x1b[{}A\x1b[J", rows));
}

/// More of what is typed; false: `why` says what came instead.
bool LineEditor::Impl::fill() {
  while (true) {
    switch (hooks.wait()) {
      case Wake::input: break;
      case Wake::cancel: return why = Got::cancelled, false;
      case Wake::leave: return why = Got::left, false;
    }
    const ssize_t got = ::read(STDIN_FILENO, typed.data() + typed_end, typed.size() - typed_end);
    if (got > 0) return typed_end += static_cast<std::size_t>(got), true;
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    return why = Got::gone, false;
  }
}

/// One character for libedit: 1, or 0 at the end, or -1 for a line that is given up.
int LineEditor::Impl::next(wchar_t* out) {
  while (true) {
    const std::size_t size = typed_end - typed_begin;
    if (size > 0) {
      std::mbstate_t state{};
      const std::size_t bytes = std::mbrtowc(out, typed.data() + typed_begin, size, &state);
      if (bytes != static_cast<std::size_t>(-2)) {
        const bool valid = bytes != static_cast<std::size_t>(-1);
        if (!valid) *out = L'\xfffd';
        typed_begin += valid && bytes > 0 ? bytes : 1;
        if (typed_begin == typed_end) typed_begin = typed_end = 0;
        return 1;
      }
      std::memmove(typed.data(), typed.data() + typed_begin, size);  // half a character: its rest comes
    }
    typed_begin = 0;
    typed_end = size;
    if (!fill()) return why == Got::gone ? 0 : -1;
  }
}

void LineEditor::Impl::load_history() {
  HistEvent event;
  ::history(history.get(), &event, H_SETSIZE, kHistoryLines);
  ::history(history.get(), &event, H_SETUNIQUE, 1);
  if (!history_file.empty()) ::history(history.get(), &event, H_LOAD, history_file.c_str());
}

void LineEditor::Impl::save_history() {
  if (history_file.empty() || !changed) return;
  std::error_code problem;
  std::filesystem::create_directories(history_file.parent_path(), problem);
  // Beside it and renamed: a shell that is killed meanwhile, or another one, leaves no half of a file.
  const std::string fresh = fmt::format("{}.{}", history_file.string(), ::getpid());
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;  // a history is a convenience: without one all else works
  std::FILE* file = ::fdopen(fd, "w");
  if (file == nullptr) {
    ::close(fd);
    return;
  }
  HistEvent event;
  const bool wrote = ::history(history.get(), &event, H_SAVE_FP, file) >= 0;
  if (std::fclose(file) != 0 || !wrote || std::rename(fresh.c_str(), history_file.c_str()) != 0)
    ::unlink(fresh.c_str());
}

LineEditor::LineEditor(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Result<std::unique_ptr<LineEditor>> LineEditor::open(Hooks hooks, std::filesystem::path history_file) {
  take_locale();
  auto impl = std::make_unique<Impl>();
  impl->hooks = std::move(hooks);
  impl->history_file = std::move(history_file);
  if (::tcgetattr(STDIN_FILENO, &terminal_before) != 0)
    return failure(ErrorCode::io, std::string("cannot use the terminal: ") + std::strerror(errno), errno);
  terminal_taken.store(true, std::memory_order_release);  // release [T1]: restore_terminal() reads what is saved
  impl->history.reset(::history_init());
  impl->output.reset(::fdopen(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), "w"));
  if (impl->output) impl->editor.reset(::el_init("pawl", stdin, impl->output.get(), stderr));
  if (!impl->history || !impl->editor) return failure(ErrorCode::io, "cannot use the terminal: libedit refuses it");
  impl->load_history();
  EditLine* editor = impl->editor.get();
  ::el_set(editor, EL_CLIENTDATA, static_cast<void*>(impl.get()));
  ::el_set(editor, EL_PROMPT, &Impl::prompt_of);
  ::el_set(editor, EL_EDITOR, "emacs");
  ::el_set(editor, EL_SIGNAL, 0);  // signals come as calls, on other threads
  ::el_set(editor, EL_GETCFN, &Impl::next_character);
  ::el_set(editor, EL_HIST, &::history, impl->history.get());
  ::el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  ::el_source(editor, nullptr);  // what a person has set for all programs
  return std::unique_ptr<LineEditor>(new LineEditor(std::move(impl)));
}

LineEditor::~LineEditor() {
  impl_->save_history();
  impl_->editor.reset();
  restore_terminal();
}

LineEditor::Got LineEditor::read(std::string& line) {
  impl_->why = Got::line;
  impl_->shown = true;
  int size = 0;
  const char* text = ::el_gets(impl_->editor.get(), &size);
  impl_->shown = false;
  if (text == nullptr || size <= 0) {
    // Ctrl-D on an empty line ends too, and leaves the cursor behind the prompt.
    const Got why = impl_->why == Got::line ? Got::end : impl_->why;
    impl_->erase();
    return why;
  }
  line.assign(text, static_cast<std::size_t>(size));
  while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
  return Got::line;
}

void LineEditor::remember(const std::string& line) {
  if (line.find_first_not_of(" \t") == std::string::npos || line.starts_with(' ')) return;
  HistEvent event;
  ::history(impl_->history.get(), &event, H_ENTER, line.c_str());
  impl_->changed = true;
}

void LineEditor::print_above(std::string_view text) {
  if (!impl_->shown) return impl_->put(text);
  impl_->erase();
  impl_->put(text);
  ::el_set(impl_->editor.get(), EL_REFRESH);
}

void LineEditor::redraw() {
  if (!impl_->shown || impl_->hooks.prompt() == impl_->prompt) return;
  impl_->erase();
  ::el_set(impl_->editor.get(), EL_REFRESH);
}

void LineEditor::resized() {
  if (impl_->shown) impl_->erase();
  ::el_resize(impl_->editor.get());
  if (impl_->shown) ::el_set(impl_->editor.get(), EL_REFRESH);
}

void LineEditor::stop_here() {
  if (impl_->shown) impl_->erase();
  ::el_set(impl_->editor.get(), EL_PREP_TERM, 0);
  ::kill(::getpid(), SIGSTOP);
  ::el_set(impl_->editor.get(), EL_PREP_TERM, 1);
  if (impl_->shown) ::el_set(impl_->editor.get(), EL_REFRESH);
}

void LineEditor::restore_terminal() noexcept {
  if (!terminal_taken.exchange(false, std::memory_order_acquire)) return;  // acquire [T1]
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal_before);
}

}  // namespace pawl::tool
