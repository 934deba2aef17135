// The engine: admits tasks, leads each through save, call, encode, order and commit, and retires it.
//
// Threads: make a Producer per submitting thread; everything else here may be called from any thread. Between
// submit and retire the engine takes no mutex and makes no futex call unless there is nothing to do.
//
// When not to use it: if tasks do not wait on anything (use a plain thread pool), or if results may be lost.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <pawl/export.h>
#include <pawl/limits.h>
#include <pawl/stages.h>
#include <pawl/status.h>
#include <pawl/task.h>

namespace pawl {

/// The stages of one pipeline. The engine owns them.
struct Stages {
  std::unique_ptr<SaveStage> save = {};   // required
  std::unique_ptr<Stage> call = {};       // required
  std::unique_ptr<Encoder> encoder = {};  // none: nothing to do between call and commit that is worth a worker
  std::unique_ptr<Stage> commit = {};     // required
};

/// Called once for every admitted task when it retires: committed, or unfinished with Task::error. One call at a
/// time, on a graph worker; must be quick, must not throw (that ends the process) and must not call into the engine
/// other than Engine::stop_admission(), drain(), abort() and status(). The task is only valid during the call.
using RetireFn = std::function<void(const Task&)>;

enum class Admission : std::uint8_t {
  accepted,  // in the pipeline; it will be retired. Not yet saved: promises nothing about a crash.
  full,      // no credit (tasks or bytes); try again later
  closed,    // the engine takes no more
};

/// What a crash left behind and the journal gave back.
struct Recovered {
  Request request;
  Outcome outcome;              // kind `none` unless the answer was journalled
  std::uint64_t save_mark = 0;  // as the journal numbers them, see Task
  std::uint64_t answer_mark = 0;
  std::uint64_t sent_mark = 0;
  bool in_doubt = false;  // its call was perhaps on its way when the process died, and no answer was journalled
};

class Engine;

/// A thread's way in. Not thread-safe; one per submitting thread, or one for several that take turns: what one producer
/// submits is given to save and call stage in the order it was submitted. Must be destroyed before the engine.
class PAWL_API Producer {
 public:
  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;
  ~Producer();

  /// Submits without waiting. On `accepted`, `request` has been swapped against used buffers of unspecified
  /// content; otherwise it is untouched.
  [[nodiscard]] Admission try_submit(Request& request);

  /// Submits, waiting for a credit if there is none. Never returns `full`.
  [[nodiscard]] Admission submit(Request& request);

  /// Submits a prefix of `requests` that credits allow; returns its length. 0: full or closed.
  [[nodiscard]] std::size_t submit_bulk(std::span<Request> requests);

  /// Submits a task that the journal holds already: it is not saved again, and not called again if it has an
  /// outcome. What becomes of one in doubt is the call stage's affair (Task::in_doubt). Waits for a credit.
  [[nodiscard]] Admission submit_recovered(Recovered& recovered);

 private:
  friend class Engine;
  struct PAWL_LOCAL Impl;
  explicit Producer(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

class PAWL_API Engine {
 public:
  /// Starts a pipeline. Errors: usage (a limit out of range, a stage missing).
  [[nodiscard]] static Result<std::unique_ptr<Engine>> make(const Limits& limits, Stages stages, RetireFn on_retire);

  /// Aborts what is left (as abort()), waits for it, and stops the stages. A stage that keeps a task for longer than
  /// Limits::stop_patience after that is a bug, and there is nothing safe to go on with: the process ends with exit
  /// code 70 and the names of the tasks on stderr. What was accepted is in the journal.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] Producer producer();

  using Deadline = std::chrono::steady_clock::time_point;

  /// Waits until everything admitted before the call has retired; producers may go on. Any number of threads.
  void flush();
  /// As flush(), at most until `deadline`. False: it has passed, and the pipeline goes on as if nobody had asked.
  [[nodiscard]] bool flush(Deadline deadline);

  /// Takes no more: later submits, and those waiting for a credit, return `closed`. Does not wait.
  void stop_admission() noexcept;

  /// stop_admission(), then waits until all that was admitted has retired. Idempotent, any number of threads.
  void close();
  /// As close(), at most until `deadline`. False: it has passed; nothing is admitted any more, what was goes on and
  /// nothing is lost. Call close() again, or abort() first; overdue() names what is being waited for.
  [[nodiscard]] bool close(Deadline deadline);

  /// As close(), but what has not been called yet comes back unfinished; running calls finish and are committed.
  /// Does not wait: follow with close().
  void drain() noexcept;

  /// As drain(), but running calls are cancelled too. Does not wait: follow with close(). Returns what it found, stage
  /// by stage; what became of it is told by RetireFn, task by task, and by status() after close().
  Status abort() noexcept;

  /// Wait-free for the pipeline; any thread.
  [[nodiscard]] Status status() const noexcept;

  /// The tasks that have been in one place for `bound` or longer, longest first, at most `most` of them. With a bound
  /// of 0 all that a stage, the encoder, the order of a stream or RetireFn holds; not what is on its way between them.
  /// Any thread. It looks at every slot, and slots that come free meanwhile are used again only after it: for a
  /// watchdog (watchdog.h) or a report, not for every task.
  [[nodiscard]] std::vector<Overdue> overdue(std::chrono::milliseconds bound, std::size_t most = 100) const;

 private:
  friend class Producer;
  struct PAWL_LOCAL Impl;
  explicit Engine(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl
