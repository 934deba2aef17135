// Publishing: a finished pack is made durable, then the branch moves, then the tasks go back as committed.
//
// One thread, so the branch moves in the order of hand-over while the committer builds the next pack. Moving the
// branch is the commit point. The branch is never forced: if somebody else moved it, nothing is published and the
// committer takes everything back to rebuild it. The locks are git's own, taken in git's order: first the index's, if
// the branch is checked out, then the branch's.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pawl/error.h>
#include <pawl/git.h>
#include <pawl/latency.h>
#include <pawl/stages.h>

#include "child_process.h"
#include "commit_text.h"
#include "encoded.h"
#include "pack.h"
#include "pack_upkeep.h"
#include "repository.h"
#include "work_tree.h"

namespace pawl::git {

/// What one move of the branch brings: some commits, one pack.
struct Publication {
  explicit Publication(std::uint64_t generation) : pack(generation) {}

  struct Change {                  // a file, for the work tree
    const Encoded* borrowed_file;  // hangs on a task in `tasks`
    std::optional<ObjectId> previous;
  };

  Pack pack;
  std::optional<ObjectId> parent;        // where the branch must be; none: unborn
  std::optional<ObjectId> tip;           // where it goes; the same as parent if nothing changed
  std::vector<Task*> tasks;              // in commit order
  std::vector<std::size_t> commit_ends;  // index into tasks, one past the last task of each commit
  std::vector<Change> changes;
  std::string pack_name;         // once it is in the repository
  std::uint64_t pack_bytes = 0;  // likewise, with its index
  std::uint64_t commits = 0;
  std::uint64_t commits_before = 0;  // of this run, on the branch before these
  std::chrono::steady_clock::time_point begun{};
};

/// Running totals. A stale value is harmless.
struct CommitStats {
  std::uint64_t commits = 0;
  std::uint64_t packs = 0;
  std::uint64_t bytes = 0;     // of packs and their indexes
  std::uint64_t rebuilds = 0;  // because somebody else moved the branch
  std::uint64_t files_written = 0;
  std::uint64_t files_left = 0;  // not touched: something of a person's was in the way
  std::uint64_t joins = 0;       // of packs; known at the end, as upkeep_problem is
  std::string upkeep_problem;    // empty: none
  std::chrono::nanoseconds publish_time{0};
};

class Publisher {
 public:
  enum class State : std::uint8_t {
    running,
    moved,   // somebody else moved the branch: take_back() and rebuild
    broken,  // see error(); everything handed over has been given up
  };

  struct Options {
    Repository::Impl& repository;  // borrowed: read at the start only
    Identity identity;
    CommitOptions::WorkTree work_tree;
    std::chrono::milliseconds lock_wait;  // longest wait for a lock that another git process holds
    StageSink& sink;                      // borrowed
    LatencyHistogram& latency;            // borrowed: of the tasks that are published
    std::function<void()> on_news;        // state() changed; called on the publisher thread, must not wait
    std::function<void(const ObjectId& tip)> on_published;      // the branch has moved there; likewise
    std::function<void(const BranchReport&)> on_branch_report;  // may be empty; likewise
  };

  explicit Publisher(Options options);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Hands a publication over; waits while two are waiting. Takes it only while `running`, else it stays.
  void hand_over(std::unique_ptr<Publication>& publication);

  /// Everything handed over and not published, oldest first; `running` again afterwards. Only in state `moved`.
  [[nodiscard]] std::deque<std::unique_ptr<Publication>> take_back();

  /// Merges a commit that others made, fetched from `remote`, into the branch between two publications; answers the
  /// new tip. Waits for it. One thread beside the committer's; not after stop(). Errors: repository, io, locked.
  [[nodiscard]] Result<ObjectId> merge(const ObjectId& theirs, const std::string& remote, const Interrupt& interrupt);

  /// Do not insist for long on a branch that is locked.
  void hurry() noexcept;

  /// Publishes what was handed over, brings the work tree up to date and ends the thread. Not in state `moved`.
  void stop();

  [[nodiscard]] State state() const noexcept { return state_.load(std::memory_order_acquire); }  // acquire [P1]
  [[nodiscard]] Error error() const;
  /// Generation of the youngest pack that is in the repository.
  [[nodiscard]] std::uint64_t published() const noexcept { return published_.load(std::memory_order_acquire); }
  /// Tasks handed over and not given back.
  [[nodiscard]] std::uint64_t holding() const noexcept { return holding_.load(std::memory_order_acquire); }
  [[nodiscard]] CommitStats stats() const;
  /// What the work tree is left with. REQUIRES: stop() has returned.
  [[nodiscard]] const WorkTreeReport& work_tree_report() const noexcept { return work_tree_report_; }
  /// Consecutive times the branch was found moved without anything having been published in between.
  [[nodiscard]] unsigned lost_races() const noexcept { return lost_races_.load(std::memory_order_relaxed); }

 private:
  enum class Fate : std::uint8_t { published, moved };
  struct MergeWanted {
    ObjectId theirs;
    const std::string& borrowed_remote;
    const Interrupt& borrowed_interrupt;
  };

  void run();
  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<Fate> publish(Publication& publication);
  [[nodiscard]] Result<Fate> publish_locked(Publication& publication);
  [[nodiscard]] Result<bool> stands_still(const Publication& publication);
  [[nodiscard]] Result<PackFiles> write_pack(Publication& publication) const;
  [[nodiscard]] bool wait_for_lock(std::chrono::steady_clock::time_point since);
  [[nodiscard]] Result<void> lock_index();
  [[nodiscard]] Result<TransactionHandle> lock_branch();
  [[nodiscard]] Result<void> move_branch(TransactionHandle transaction, const Publication& publication);
  [[nodiscard]] Result<ObjectId> merge_now(const MergeWanted& wanted);
  void report(BranchReport::What what, const std::optional<ObjectId>& tip, const Publication& publication) const;
  void report_theirs();
  void keep_up(const Publication& publication);
  void update_work_tree(const Publication& publication);
  void finish_work_tree();
  void note_latency(const Publication& publication);
  void give_back(const Publication& publication);
  void settle(Result<Fate> fate);

  Options options_;
  RepositoryHandle handle_;              // this thread's own
  std::unique_ptr<WorkTree> work_tree_;  // null: none to keep up to date
  WorkTreeReport work_tree_report_;      // written by this thread at its end
  Interrupt interrupt_;                  // of the upkeep; raised with hurried_
  std::optional<PackUpkeep> upkeep_;     // from the first pack on

  mutable std::mutex mutex_;
  std::condition_variable changed_;                 // queue_, state_, stopping_, hurried_, merge_wanted_, merged_
  std::deque<std::unique_ptr<Publication>> queue_;  // the front one is being published
  bool stopping_ = false;
  bool hurried_ = false;
  std::optional<MergeWanted> merge_wanted_;
  std::optional<Result<ObjectId>> merged_;
  std::optional<Error> error_;
  CommitStats stats_;
  // Written under mutex_, read by the committer without: publishes that queue_ is at rest.
  std::atomic<State> state_{State::running};
  std::atomic<std::uint64_t> published_{0};  // written by this thread; release: the pack is on the disk
  std::atomic<std::uint64_t> holding_{0};    // for the gauge
  std::atomic<unsigned> lost_races_{0};      // written by this thread, read by the committer after state()
  std::thread thread_;
};

}  // namespace pawl::git
