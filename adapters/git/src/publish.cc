#include "publish.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <pawl/thread.h>

#include "lock_note.h"
#include "merge.h"
#include "new_repository.h"
#include "object_id.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostWaiting = 2;
constexpr std::chrono::milliseconds kHurriedLockWait{300};
constexpr std::chrono::milliseconds kLockPause{20};
// After so many lost races the pack is written with the branch locked, which leaves others less time to win the next.
constexpr unsigned kPoliteRaces = 3;
constexpr char kBranchLockNote[] = "branch-lock";  // in the private folder

PackFolders pack_folders(const Repository::Impl& repository) {
  return {repository.common_dir / "objects" / "pack", repository.private_folder};
}

}  // namespace

Publisher::Publisher(Options options) : options_(std::move(options)) {
  thread_ = std::thread([this] {
    name_this_thread("pawl-publish");
    put_this_thread_behind();
    run();
  });
}

Publisher::~Publisher() {
  if (thread_.joinable()) stop();
}

void Publisher::hand_over(std::unique_ptr<Publication>& publication) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] {
    return queue_.size() <= kMostWaiting || state_.load(std::memory_order_relaxed) != State::running;
  });
  if (state_.load(std::memory_order_relaxed) != State::running) return;
  holding_.fetch_add(publication->tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
  queue_.push_back(std::move(publication));
  changed_.notify_all();
}

