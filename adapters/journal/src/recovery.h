// What a run left in its journal folder: the check of every record, the cutting of a torn tail, and the stream of tasks
// with their answers, or with what is known of their calls.
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
  std::uint64_t notes = 0;  // answers and marks
  bool sealed = false;
  [[nodiscard]] bool empty() const noexcept { return tasks + notes == 0; }
};

/// Where a note (an answer or a mark) lies. 32 bytes, because recovery holds one for every note left.
struct NotePlace {
  TaskId key;
  std::uint64_t offset = 0;
  std::uint32_t segment = 0;  // index into Scan::segments
  Kind kind = Kind::answer;   // answer, sent or settled
};
static_assert(sizeof(NotePlace) <= 32);

/// Where a task lies. One for every task left, too.
struct TaskPlace {
  TaskId key;
  std::uint64_t offset = 0;
  std::uint32_t segment = 0;  // index into Scan::segments
};
static_assert(sizeof(TaskPlace) <= 32);

struct Scan {
  std::vector<LeftSegment> segments;  // all, oldest first; at most the last that holds anything is not sealed
  std::vector<TaskPlace> tasks;  // by key: in the order of acceptance. Inputs of one stream may be saved in another
  std::vector<NotePlace> notes;  // by key, and of one key oldest first
  Left left;
};

/// Reads every record in the folder. Errors: as inspect().
[[nodiscard]] Result<Scan> scan_folder(const std::filesystem::path& folder);

/// A left-over segment whose tasks have all been handed out.
struct Passed {
  std::uint64_t segment = 0;
  std::uint64_t notes_used = 0;  // notes in it that were handed out with their tasks
};

class Recovery {
 public:
  /// Scans the folder, cuts a torn tail, seals what was not, and removes what holds no record.
  [[nodiscard]] static Result<Recovery> open(const std::filesystem::path& folder);

  /// Scans the folder and changes nothing: for next() alone, while nobody writes.
  [[nodiscard]] static Result<Recovery> look(const std::filesystem::path& folder);

  /// As Journal::next(). One thread.
  [[nodiscard]] Result<bool> next(Recovered& recovered);

  /// Segments passed since the last call. A note never lies in an older segment than its task, so a passed segment
  /// has no further use to recovery.
  [[nodiscard]] std::vector<Passed> take_passed() noexcept { return std::exchange(passed_, {}); }

  [[nodiscard]] const Left& left() const noexcept { return scan_.left; }
  [[nodiscard]] const std::vector<LeftSegment>& segments() const noexcept { return scan_.segments; }
  /// The first number no segment has had.
  [[nodiscard]] std::uint64_t next_number() const noexcept { return next_number_; }

 private:
  void count();
  [[nodiscard]] Result<void> repair(const std::filesystem::path& folder);
  [[nodiscard]] Result<void> fill_notes(Recovered& recovered);
  [[nodiscard]] Result<void> fill_answer(const NotePlace& place, Outcome& outcome);
  [[nodiscard]] Result<SegmentReader*> reader_of(std::uint32_t segment, std::optional<SegmentReader>& reader) const;
  void pass_segments();

  Scan scan_;
  std::uint64_t next_number_ = 1;
  std::size_t task_ = 0;                      // index of the next one
  std::size_t passed_to_ = 0;                 // index of the first segment that is not passed
  std::optional<SegmentReader> tasks_;        // of the segment the last task came from
  std::optional<SegmentReader> answer_;       // of the segment the last answer came from
  std::vector<std::uint64_t> tasks_to_come_;  // by segment
  std::vector<std::uint64_t> notes_used_;     // by segment
  std::vector<Passed> passed_;
};

}  // namespace pawl::journal
