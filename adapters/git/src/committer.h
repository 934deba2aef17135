// The commit stage: collects encoded results, forms commits of them, and has them published.
//
//   take() ─> inbox ─> committer thread: tree, commit, pack ─> publisher thread: disk, branch, work tree ─> done()
//
// The committer thread never waits for the disk unless it is two publications ahead. What is not published yet keeps
// its tasks, so it can be built again on top of a branch that somebody else moved. After a failure the stage is
// broken: everything that comes later is given up, because the tree in memory may be ahead of the branch.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include <pawl/error.h>
#include <pawl/git.h>
#include <pawl/inbox.h>
#include <pawl/latency.h>
#include <pawl/stages.h>

#include "blob_encoder.h"
#include "commit_text.h"
#include "delta_chain.h"
#include "encoded.h"
#include "publish.h"
#include "pusher.h"
#include "repository.h"
#include "signer.h"
#include "subject_template.h"
#include "tree.h"

namespace pawl::git {

class CommitStage final : public Stage {
 public:
  /// How its commits look.
  struct Look {
    Identity identity;
    std::optional<SubjectTemplate> subject;
    std::optional<Signer> signer;
  };
  CommitStage(Repository& repository, const CommitOptions& options, Look look);
  ~CommitStage() override;

  void attach(StageSink& sink) override;
  void take(std::span<Task* const> tasks) noexcept override;
  void cancel(Cancel how) noexcept override;
  void hurry() noexcept override;
  void stop() noexcept override;
  [[nodiscard]] StageGauge gauge() const noexcept override;
  [[nodiscard]] const LatencyHistogram* latency() const noexcept override { return &latency_; }

  /// Any thread, from attach() on.
  [[nodiscard]] CommitStats stats() const { return publisher_->stats(); }

 private:
  using Clock = std::chrono::steady_clock;

  void start_pusher();
  void run();
  void collect();
  void commit_what_is_due(Clock::time_point now);
  void commit_front(std::size_t count);
  [[nodiscard]] Result<void> build(std::span<Task* const> tasks);
  [[nodiscard]] Result<void> add(Task& task, Encoded& file);
  void add_blob(Encoded& file);
  [[nodiscard]] Result<void> lose(std::span<Task* const> tasks, Result<void> why);
  [[nodiscard]] Result<void> finish_commit();
  [[nodiscard]] std::string subject(std::chrono::system_clock::time_point now) const;
  [[nodiscard]] std::string trailers();
  void start_publication();
  [[nodiscard]] bool publication_is_due(Clock::time_point now) const;
  void publish();
  [[nodiscard]] Result<void> reload();
  void rebuild();
  void fail(Error why);
  void give_up(std::span<Task* const> tasks);
  [[nodiscard]] Clock::time_point next_deadline() const;
  [[nodiscard]] Clock::duration shortened(std::chrono::milliseconds wait) const;
  [[nodiscard]] bool finished() const;

  Repository& borrowed_repository_;
  const CommitOptions options_;
  const Look look_;
  const std::string trailers_;  // of every commit
  LatencyHistogram latency_;    // written by the publisher, which this outlives
  StageSink* borrowed_sink_ = nullptr;
  std::unique_ptr<Publisher> publisher_;  // from attach() on
  std::unique_ptr<Pusher> pusher_;        // null: nothing is pushed
  Interrupt interrupt_;                   // of a signature being made

  Inbox<Task> inbox_;
  std::atomic<std::uint64_t> waiting_{0};   // taken and in no commit yet; for the gauge
  std::atomic<std::uint64_t> building_{0};  // in a commit that has not been handed over; for the gauge
  // Written by cancel(), read by the committer: 0 no, 1 waiting, 2 all. A stale value only delays.
  std::atomic<int> cancelled_{0};
  std::atomic<bool> hurried_{false};  // set by hurry(), taken by the committer before it collects
  std::atomic<bool> stopping_{false};

  // The rest belongs to the committer thread.
  OdbHandle odb_;
  Tree tree_;
  std::optional<ObjectId> head_;  // of the commits built; ahead of the branch
  std::uint64_t commits_ = 0;     // built by this run and not taken back
  std::deque<Task*> pending_;     // collected, in no commit yet
  Clock::time_point oldest_{};    // arrival of pending_.front()
  Clock::time_point last_arrival_{};
  std::unique_ptr<Publication> current_;  // null: nothing unpublished but with the publisher
  std::uint64_t generation_ = 0;
  std::optional<Error> broken_;
  // Of the commit being built:
  std::unordered_set<std::string_view> paths_;
  std::vector<Task*> written_;
  std::string commit_content_;
  DeltaChain commit_chain_;
  BlobEncoder blob_encoder_;  // of files that the encoder told by others; its base is in current_

  std::thread thread_;
};

}  // namespace pawl::git
