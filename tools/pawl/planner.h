// Decides for each task that an input gives whether it runs, and under which identity: run, skip or refuse.
//
// One planner a run, shared by its input threads. It serialises them from the decision to the submit, so that within
// a stream positions and order of submission agree.
//
// A task that is run although its key is committed with the same request (Rerun::all; layout raw, if the method is not
// a safe one) gets an Idempotency-Key of its own, as a header: a server that honours the key shall do it again. What is
// run again as a failure keeps its key: whether it had an effect the first time is not always known.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_set>

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

  enum class Decision : std::uint8_t {
    submitted,
    skipped,
    held,  // its stream is held: left in the input
    closed,
  };

  /// Decides on `request` (digest set) and submits it if it is to run; waits for a credit. Any thread; the producer may
  /// be the same for all, since one at a time submits.
  [[nodiscard]] Result<Decision> offer(Request& request, Producer& producer);

  /// Whether the branch already holds this task that the journal gives back, or a younger one of its key that goes
  /// there: from the index, which was made from the tip. Ask in the journal's order, before the first offer().
  [[nodiscard]] Result<bool> holds(const Request& recovered);

  /// Makes a task known that the journal holds: the same key in an input is then skipped.
  [[nodiscard]] Result<void> know(const Request& recovered);

  /// Makes known where a task lies that the journal gave back but the branch holds. What else there is to know of its
  /// key, the branch has said.
  void know_position(const Request& committed);

  /// Every key put into the index has been submitted; false after a refused submit: then the index must not be kept.
  [[nodiscard]] bool index_is_true() const noexcept { return !incomplete_.load(std::memory_order_acquire); }

  /// A task of this stream stays in the journal for a person to decide, so nothing more of the stream can be committed:
  /// inputs are not asked for more of it. Any thread; does not wait for offer().
  void hold_stream(const std::string& stream);

  /// The record of this task is committed, and is a failure. Called for such tasks when they retire. Nothing if a
  /// younger task of its key is known.
  [[nodiscard]] Result<void> note_failure(const Request& request);

  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_.load(std::memory_order_relaxed); }
  /// Of them: what is committed is a failure.
  [[nodiscard]] std::uint64_t skipped_failed() const noexcept {
    return skipped_failed_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t held_back() const noexcept { return held_back_.load(std::memory_order_relaxed); }

 private:
  bool runs(const git::CommittedKey& known, const Request& request) const noexcept;
  [[nodiscard]] bool is_held(const std::string& stream) const;
  void make_key_fresh(Request& request) const;
  [[nodiscard]] Result<void> put_newest(const Request& request);

  git::KeyIndex* borrowed_index_;
  const Options options_;
  std::mutex mutex_;                              // from decision to submit
  std::mutex newest_mutex_;                       // no key gets a younger task while note_failure() looks at it
  std::uint64_t ordinal_ = 0;                     // of the last task accepted; guarded by mutex_
  std::uint64_t position_ = 0;                    // next, when there is no index; guarded by mutex_
  std::atomic<bool> incomplete_{false};           // a key was put whose task was refused
  std::atomic<bool> any_held_{false};             // set by hold_stream(): look into held_streams_
  mutable std::mutex held_mutex_;                 // not mutex_, which is held while offer() waits for a credit
  std::unordered_set<std::string> held_streams_;  // guarded by held_mutex_
  std::atomic<std::uint64_t> held_back_{0};       // written by input threads, read by the status view
  std::atomic<std::uint64_t> skipped_{0};         // written by input threads, read by the status view
  std::atomic<std::uint64_t> skipped_failed_{0};  // likewise
};

}  // namespace pawl::tool
