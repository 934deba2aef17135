// The records of a branch one after the other: for export, and to run failed tasks again.
//
// Reads the tip as it is when the reader is opened; what is committed later does not show. One record is in memory at a
// time, and the places of at most a folder's (100).
// When not to use it: to ask for one key (KeyIndex), or whether all is as it should be (audit).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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

/// How a task went, as its record tells.
struct StoredResult {
  TaskId task_id;
  std::string stream;
  std::string id;
  std::string path;  // on the branch
  bool success = false;
  int status_code = 0;  // 0: there was no answer
  std::string error_code;
  std::string error_message;
  std::uint32_t attempts = 0;
  std::optional<std::chrono::system_clock::time_point> started;  // none: the record does not say
  std::chrono::milliseconds duration{0};
};

/// Visits every record of the branch's tip, one stream after the other (bytewise by its folder), within a stream by
/// position but for records of one folder. The result is valid during the visit. Holds one record at a time, and the
/// packs are mapped. What is no record is passed over. Errors: repository.
[[nodiscard]] PAWL_API Result<void> for_each_result(Repository& repository,
                                                    const std::function<void(const StoredResult&)>& visit);

}  // namespace pawl::git
