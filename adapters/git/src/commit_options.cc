#include <pawl/git.h>

namespace pawl::git {

Result<void> CommitOptions::validate() const {
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24);
  if (commit_tasks == 0) return failure(ErrorCode::usage, "a commit holds at least 1 task (--commit-tasks)");
  if (commit_every.count() < 0 || commit_every > kLongest) {
    return failure(ErrorCode::usage, "the longest wait for a commit must be from 0 to 24 hours (--commit-every)");
  }
  if (publish_every.count() < 0 || publish_every > kLongest) {
    return failure(ErrorCode::usage, "the longest wait for the branch to move must be from 0 to 24 hours");
  }
  if (lock_wait.count() < 0 || lock_wait > kLongest) {
    return failure(ErrorCode::usage, "the longest wait for a lock must be from 0 to 24 hours (--lock-wait)");
  }
  if (layout == Layout::raw && path_template.empty()) {
    return failure(ErrorCode::usage, "the raw layout needs a path (--path), for example '{host}{path}'");
  }
  return {};
}

}  // namespace pawl::git
