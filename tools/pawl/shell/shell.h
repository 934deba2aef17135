// Shell: the prompt of `pawl shell`. An input that ends when the person says so, and what is announced above it.
//
// A thread of its own waits for keys and news; no task waits for it, and it waits for no task: lines go through a pipe
// to the run's input thread, and what the pipe has no room for is kept here meanwhile. Without a terminal it reads
// plain lines from standard input and prints the same to standard error.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <pawl/input.h>
#include <pawl/observe.h>
#include <pawl/steering.h>
#include <pawl/task.h>

#include "file_descriptor.h"
#include "line_editor.h"
#include "options.h"

namespace pawl::tool {

class Shell {
 public:
  /// What it sees and steers; both until end().
  struct Run {
    std::function<observe::RunView()> view;  // called by the shell's thread
    observe::Steering* borrowed_steering = nullptr;
  };

  /// Blocks the signals of a terminal (its size, Ctrl-Z) for this thread and all it starts: call before others start.
  /// Errors: io.
  [[nodiscard]] static Result<std::unique_ptr<Shell>> open();
  ~Shell();  // end()
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  /// What the lines are, as an input of a session: once, before begin(). Errors: usage.
  [[nodiscard]] Result<std::unique_ptr<input::Reader>> open_input(const RunOptions& options, int cancel_fd);

  void begin(Run run);
  /// The run is over: takes the prompt away, prints what is left, joins. Idempotent. Afterwards say() prints at once.
  void end();

  /// A line above the prompt. Any thread; does not wait for the terminal between begin() and end().
  void say(std::string text);
  /// A task has retired: says what came of it. Any thread, as say().
  void announce(const Task& task);
  /// SIGINT: clears what is typed; the second in a row is /quit. False: without a terminal it is not the shell's. Any
  /// thread.
  [[nodiscard]] bool interrupt();

 private:
  struct News {
    std::string text;
    enum class Kind : std::uint8_t { message, result, failure } kind = Kind::message;
  };
  Shell() = default;

  void loop();
  void read_terminal();
  void read_plain();
  LineEditor::Wake wait();
  void wait_for_end();
  void take_plain(std::string& text);
  void line(const std::string& text);
  void command(std::string_view text);
  void give(std::string_view text);
  void set(std::string_view words);
  void quit();
  void interrupted();
  void feed_pipe();
  void count();
  std::string prompt() const;
  void push(News news);
  void print_news();
  void print(const std::string& text);
  [[nodiscard]] std::string shown(const News& news) const;
  void show_status();
  void show_streams();
  void show_failures();
  observe::RunView view();
  [[nodiscard]] std::string name_of(const Request& request) const;

  bool terminal_ = false;  // a person types
  observe::Style style_;
  std::string name_;  // of the input: the stream of its tasks, and the head of their ids
  Run run_;
  FileDescriptor wake_;     // readable when there is news
  FileDescriptor signals_;  // of the terminal: its size, Ctrl-Z
  FileDescriptor from_;     // read end of the pipe to the run's input thread, until that has its own
  FileDescriptor into_;     // write end; closed by /quit
  std::thread thread_;

  std::mutex mutex_;  // guards the four below
  std::vector<News> news_;
  std::uint64_t left_out_ = 0;        // of the news
  std::deque<std::string> failures_;  // the last ones, newest last
  bool running_ = false;              // the thread prints the news

  std::atomic<bool> ended_{false};       // set by end()
  std::atomic<unsigned> interrupts_{0};  // that have not been looked at; added to by any thread

  // The thread's own.
  std::unique_ptr<LineEditor> editor_;
  observe::Pace pace_;
  std::string pending_;  // bytes for the pipe
  std::uint64_t given_ = 0;
  bool input_over_ = false;
  bool quitting_ = false;
  bool ending_ = false;              // the run takes no more, as last counted
  bool interrupted_before_ = false;  // and nothing was typed since
  std::string counts_;               // of the prompt
  std::chrono::steady_clock::time_point counted_{};
};

}  // namespace pawl::tool
