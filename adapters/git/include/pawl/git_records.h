// The records of a branch one after the other: for export, and to run failed tasks again.
//
// Reads the tip as it is when the reader is opened; what is committed later does not show. One record is in memory at a
// time, and the places of at most a folder's (100).
// When not to use it: to ask for one key (KeyIndex), or whether all is as it should be (audit).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/git.h>
#include <pawl/task.h>

namespace pawl::git {

enum class Records : std::uint8_t { all, failed };

struct StoredRecord {
  bool success = false;
  std::string output;  // the OpenAI Batch output line, without line end: id, custom_id, response, error
  /// What was asked, as it was asked, but for white space around a JSON body; digest as recorded. Of a success only
  /// task_id, stream, id, position and digest are filled.
  Request request;
};

/// The batch input line that asks for the same again, without line end; `pawl run` takes it.
[[nodiscard]] PAWL_API std::string input_line(const Request& request);

/// The batch output line of a task that has no response, and the reason, without line end.
[[nodiscard]] PAWL_API std::string error_line(const Request& request, std::string_view code, std::string_view message);

class PAWL_API RecordReader {
 public:
  /// Errors: repository.
  [[nodiscard]] static Result<std::unique_ptr<RecordReader>> open(Repository& repository, Records which);
  ~RecordReader();
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;

  /// The next record: by stream (bytewise by the stream's folder), then by position. False: there is none. What is no
  /// record is passed over. Uses the repository: one thread at a time. Errors: repository.
  [[nodiscard]] Result<bool> next(StoredRecord& record);

 private:
  struct PAWL_LOCAL Impl;
  explicit RecordReader(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl::git