std::deque<std::unique_ptr<Publication>> Publisher::take_back() {
  const std::lock_guard lock(mutex_);
  auto taken = std::exchange(queue_, {});
  for (const auto& publication : taken) {
    holding_.fetch_sub(publication->tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
  }
  ++stats_.rebuilds;
  state_.store(State::running, std::memory_order_release);
  changed_.notify_all();
  return taken;
}

void Publisher::hurry() noexcept {
  const std::lock_guard lock(mutex_);
  hurried_ = true;
  interrupt_.raise();
  changed_.notify_all();
}

Result<ObjectId> Publisher::merge(const ObjectId& theirs, const std::string& remote, const Interrupt& interrupt) {
  std::unique_lock lock(mutex_);
  merge_wanted_.emplace(MergeWanted{theirs, remote, interrupt});
  changed_.notify_all();
  changed_.wait(lock, [this] { return merged_.has_value(); });
  return *std::exchange(merged_, std::nullopt);
}

void Publisher::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

Error Publisher::error() const {
  const std::lock_guard lock(mutex_);
  return error_.value_or(Error{});
}

CommitStats Publisher::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

Result<void> Publisher::open() {
  Result<RepositoryHandle> opened = open_again(options_.repository);
  if (!opened) return std::unexpected(std::move(opened.error()));
  handle_ = std::move(*opened);
  remove_noted_lock(options_.repository.private_folder / kBranchLockNote);
  remove_noted_lock(WorkTree::lock_note(options_.repository.git_dir));
  remove_lock_of_an_earlier_start(options_.repository.common_dir / (options_.repository.branch + ".lock"));
  remove_lock_of_an_earlier_start(options_.repository.git_dir / "index.lock");
  PackFiles::clean_up(pack_folders(options_.repository));
  if (options_.repository.work_tree.empty() || options_.work_tree == CommitOptions::WorkTree::leave) return {};
  const Result<std::optional<ObjectId>> tip = branch_tip(handle_.get(), options_.repository.branch);
  if (!tip) return std::unexpected(tip.error());
  work_tree_ = std::make_unique<WorkTree>(handle_.get(), options_.repository.work_tree, options_.repository.git_dir,
                                          options_.repository.branch);
  return work_tree_->begin(*tip);
}

void Publisher::run() {
  if (const Result<void> opened = open(); !opened) settle(std::unexpected(opened.error()));
  std::unique_lock lock(mutex_);
  while (true) {
    const auto ready = [this] {
      const State state = state_.load(std::memory_order_relaxed);
      return (state == State::running && !queue_.empty()) || (stopping_ && state != State::moved) || merge_wanted_;
    };
    // The index may be waiting for its turn while nothing else happens.
    if (work_tree_ && work_tree_->behind()) {
      changed_.wait_until(lock, std::max(work_tree_->due_at(), Clock::now() + kLockPause), ready);
    } else {
      changed_.wait(lock, ready);
    }
    if (merge_wanted_) {
      const MergeWanted wanted = *std::exchange(merge_wanted_, std::nullopt);
      lock.unlock();
      Result<ObjectId> merged = merge_now(wanted);
      lock.lock();
      merged_ = std::move(merged);
      changed_.notify_all();
    } else if (!queue_.empty() && state_.load(std::memory_order_relaxed) == State::running) {
      Publication& publication = *queue_.front();
      lock.unlock();
      settle(publish(publication));
      lock.lock();
    } else if (stopping_) {
      break;
    }
    if (work_tree_ && work_tree_->behind()) {
      lock.unlock();
      // A locked index is tried again; the last word is finish_work_tree()'s.
      static_cast<void>(work_tree_->write_index(WorkTree::Write::when_due));
      lock.lock();
    }
  }
  lock.unlock();
  finish_work_tree();
  if (upkeep_) {
    upkeep_->stop();
    const std::lock_guard last(mutex_);
    stats_.joins = upkeep_->joins();
    stats_.upkeep_problem = upkeep_->problem();
  }
}

Result<ObjectId> Publisher::merge_now(const MergeWanted& wanted) {
  if (state() == State::broken) return std::unexpected(error());
  const bool files_too = work_tree_ && work_tree_->checked_out();
  if (files_too) {  // the git program needs the index, at the branch and not locked
    const Clock::time_point start = Clock::now();
    Result<void> brought = work_tree_->write_index(WorkTree::Write::between);
    while (!brought && brought.error().code == ErrorCode::locked && wait_for_lock(start)) {
      brought = work_tree_->write_index(WorkTree::Write::between);
    }
    if (!brought) return std::unexpected(brought.error());
  }
  const Result<std::optional<ObjectId>> ours = branch_tip(handle_.get(), options_.repository.branch);
  if (!ours) return std::unexpected(ours.error());
  if (!*ours) return failure(ErrorCode::repository, options_.repository.branch + " has gone");
  const Result<ObjectId> merged =
      merge_into_branch({options_.repository, options_.identity, wanted.borrowed_remote,
                         files_too ? work_tree_->root() : fs::path{}, wanted.borrowed_interrupt},
                        **ours, wanted.theirs);
  if (merged && options_.on_published) options_.on_published(*merged);
  return merged;
}

/// What became of the publication in front, or of all if it is an error.
void Publisher::settle(Result<Fate> fate) {
  if (fate && *fate == Fate::published) {
    std::unique_ptr<Publication> publication;
    {
      const std::lock_guard lock(mutex_);
      publication = std::move(queue_.front());
      queue_.pop_front();
      lost_races_.store(0, std::memory_order_relaxed);  // relaxed: read after state()
      published_.store(publication->pack.generation(), std::memory_order_release);
      changed_.notify_all();
    }
    if (!publication->pack_name.empty()) keep_up(*publication);
    if (options_.on_published && publication->tip && publication->tip != publication->parent) {
      options_.on_published(*publication->tip);
    }
    report(BranchReport::What::published, publication->tip, *publication);
    update_work_tree(*publication);
    note_latency(*publication);
    give_back(*publication);
    return;
  }
  std::deque<std::unique_ptr<Publication>> lost;
  if (fate) report_theirs();
  {
    const std::lock_guard lock(mutex_);
    if (fate) {
      lost_races_.fetch_add(1, std::memory_order_relaxed);    // relaxed: read after state()
      state_.store(State::moved, std::memory_order_release);  // release [P1]
    } else {
      error_ = fate.error();
      lost = std::exchange(queue_, {});
      state_.store(State::broken, std::memory_order_release);  // release [P1]
    }
    changed_.notify_all();
  }
  for (const auto& publication : lost) {
    for (Task* task : publication->tasks) task->give_up(fate.error());
    give_back(*publication);
  }
  options_.on_news();
}

void Publisher::report(BranchReport::What what, const std::optional<ObjectId>& tip,
                       const Publication& publication) const {
  if (!options_.on_branch_report || (what == BranchReport::What::published && tip == publication.parent)) return;
  options_.on_branch_report({what, tip ? to_hex(*tip) : std::string(), publication.tasks.size(), publication.commits});
}

/// Before the state says so: until then nobody else takes from the queue.
void Publisher::report_theirs() {
  if (!options_.on_branch_report) return;
  const Publication* waiting = nullptr;
  {
    const std::lock_guard lock(mutex_);
    waiting = queue_.front().get();
  }
  const Result<std::optional<ObjectId>> theirs = branch_tip(handle_.get(), options_.repository.branch);
  report(BranchReport::What::moved, theirs ? *theirs : std::nullopt, *waiting);
}

/// A pack is in the repository, no longer kept from git's housekeeping.
void Publisher::keep_up(const Publication& publication) {
  if (!upkeep_) {
    upkeep_.emplace(PackUpkeep::Options{pack_folders(options_.repository), options_.repository.common_dir,
                                        PackUpkeep::let_stand(handle_.get()), interrupt_});
  }
  upkeep_->added(publication.pack_name, publication.pack_bytes, publication.pack.objects());
}

void Publisher::note_latency(const Publication& publication) {
  const Clock::time_point now = Clock::now();
  options_.latency.record_batch(publication.tasks, now, [now](const Task* task) {
    return task->encoded ? static_cast<const Encoded*>(task->encoded.get())->taken : now;
  });
}

void Publisher::give_back(const Publication& publication) {
  for (Task* task : publication.tasks) {
    if (task->fate == ::pawl::Fate::live) task->committed = true;
  }
  // First the count: who has all tasks back finds none held. Release: pairs with holding().
  holding_.fetch_sub(publication.tasks.size(), std::memory_order_release);
  options_.sink.done(publication.tasks);
}

Result<bool> Publisher::stands_still(const Publication& publication) {
  const Result<std::optional<ObjectId>> now = branch_tip(handle_.get(), options_.repository.branch);
  if (!now) return std::unexpected(now.error());
  return *now == publication.parent;
}

Result<PackFiles> Publisher::write_pack(Publication& publication) const {
  return PackFiles::write(publication.pack, pack_folders(options_.repository));
}

Result<Publisher::Fate> Publisher::publish(Publication& publication) {
  const Result<bool> still = stands_still(publication);
  if (!still) return std::unexpected(still.error());
  if (!*still) return Fate::moved;
  if (publication.tip == publication.parent) return Fate::published;  // nothing changed
  Result<Fate> fate = publish_locked(publication);
  // Held on if the branch has moved: until the index has followed.
  if (work_tree_ && (!fate || *fate != Fate::published)) work_tree_->unlock_index();
  return fate;
}

Result<Publisher::Fate> Publisher::publish_locked(Publication& publication) {
  const Clock::time_point start = Clock::now();
  // The slow part, under temporary names that nobody looks at; then, the branch locked, the quick part: so no
  // object of ours is ever seen that no branch leads to, however often somebody else gets there first.
  const bool polite = lost_races() < kPoliteRaces;
  std::optional<Result<PackFiles>> files;
  if (polite) files.emplace(write_pack(publication));
  if (files && !*files) return std::unexpected(files->error());
  if (const Result<void> locked = lock_index(); !locked) return std::unexpected(locked.error());
  const fs::path lock_path = options_.repository.common_dir / (options_.repository.branch + ".lock");
  LockNote note(options_.repository.private_folder / kBranchLockNote, lock_path);  // outlives the transaction
  Result<TransactionHandle> transaction = lock_branch();
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  note.covers(lock_path, to_hex(*publication.tip));
  const Result<bool> still = stands_still(publication);
  if (!still) return std::unexpected(still.error());
  if (!*still) return Fate::moved;
  if (!polite) files.emplace(write_pack(publication));
  if (!*files) return std::unexpected(files->error());
  if (const Result<void> installed = (*files)->install(); !installed) return std::unexpected(installed.error());
  if (const Result<void> moved = move_branch(std::move(*transaction), publication); !moved) {
    return std::unexpected(moved.error());
  }
  publication.pack_name = (*files)->name();
  publication.pack_bytes = (*files)->bytes();
  const std::lock_guard lock(mutex_);
  stats_.commits += publication.commits;
  stats_.packs += 1;
  stats_.bytes += (*files)->bytes();
  stats_.publish_time += Clock::now() - start;
  return Fate::published;
}

/// Waits a moment for somebody else to let go; false: that has taken too long.
bool Publisher::wait_for_lock(Clock::time_point since) {
  std::unique_lock lock(mutex_);
  if (Clock::now() - since > (hurried_ ? std::min(kHurriedLockWait, options_.lock_wait) : options_.lock_wait)) {
    return false;
  }
  changed_.wait_for(lock, kLockPause);
  return true;
}

Result<void> Publisher::lock_index() {
  if (!work_tree_) return {};
  const Clock::time_point start = Clock::now();
  while (true) {
    const Result<void> locked = work_tree_->lock_index();
    if (locked || locked.error().code != ErrorCode::locked || !wait_for_lock(start)) return locked;
  }
}

Result<TransactionHandle> Publisher::lock_branch() {
  const std::string& branch = options_.repository.branch;
  const fs::path path = options_.repository.common_dir / (branch + ".lock");
  const Clock::time_point start = Clock::now();
  while (true) {
    git_transaction* raw = nullptr;
    if (git_transaction_new(&raw, handle_.get()) != 0) return std::unexpected(git_error("cannot change " + branch));
    TransactionHandle transaction(raw);
    const int code = git_transaction_lock_ref(transaction.get(), branch.c_str());
    if (code == 0) return transaction;
    if (code != GIT_ELOCKED) return std::unexpected(git_error("cannot make " + path.string()));
    if (!wait_for_lock(start)) {
      return failure(ErrorCode::locked,
                     path.string() +
                         " is in the way: another git process holds the branch, or one that died left it "
                         "behind; remove it if no git process is running");
    }
  }
}

Result<void> Publisher::move_branch(TransactionHandle transaction, const Publication& publication) {
  const std::string& branch = options_.repository.branch;
  const Person& who = options_.identity.committer;
  const Person::Moment when = who.fixed.value_or(local_moment(std::chrono::system_clock::now()));
  git_signature* raw = nullptr;
  if (git_signature_new(&raw, who.name.c_str(), who.email.c_str(), when.seconds, when.offset_minutes) != 0) {
    return std::unexpected(git_error("cannot sign the log of " + branch));
  }
  const SignatureHandle signature(raw);
  const git_oid target = to_oid(*publication.tip);
  const std::string message = "pawl: " + std::to_string(publication.tasks.size()) + " results";
  if (git_transaction_set_target(transaction.get(), branch.c_str(), &target, signature.get(), message.c_str()) != 0 ||
      git_transaction_commit(transaction.get()) != 0) {
    return std::unexpected(git_error("cannot move " + branch));
  }
  if (!publication.parent) return sync_reference_folders(options_.repository.common_dir, branch);
  return {};
}

void Publisher::update_work_tree(const Publication& publication) {
  if (!work_tree_ || publication.tip == publication.parent) return;
  std::vector<FileChange> changes;
  changes.reserve(publication.changes.size());
  for (const Publication::Change& change : publication.changes) {
    const Encoded& file = *change.borrowed_file;
    changes.push_back({file.path, file.content, file.blob_id, change.previous});
  }
  work_tree_->update(changes, *publication.tip);
  const std::lock_guard lock(mutex_);
  stats_.files_written = work_tree_->counts().written;
  stats_.files_left = work_tree_->counts().left;
}

void Publisher::finish_work_tree() {
  if (!work_tree_) return;
  const Clock::time_point start = Clock::now();
  Result<void> brought = work_tree_->write_index(WorkTree::Write::now);
  // Given up after a while: the marker stays, and the next run catches up.
  while (!brought && brought.error().code == ErrorCode::locked && wait_for_lock(start)) {
    brought = work_tree_->write_index(WorkTree::Write::now);
  }
  const WorkTree::Counts& counts = work_tree_->counts();
  work_tree_report_ = {counts.left, work_tree_->first_left(), {}};
  std::string& problem = work_tree_report_.problem;
  if (!brought) problem = "the index is behind: " + brought.error().context;
  if (counts.failed == 0) return;
  if (!problem.empty()) problem += "; ";
  problem += std::to_string(counts.failed) + " files could not be written, the first " + work_tree_->first_failed() +
             ": " + std::generic_category().message(work_tree_->first_failure());
}

}  // namespace pawl::git
