// The journal: accepted tasks on disk before anything else happens to them, and what is left of them after a crash.
//
// Append-only segment files (layout in format.md), one writer thread. All tasks that are ready form one group: one
// write, one sync, and then the whole group is accepted. Answers are written as soon as they are noted, and synced with
// the next group or 5 ms later, whichever comes first; nothing waits for them. A segment goes away when all its tasks
// are released and no note in it (an answer, a mark) belongs to a task that is not. A finished run leaves no segment
// behind.
//
// As a SendLog it marks what is about to be called, in the same group as the save of the task where there is room for
// the call, else in the next group. A recovered task that has a mark and no answer is *in doubt*: nobody knows whether
// its call had an effect.
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

/// What an accepted task, a mark or an answer survives. Segments are synced at their end whatever is chosen, and what
/// is committed to git is always synced.
enum class Durability : std::uint8_t {
  sync,   // power loss: one fdatasync per group before it is accepted
  flush,  // the death of the process, by whatever signal, but not that of the machine: the kernel has it, no sync
  none,   // a clean end of the process: the records of the last 200 ms, up to 4 MiB, lie in its memory and die with it;
          // those before as with `flush`. A task lost so may have been called, and no mark tells
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
  std::uint64_t tasks = 0;     // task records
  std::uint64_t answers = 0;   // answer records
  std::uint64_t in_doubt = 0;  // tasks whose call was perhaps on its way: marked as sent, and no answer
  std::uint64_t torn_bytes =
      0;                    // behind the last whole record; an upper bound where old bytes of a recycled segment lie
  std::uint64_t bytes = 0;  // of whole records
};

/// Monotonic counts since open().
struct Stats {
  std::uint64_t tasks = 0;             // task records written and accepted
  std::uint64_t sent = 0;              // marks written: a call was about to leave
  std::uint64_t sent_with_save = 0;    // of them, in the same group as the task itself
  std::uint64_t settled = 0;           // marks taken back
  std::uint64_t answers = 0;           // answer records written
  std::uint64_t answers_dropped = 0;   // not kept: too large, too many queued, or the disk failed
  std::uint64_t groups = 0;            // groups accepted
  std::uint64_t syncs = 0;             // fdatasync calls for records (not those for making segments)
  std::uint64_t bytes = 0;             // of records written
  std::uint64_t segments_made = 0;     // new files
  std::uint64_t segments_reused = 0;   // released segments taken again under a new number
  std::uint64_t segments_removed = 0;  // released, no longer in the folder under their number
};

class PAWL_API Journal final : public SaveStage, public SendLog {
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
  /// running. Memory: 32 bytes per task, answer and mark left. Errors: io, journal, as open().
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
  /// Of saved tasks: from when they were admitted, as this is their first stage.
  [[nodiscard]] const LatencyHistogram* latency() const noexcept override;
  void note_answers(std::span<Task* const> tasks) noexcept override;
  void release(std::span<Task* const> tasks) noexcept override;

  // SendLog. After a disk error tasks come back given up. Marks are set also after cancel().
  void attach_sender(SendSink& sender) noexcept override;
  void give_room(std::uint64_t calls) noexcept override;
  void note_sending(std::span<Task* const> tasks) noexcept override;
  void note_settled(std::span<Task* const> tasks) noexcept override;

 private:
  struct PAWL_LOCAL Impl;
  explicit Journal(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// Counts what a journal folder holds without changing it; for a look from outside, also while a run is writing (then
/// the tail it is writing may count as torn). A folder that is missing holds nothing. Errors: io, journal, unsupported.
[[nodiscard]] PAWL_API Result<Left> inspect(const std::filesystem::path& folder);

/// The tasks that a journal folder holds, one after the other, without changing it. For a look while no run is live:
/// what a writer does meanwhile may be an error here. Released tasks whose segment is pinned by others are among them.
class PAWL_API LeftTasks {
 public:
  /// Errors: as inspect().
  [[nodiscard]] static Result<std::unique_ptr<LeftTasks>> open(const std::filesystem::path& folder);
  ~LeftTasks();
  LeftTasks(const LeftTasks&) = delete;
  LeftTasks& operator=(const LeftTasks&) = delete;

  /// As Journal::next(). One thread at a time.
  [[nodiscard]] Result<bool> next(Recovered& recovered);

 private:
  struct PAWL_LOCAL Impl;
  explicit LeftTasks(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl::journal
