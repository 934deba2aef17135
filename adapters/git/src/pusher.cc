#include "pusher.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <pawl/thread.h>

#include "object_id.h"

namespace pawl::git {
namespace {

constexpr std::chrono::seconds kPause{1};  // between two pushes, so that one brings many publications
constexpr std::chrono::seconds kLongestPause{60};
constexpr unsigned kMostMerges = 5;
constexpr char kFetched[] = "refs/pawl/theirs";

/// Whether the other side has commits that are not here: git's own word, in the C locale.
bool is_behind(const ChildResult& result) { return result.out.find("[rejected]") != std::string::npos; }

}  // namespace

Pusher::Pusher(Options options) : options_(std::move(options)) {
  report_.remote = options_.remote;
  thread_ = std::thread([this] {
    name_this_thread("pawl-push");
    put_this_thread_behind();
    run();
  });
}

Pusher::~Pusher() {
  if (!thread_.joinable()) return;
  hurry();
  stop();
}

void Pusher::wake() noexcept {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void Pusher::published(const ObjectId& tip) {
  const std::lock_guard lock(mutex_);
  wanted_ = tip;
  changed_.notify_all();
}

void Pusher::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

bool Pusher::due() const { return wanted_ && wanted_ != pushed_; }

void Pusher::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    while (!stopping_ && !interrupt_.raised() && !(due() && Clock::now() >= not_before_)) {
      due() ? static_cast<void>(changed_.wait_until(lock, not_before_)) : changed_.wait(lock);
    }
    const bool last = stopping_;
    if (due() && !interrupt_.raised()) {
      const ObjectId tip = *wanted_;
      lock.unlock();
      const Result<ObjectId> pushed = push(tip);
      lock.lock();
      settle(pushed);
    }
    if (last || interrupt_.raised()) break;
  }
  if (due() && report_.problem.empty()) report_.problem = "interrupted";
  report_.moment = PushReport::Moment::end;
  lock.unlock();
  if (options_.on_report) options_.on_report(report_);
}

void Pusher::settle(const Result<ObjectId>& pushed) {
  const bool had_problem = !report_.problem.empty();
  if (pushed) {
    pushed_ = *pushed;
    ++report_.pushes;
    report_.problem.clear();
    back_off_ = {};
    not_before_ = Clock::now() + kPause;
    return;
  }
  report_.problem = pushed.error().context;
  back_off_ = std::min<Clock::duration>(std::max<Clock::duration>(2 * back_off_, kPause), kLongestPause);
  not_before_ = Clock::now() + back_off_;
  if (!had_problem && !stopping_ && options_.on_report) options_.on_report(report_);
}

Result<ChildResult> Pusher::git(std::vector<std::string> arguments) {
  ChildOptions child;
  child.arguments = {"git",      "--git-dir=" + options_.git_dir.string(), "-c", "maintenance.auto=false", "-c",
                     "gc.auto=0"};
  child.arguments.insert(child.arguments.end(), arguments.begin(), arguments.end());
  child.environment = {{"LC_ALL", "C"}, {"GIT_TERMINAL_PROMPT", "0"}};
  child.borrowed_interrupt = &interrupt_;
  return run_child(child);
}

/// The commit that the other side has; also what the branch there is at.
Result<ObjectId> Pusher::fetch() {
  const std::string refspec = "+" + options_.branch + ":" + kFetched;
  const Result<ChildResult> fetched =
      git({"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", options_.remote, refspec});
  if (!fetched) return std::unexpected(fetched.error());
  if (fetched->exit_code != 0) return failure(ErrorCode::repository, "git fetch: " + fetched->complaint());
  const Result<ChildResult> named = git({"rev-parse", "--verify", "--quiet", kFetched});
  if (!named) return std::unexpected(named.error());
  return from_hex(std::string_view(named->out).substr(0, named->out.find('\n')));
}

/// The commit that is on the other side now: `tip`, or what it was merged into.
Result<ObjectId> Pusher::push(ObjectId tip) {
  for (unsigned merges = 0;; ++merges) {
    const Result<ChildResult> pushed =
        git({"push", "--porcelain", "--", options_.remote, to_hex(tip) + ":" + options_.branch});
    if (!pushed) return std::unexpected(pushed.error());
    if (pushed->exit_code == 0) return tip;
    if (!is_behind(*pushed)) return failure(ErrorCode::repository, "git push: " + pushed->complaint());
    if (merges == kMostMerges) {
      return failure(ErrorCode::repository, "git push: the other side has new commits each time");
    }
    const Result<ObjectId> theirs = fetch();
    if (!theirs) return theirs;
    const Result<ObjectId> merged = options_.merge(*theirs, interrupt_);
    static_cast<void>(git({"update-ref", "-d", kFetched}));  // one that stays is replaced by the next
    if (!merged) return merged;
    ++report_.merges;
    tip = *merged;
  }
}

}  // namespace pawl::git
