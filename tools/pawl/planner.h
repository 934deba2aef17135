// Decides for each task that an input gives whether it runs, and under which identity: run, skip or refuse.
//
// One planner a run, shared by its input threads. It serialises them from the decision to the submit, so that within
// a stream positions and order of submission agree.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include <pawl/engine.h>
#include <pawl/git.h>

namespace pawl::tool {

enum class Rerun : std::uint8_t {
  none,      // a key that is committed with the same request is skipped
  failed,    // as `none`, but a committed failure runs again
  recorded,  // nothing but committed failures, with the request that failed
  all,
};

class Planner {
 public:
  struct Options {
    std::uint64_t run = 0;  // TaskId::run of what is accepted now
    Rerun rerun = Rerun::none;
  };
  /// Borrows `index`, which may be null: then nothing is skipped and positions count up over the run (layout raw).
  Planner(git::KeyIndex* index, Options options) : borrowed_index_(index), options_(options) {}

  enum class Decision : std::uint8_t { submitted, skipped, closed };

  /// Decides on `request` (digest set) and submits it if it is to run; waits for a credit. Any thread, each with its
  /// own producer.
  [[nodiscard]] Result<Decision> offer(Request& request, Producer& producer);

  /// Makes a task known that the journal holds: the same key in an input is then skipped.
  [[nodiscard]] Result<void> know(const Request& recovered);

  /// Makes known where a task lies that the journal gave back but the branch holds. What else there is to know of its
  /// key, the branch has said.
  void know_position(const Request& committed);

  /// Every key put into the index has been submitted; false after a refused submit: then the index must not be kept.
  [[nodiscard]] bool index_is_true() const noexcept { return !incomplete_.load(std::memory_order_acquire); }

  /// The record of this key is committed, and is a failure. Called for such tasks when they retire.
  [[nodiscard]] Result<void> note_failure(const Request& request);

  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_.load(std::memory_order_relaxed); }

 private:
  bool runs(const git::CommittedKey& known, const Request& request) const noexcept;

  git::KeyIndex* borrowed_index_;
  const Options options_;
  std::mutex mutex_;                       // from decision to submit
  std::uint64_t ordinal_ = 0;              // of the last task accepted; guarded by mutex_
  std::uint64_t position_ = 0;             // next, when there is no index; guarded by mutex_
  std::atomic<bool> incomplete_{false};    // a key was put whose task was refused
  std::atomic<std::uint64_t> skipped_{0};  // written by input threads, read by the status view
};

}  // namespace pawl::tool
