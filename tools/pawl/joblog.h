// A job log in GNU parallel's columns: a line for each task that is committed, in the order in which they are.
//
// Tab-separated, with a header line: Seq Host Starttime JobRuntime Send Receive Exitval Signal Command. A file that has
// the header already is appended to; a line that a kill has torn is cut first.
//
// Nobody waits for the disk: lines are collected, and a thread writes them every 200 ms. When not to use it: to know
// what is committed, which the branch says; after a kill the last lines may be missing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <pawl/error.h>
#include <pawl/task.h>

namespace pawl::tool {

/// What Exitval says of an outcome: 0 for a 2xx answer, the status of any other answer, else the number that curl's own
/// exit code has for the failure, and 1 where it has none.
[[nodiscard]] int exit_value(const Outcome& outcome) noexcept;

class JobLog {
 public:
  using Mask = std::function<void(std::string&)>;
  using Complain = std::function<void(std::string)>;

  /// `complain` is told once if lines are lost, by the log's thread. Errors: io, usage (a file that is no job log).
  [[nodiscard]] static Result<std::unique_ptr<JobLog>> open(const std::string& path, Mask mask, Complain complain);
  /// stop()
  ~JobLog();
  JobLog(const JobLog&) = delete;
  JobLog& operator=(const JobLog&) = delete;

  /// Any thread; takes a mutex for moments.
  void note(const Task& task);
  /// Writes the rest. Idempotent; one thread.
  void stop();

 private:
  JobLog(int file, std::string path, Mask mask, Complain complain);
  void run();
  void write_out(const std::string& lines);

  const int file_;
  const std::string path_;
  const Mask mask_;
  const Complain complain_;
  std::mutex mutex_;  // guards the four below
  std::condition_variable stopped_;
  std::string lines_;
  std::uint64_t lost_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pawl::tool
