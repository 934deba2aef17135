// Makes task files: OpenAI Batch input lines with varied text, the same for the same seed on every machine.
//
// Text is cut out of one block of words made at the start, so that a line costs little more than copying it.
#pragma once

#include <cstdint>
#include <string>

#include <pawl/error.h>

namespace pawl::load {

/// In which order the tasks of several streams follow each other.
enum class Interleave : std::uint8_t {
  round_robin,  // 1, 2, 3, 1, 2, 3, …
  random,       // drawn for each task
  blocks,       // all of stream 1, then all of stream 2, …
};

struct TaskOptions {
  std::uint64_t count = 1000;       // 1 … 1,000,000,000,000
  std::uint64_t streams = 20;       // 1 … 1,000,000,000
  std::uint64_t body_bytes = 1024;  // size of each "body" object, at most 64 MiB; a smaller one than there can be is
                                    // made as small as it can be
  std::uint64_t seed = 1;
  Interleave interleave = Interleave::round_robin;
  std::string model = "mock-1";  // printable ASCII without quote and backslash

  /// Says which option is wrong and why. Error: usage.
  [[nodiscard]] Result<void> validate() const;
};

class TaskLines {
 public:
  /// REQUIRES: validated options.
  explicit TaskLines(const TaskOptions& options);

  /// Appends the next line, with its LF, to `out`; false if all have been made.
  bool append_next(std::string& out);

 private:
  [[nodiscard]] std::uint64_t next_stream() noexcept;
  [[nodiscard]] std::uint64_t draw() noexcept;
  void append_content(std::string& out);

  TaskOptions options_;
  std::uint64_t random_state_;
  std::uint64_t made_ = 0;
  std::size_t task_digits_;
  std::size_t stream_digits_;
  std::uint64_t content_bytes_ = 0;
  std::string words_;
  std::string before_content_;  // the line between stream and content
};

}  // namespace pawl::load
