// The ports: what the engine asks of whoever saves, calls, encodes and commits.
//
// A stage is handed tasks in batches and gives each one back exactly once through the sink, in any order, on any
// thread. A stage never waits inside take(): it queues (see inbox.h) and works on threads of its own. A stage never
// throws. It reports failure on the task itself: Task::give_up() for "not finished, keep it in the journal", or an
// Outcome of kind `failed` for "this is the result, record it". Every task must come back, also after cancel():
// a task kept back makes flush() hang.
//
// Life of a stage: constructed → attach() → any number of take() → (cancel()) → stop() → destroyed.
// Contract tests: tests/support/stage_contract.h.
#pragma once

#include <cstdint>
#include <span>

#include <pawl/export.h>
#include <pawl/task.h>

namespace pawl {

/// Where a stage gives tasks back. Implemented by the engine.
class PAWL_API StageSink {
 public:
  /// Gives tasks back. Any thread, also from within take(), cancel() and so on. Does not wait for anything, but may run
  /// short nodes of the graph on this thread, and with them note_answers() or take() of the stages behind: hold no lock
  /// of your own that those might want. The span is copied before return.
  virtual void done(std::span<Task* const> tasks) noexcept = 0;

 protected:
  ~StageSink() = default;
};

enum class Cancel : std::uint8_t {
  waiting,  // give back what has not been begun, finish what has (drain)
  all,      // give back everything that can be given back, within a second (abort)
};

class LatencyHistogram;

/// What a stage holds right now; a stale value is harmless.
struct StageGauge {
  std::uint64_t waiting = 0;  // taken, not begun
  std::uint64_t active = 0;   // begun (for calls: requests on the wire)
  std::uint64_t delayed = 0;  // waiting for a time to come (retry back-off, Retry-After)
};

class PAWL_API Stage {
 public:
  Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;

  /// Called once, before the first take(). `sink` outlives the stage's last done(). Starts the stage's threads.
  virtual void attach(StageSink& sink) = 0;

  /// Takes tasks (all `live`). Called by graph workers or a thread that gives tasks back in the stage before, one at a
  /// time for one stage; the commit stage in stream order. The save stage sees the tasks of one Producer in the order
  /// they were submitted, and so does the call stage if the save stage gives them back in that order (recovered ones
  /// pass the save stage by). Must not block, throw or call done() for a task before it has been put where stop() finds
  /// it. May call done() at once.
  virtual void take(std::span<Task* const> tasks) noexcept = 0;

  /// Asks for unfinished tasks back (given up with ErrorCode::cancelled). Sticky: it holds for later take()s too.
  /// Any thread; does not wait. `Cancel::all` may follow `Cancel::waiting`.
  virtual void cancel(Cancel how) noexcept = 0;

  /// Nothing more will come for now and somebody waits: finish what is held without waiting for more to go with it.
  /// Concerns what has been taken before the call; a hint. Any thread; does not wait.
  virtual void hurry() noexcept {}

  /// Called once, after every task has come back: ends and joins the stage's threads.
  virtual void stop() noexcept = 0;

  [[nodiscard]] virtual StageGauge gauge() const noexcept { return {}; }

  /// How long the tasks that the stage has finished were in it, see latency.h; null: it does not measure that. Any
  /// thread, from attach() on; lives as long as the stage.
  [[nodiscard]] virtual const LatencyHistogram* latency() const noexcept { return nullptr; }
};

/// The save stage: done() for a live task means *accepted*: it survives SIGKILL and power loss.
class PAWL_API SaveStage : public Stage {
 public:
  /// The outcomes of these tasks have arrived. Copies what it needs and returns without waiting for the disk.
  /// Called by graph workers, several at a time.
  virtual void note_answers(std::span<Task* const> tasks) noexcept = 0;

  /// These tasks are committed: the journal may forget them. One caller at a time.
  virtual void release(std::span<Task* const> tasks) noexcept = 0;
};

/// Where a send log says whose call may leave. Implemented by the call stage.
class PAWL_API SendSink {
 public:
  /// These tasks are marked, each with `sent` set; or, if that cannot be done, given up with an error. They come in
  /// the order in which they were handed to note_sending(). A thread of the log; only queues.
  virtual void may_send(std::span<Task* const> tasks) noexcept = 0;

 protected:
  ~SendSink() = default;
};

/// A durable note of what may have been sent, so that after a crash it is known which calls were perhaps on their way:
/// a call leaves only after its mark is safe. Implemented by the journal, used by the call stage; a call stage without
/// one calls at once, and after a crash every task without an answer might have been called.
///
/// A mark costs no sync of its own where it can go with others: give_room() lets the log mark tasks together with
/// their save when their call will leave at once, and note_sending() is asked ahead of need, for many at a time.
class PAWL_API SendLog {
 public:
  SendLog() = default;
  SendLog(const SendLog&) = delete;
  SendLog& operator=(const SendLog&) = delete;

  /// Who is told. Once, before anything else here; without it the log marks nothing. `sender` outlives its last
  /// may_send().
  virtual void attach_sender(SendSink& sender) noexcept = 0;

  /// So many more tasks may be marked while they are saved, because they will be called at once. The calling thread of
  /// the call stage; does not wait.
  virtual void give_room(std::uint64_t calls) noexcept = 0;

  /// Lends tasks that have no mark (`sent` is false) until may_send() gives them back. The thread of the call stage;
  /// does not wait.
  virtual void note_sending(std::span<Task* const> tasks) noexcept = 0;

  /// These tasks have a mark, and it is known that their calls have had no effect that is still to be learnt: they have
  /// not left, or an answer came that is to be tried again. Clears `sent`; does not wait. If the machine dies before
  /// the note is safe, they merely count as sent. The thread of the call stage.
  virtual void note_settled(std::span<Task* const> tasks) noexcept = 0;

 protected:
  ~SendLog() = default;
};

/// The encoder turns an outcome into what the commit stage stores. CPU work only.
class PAWL_API Encoder {
 public:
  Encoder() = default;
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  virtual ~Encoder() = default;

  /// Fills task.encoded. Called by many workers at once, for different tasks.
  virtual void encode(Task& task) noexcept = 0;
};

/// The commit stage is a plain Stage. take() hands it tasks of one stream in order; done() for a live task with
/// `committed` means: its commit is durable and the branch has moved.

}  // namespace pawl
