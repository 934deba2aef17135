// What a run left in its journal folder: the check of every record, the cutting of a torn tail, and the stream of tasks
// with their answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <pawl/journal.h>

#include "file.h"
#include "segment_reader.h"

namespace pawl::journal {

struct LeftSegment {
  SegmentName name;
  std::uint64_t end = 0;  // behind the last whole record that is not the seal
  std::uint64_t tasks = 0;
  std::uint64_t answers = 0;
  bool sealed = false;
};

/// Where an answer lies. 32 bytes, because recovery holds one for every answer left.
struct AnswerPlace {
  TaskId key;
  std::uint64_t offset = 0;
  std::uint32_t segment = 0;  // index into Scan::segments
};
static_assert(sizeof(AnswerPlace) <= 32);

struct Scan {
  std::vector<LeftSegment> segments;  // all, oldest first; at most the last that holds anything is not sealed
  std::vector<AnswerPlace> answers;   // by key, and of one key oldest first; only if asked for
  Left left;
};

enum class Answers : std::uint8_t { count, index };

/// Reads every record in the folder. Errors: as inspect().
[[nodiscard]] Result<Scan> scan_folder(const std::filesystem::path& folder, Answers answers);

/// A left-over segment whose tasks have all been handed out.
struct Passed {
  std::uint64_t segment = 0;
  std::uint64_t answers_used = 0;  // answers in it that were handed out with their tasks
};

class Recovery {
 public:
  /// Scans the folder, cuts a torn tail, seals what was not, and removes what holds no record.
  [[nodiscard]] static Result<Recovery> open(const std::filesystem::path& folder);

  /// As Journal::next(). One thread.
  [[nodiscard]] Result<bool> next(Recovered& recovered);

  /// Segments passed since the last call. An answer never lies in an older segment than its task, so a passed segment
  /// has no further use to recovery.
  [[nodiscard]] std::vector<Passed> take_passed() noexcept { return std::exchange(passed_, {}); }

  [[nodiscard]] const Left& left() const noexcept { return scan_.left; }
  [[nodiscard]] const std::vector<LeftSegment>& segments() const noexcept { return scan_.segments; }
  /// The first number no segment has had.
  [[nodiscard]] std::uint64_t next_number() const noexcept { return next_number_; }

 private:
  [[nodiscard]] Result<void> repair(const std::filesystem::path& folder);
  [[nodiscard]] Result<void> fill_answer(Recovered& recovered);
  void pass_segment();

  Scan scan_;
  std::uint64_t next_number_ = 1;
  std::size_t at_ = 0;                       // index of the segment being streamed
  std::optional<SegmentReader> tasks_;       // of that segment
  std::optional<SegmentReader> answer_;      // of the segment the last answer came from
  std::vector<std::uint64_t> answers_used_;  // by segment
  std::vector<Passed> passed_;
};

}  // namespace pawl::journal
