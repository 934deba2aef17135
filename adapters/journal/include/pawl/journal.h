// The journal: accepted tasks on disk before anything else happens to them, and what is left of them after a crash.
//
// Append-only segment files (layout in format.md), one writer thread. All tasks that are ready form one group: one
// write, one sync, and then the whole group is accepted. Answers are written as soon as they are noted, and synced with
// the next group or 5 ms later, whichever comes first; nothing waits for them. A segment goes away when all its tasks
// are released and no answer in it belongs to a task that is not. A finished run leaves no segment behind.
//
// Git is the truth, not the journal: a release may be lost in a crash, so what recovery gives back may be committed
// already. Ask git, and forget() what it holds.
//
// When not to use it: as a store. Nothing is looked up in it, and what is released is gone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include <pawl/engine.h>
#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/run_lock.h>
#include <pawl/stages.h>

namespace pawl::journal {

enum class Durability : std::uint8_t {
  sync,   // accepted tasks survive power loss: one fdatasync per group
  flush,  // accepted tasks survive the death of the process, not that of the machine: no sync but at a segment's end
};

struct PAWL_API Options {
  std::filesystem::path folder;                            // made with mode 0700 if missing; private to the journal
  std::uint64_t segment_bytes = 32ull * 1024 * 1024;       // 64 KiB … 1 GiB
  std::uint64_t record_bytes_max = 1024ull * 1024 * 1024;  // 1 KiB … 2 GiB: a task with a larger record is given up
                                                           // (usage), a larger answer is not kept
  std::uint64_t answer_bytes_queued_max = 256ull * 1024 * 1024;  // ≥ 0: beyond it, answers are not kept until the disk
                                                                 // has caught up
  Durability durability = Durability::sync;

  /// Says which option is wrong and why. Errors: usage.
  [[nodiscard]] Result<void> validate() const;
};

/// What segments hold. Records of tasks that were released count as long as their segment is pinned by others.
struct Left {
  std::uint64_t tasks = 0;    // task records
  std::uint64_t answers = 0;  // answer records
  std::uint64_t torn_bytes =
      0;                    // behind the last whole record; an upper bound where old bytes of a recycled segment lie
  std::uint64_t bytes = 0;  // of whole records
};

/// Monotonic counts since open().
struct Stats {
  std::uint64_t tasks = 0;             // task records written and accepted
  std::uint64_t answers = 0;           // answer records written
  std::uint64_t answers_dropped = 0;   // not kept: too large, too many queued, or the disk failed
  std::uint64_t groups = 0;            // groups accepted
  std::uint64_t syncs = 0;             // fdatasync calls for records (not those for making segments)
  std::uint64_t bytes = 0;             // of records written
  std::uint64_t segments_made = 0;     // new files
  std::uint64_t segments_reused = 0;   // released segments taken again under a new number
  std::uint64_t segments_removed = 0;  // released, no longer in the folder under their number
};

class PAWL_API Journal final : public SaveStage {
 public:
  /// Opens the folder, checks every record in it, cuts a torn tail and takes over what is left. The caller holds the
  /// folder's RunLock (see run_lock.h). Reads all segments once. Errors: usage, io, journal (a record is damaged that
  /// had been durable; names segment and offset), unsupported (written by a newer format).
  [[nodiscard]] static Result<std::unique_ptr<Journal>> open(const Options& options);

  /// Stops if that has not been done. Tasks that are not released stay in their segments.
  ~Journal() override;

  /// What open() found. Any thread.
  [[nodiscard]] Left left() const noexcept;

  /// Streams what was left, in the order of acceptance: fills `recovered` (buffers are re-used) and returns true, or
  /// false at the end. The outcome's kind is `none` unless an answer was journalled. One thread; the stage may be
  /// running. Memory: 32 bytes per answer left. Errors: io, journal, as open().
  [[nodiscard]] Result<bool> next(Recovered& recovered);

  /// Git holds this task already: it counts as released, at the latest when next() has come to its end or the stage
  /// stops. The thread of next(); does not wait for the disk.
  void forget(const Recovered& recovered) noexcept;

  /// Any thread, wait-free; the counts are read one by one.
  [[nodiscard]] Stats stats() const noexcept;

  // SaveStage. A disk error gives up the whole group (io; names the file) and breaks the stage: everything later is
  // given up likewise, and nothing is retried. After cancel(), tasks that are not in the group being written come back
  // cancelled, and are not saved.
  void attach(StageSink& sink) override;
  void take(std::span<Task* const> tasks) noexcept override;
  void cancel(Cancel how) noexcept override;
  void stop() noexcept override;
  [[nodiscard]] StageGauge gauge() const noexcept override;
  void note_answers(std::span<Task* const> tasks) noexcept override;
  void release(std::span<Task* const> tasks) noexcept override;

 private:
  struct PAWL_LOCAL Impl;
  explicit Journal(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// Counts what a journal folder holds without changing it; for a look from outside, also while a run is writing (then
/// the tail it is writing may count as torn). A folder that is missing holds nothing. Errors: io, journal, unsupported.
[[nodiscard]] PAWL_API Result<Left> inspect(const std::filesystem::path& folder);

}  // namespace pawl::journal
