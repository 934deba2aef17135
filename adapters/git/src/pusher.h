// Pushes the branch to another repository beside everything else: nobody waits for the network but this thread.
//
// The git program pushes, so remotes, credentials and hooks are git's. Several moves of the branch that come while one
// push is on its way go with the next one. Nothing is ever forced: if the other side has commits that are not here,
// they are fetched, merged into the branch, and the result is pushed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pawl/error.h>
#include <pawl/git.h>

#include "child_process.h"
#include "encoded.h"

namespace pawl::git {

class Pusher {
 public:
  struct Options {
    std::filesystem::path git_dir;
    std::string branch;  // full name
    std::string remote;  // a remote of git's configuration, or an address
    /// Merges a commit that others made into the branch; answers the branch's new tip, after it was published(). Called
    /// on the pusher's thread.
    std::function<Result<ObjectId>(const ObjectId& theirs, const Interrupt& interrupt)> merge;
    std::function<void(const PushReport&)> on_report;  // see CommitOptions
  };

  explicit Pusher(Options options);
  ~Pusher();
  Pusher(const Pusher&) = delete;
  Pusher& operator=(const Pusher&) = delete;

  /// The branch is at `tip` now. Any thread, does not wait.
  void published(const ObjectId& tip);
  /// Ends what is on its way, and pushes no more.
  void hurry() noexcept { interrupt_.raise(), wake(); }
  /// Pushes what has not been pushed, once more if the last time failed, and ends the thread.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  void wake() noexcept;
  [[nodiscard]] bool due() const;
  void settle(const Result<ObjectId>& pushed);
  [[nodiscard]] Result<ObjectId> push(ObjectId tip);
  [[nodiscard]] Result<ObjectId> fetch();
  [[nodiscard]] Result<ChildResult> git(std::vector<std::string> arguments);

  const Options options_;
  Interrupt interrupt_;
  std::mutex mutex_;
  std::condition_variable changed_;  // wanted_, stopping_, interrupt_
  std::optional<ObjectId> wanted_;
  bool stopping_ = false;
  // The rest belongs to the thread.
  std::optional<ObjectId> pushed_;
  Clock::time_point not_before_{};
  Clock::duration back_off_{};
  PushReport report_;
  std::thread thread_;
};

}  // namespace pawl::git
