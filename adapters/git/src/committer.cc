#include "committer.h"

#include <algorithm>
#include <array>
#include <utility>

#include <pawl/thread.h>

#include "object_id.h"

namespace pawl::git {
namespace {

// Bounds of one pack: beyond, a bigger one is hardly cheaper per task, and only holds memory and makes tasks wait.
constexpr std::uint64_t kMostPackBytes = 8ull * 1024 * 1024;
constexpr std::size_t kMostPackTasks = 4096;
// No arrival for so long: publish instead of waiting for company.
constexpr std::chrono::milliseconds kQuiet{100};
// Longest waits while the run is being stopped.
constexpr std::chrono::milliseconds kDrainingWait{100};
constexpr std::chrono::milliseconds kAbortingWait{20};
constexpr unsigned kMostLostRaces = 50;

/// Whether git would take `path`. The encoder makes only such paths; a bug there must not damage the branch.
bool acceptable(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string_view::npos) return false;
    constexpr std::string_view kDotGit = ".git";
    const bool dot_git = std::ranges::equal(name, kDotGit, [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    if (dot_git) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Result<std::string> read_tree(git_odb* odb, const ObjectId& object_id) {
  const git_oid oid = to_oid(object_id);
  git_odb_object* raw = nullptr;
  if (git_odb_read(&raw, odb, &oid) != 0) {
    return std::unexpected(git_error("cannot read the folder " + to_hex(object_id)));
  }
  const OdbObjectHandle object(raw);
  if (git_odb_object_type(object.get()) != GIT_OBJECT_TREE) {
    return failure(ErrorCode::repository, "object " + to_hex(object_id) + " is no folder: run git fsck");
  }
  return std::string(static_cast<const char*>(git_odb_object_data(object.get())), git_odb_object_size(object.get()));
}

}  // namespace

Result<std::unique_ptr<Stage>> make_commit_stage(Repository& repository, const CommitOptions& options) {
  if (const Result<void> valid = options.validate(); !valid) return std::unexpected(valid.error());
  Result<Identity> identity = Identity::load(handle(repository));
  if (!identity) return std::unexpected(std::move(identity.error()));
  CommitStage::Look look{std::move(*identity), {}, {}};
  if (!options.message_template.empty()) {
    Result<SubjectTemplate> subject = SubjectTemplate::parse(options.message_template);
    if (!subject) return std::unexpected(std::move(subject.error()));
    look.subject = std::move(*subject);
  }
  Result<std::optional<Signer>> signer = Signer::load(handle(repository), look.identity.committer, options.sign);
  if (!signer) return std::unexpected(std::move(signer.error()));
  look.signer = std::move(*signer);
  return std::make_unique<CommitStage>(repository, options, std::move(look));
}

CommitStage::CommitStage(Repository& repository, const CommitOptions& options, Look look)
    : borrowed_repository_(repository),
      options_(options),
      look_(std::move(look)),
      trailers_("Pawl-Run: " + run_name(options.run) + (options.layout == Layout::raw ? "\nPawl-Layout: raw" : "")),
      tree_([this](const ObjectId& object_id) { return read_tree(odb_.get(), object_id); }, std::nullopt) {}

CommitStage::~CommitStage() { stop(); }

void CommitStage::attach(StageSink& sink) {
  borrowed_sink_ = &sink;
  publisher_ =
      std::make_unique<Publisher>(Publisher::Options{borrowed_repository_.impl(), look_.identity, options_.work_tree,
                                                     options_.lock_wait, sink, latency_, [this] { inbox_.ring(); },
                                                     [this](const ObjectId& tip) {
                                                       if (pusher_) pusher_->published(tip);
                                                     },
                                                     options_.on_branch_report});
  start_pusher();
  thread_ = std::thread([this] {
    name_this_thread("pawl-commit");
    put_this_thread_behind();
    run();
  });
}

void CommitStage::start_pusher() {
  if (options_.push_remote.empty()) return;
  const std::string& remote = options_.push_remote;
  pusher_ =
      std::make_unique<Pusher>(Pusher::Options{borrowed_repository_.git_dir(), borrowed_repository_.branch(), remote,
                                               [this, &remote](const ObjectId& theirs, const Interrupt& interrupt) {
                                                 return publisher_->merge(theirs, remote, interrupt);
                                               },
                                               options_.on_push_report});
  // What an earlier run could not push.
  if (const Result<std::optional<ObjectId>> tip = branch_tip(borrowed_repository_); tip && *tip) {
    pusher_->published(**tip);
  }
}

void CommitStage::take(std::span<Task* const> tasks) noexcept {
  const auto now = Clock::now();
  for (Task* task : tasks)
    if (task->encoded) static_cast<Encoded*>(task->encoded.get())->taken = now;
  waiting_.fetch_add(tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
  inbox_.push(tasks);
}

void CommitStage::cancel(Cancel how) noexcept {
  const int level = how == Cancel::all ? 2 : 1;
  int present = cancelled_.load(std::memory_order_relaxed);  // relaxed: a stale value only delays
  while (present < level && !cancelled_.compare_exchange_weak(present, level, std::memory_order_relaxed)) {
  }
  if (how == Cancel::all) {
    interrupt_.raise();
    if (publisher_ != nullptr) publisher_->hurry();
    if (pusher_ != nullptr) pusher_->hurry();
  }
  inbox_.ring();
}

void CommitStage::hurry() noexcept {
  hurried_.store(true, std::memory_order_release);  // release: what was pushed before is collected with it
  inbox_.ring();
}

void CommitStage::stop() noexcept {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);  // release: pairs with finished()
  inbox_.ring();
  thread_.join();
  if (pusher_ != nullptr) pusher_->stop();  // may have the publisher merge something
  publisher_->stop();
  const WorkTreeReport& report = publisher_->work_tree_report();
  if (options_.on_work_tree_report && (report.files_left != 0 || !report.problem.empty())) {
    options_.on_work_tree_report(report);
  }
}

StageGauge CommitStage::gauge() const noexcept {
  StageGauge gauge;
  gauge.waiting = waiting_.load(std::memory_order_relaxed);  // relaxed: a snapshot for people
  gauge.active = building_.load(std::memory_order_relaxed) + (publisher_ != nullptr ? publisher_->holding() : 0);
  return gauge;
}

void CommitStage::run() {
  git_odb* raw = nullptr;
  if (git_repository_odb(&raw, handle(borrowed_repository_)) != 0) {
    fail(git_error("cannot open the objects of the repository"));
  } else {
    odb_.reset(raw);
    if (const Result<void> loaded = reload(); !loaded) fail(loaded.error());
  }
  while (true) {
    const bool hurried = hurried_.exchange(false, std::memory_order_acquire);  // before collecting, see hurry()
    collect();
    if (publisher_->state() == Publisher::State::moved) rebuild();
    if (!broken_ && publisher_->state() == Publisher::State::broken) fail(publisher_->error());
    if (broken_) fail(*broken_);  // what came since
    commit_what_is_due(Clock::now());
    if (hurried && !broken_ && !pending_.empty()) commit_front(pending_.size());
    if (current_ && (hurried || publication_is_due(Clock::now()))) publish();
    if (finished()) return;
    inbox_.wait(next_deadline());
  }
}

bool CommitStage::finished() const {
  return stopping_.load(std::memory_order_acquire) && inbox_.empty() && pending_.empty() && !current_ &&
         publisher_->holding() == 0;
}

void CommitStage::collect() {
  Task* task = inbox_.take_all();
  if (task == nullptr) return;
  last_arrival_ = Clock::now();
  if (pending_.empty()) oldest_ = last_arrival_;
  while (task != nullptr) {
    Task* next = std::exchange(task->link, nullptr);
    pending_.push_back(task);
    task = next;
  }
}

void CommitStage::commit_what_is_due(Clock::time_point now) {
  while (!broken_ && pending_.size() >= options_.commit_tasks) {
    commit_front(options_.commit_tasks);
    oldest_ = last_arrival_;  // there were fewer than a commit's worth before the last arrival
    if (current_ && publication_is_due(now)) publish();
  }
  if (!broken_ && !pending_.empty() && now - oldest_ >= shortened(options_.commit_every)) {
    commit_front(pending_.size());
  }
}

void CommitStage::commit_front(std::size_t count) {
  const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(count);
  const std::vector<Task*> tasks(pending_.begin(), end);
  pending_.erase(pending_.begin(), end);
  waiting_.fetch_sub(count, std::memory_order_relaxed);   // relaxed: a gauge
  building_.fetch_add(count, std::memory_order_relaxed);  // relaxed: a gauge
  if (!current_) start_publication();
  if (const Result<void> built = build(tasks); !built) fail(built.error());
}

void CommitStage::start_publication() {
  current_ = std::make_unique<Publication>(++generation_);
  current_->parent = head_;
  current_->tip = head_;
  current_->commits_before = commits_;
  current_->begun = Clock::now();
  tree_.begin(generation_);
  blob_encoder_.forget();
}

/// Makes a commit of `tasks`, in order; more than one if they set a path twice, so that history shows both. Every
/// task is in current_ afterwards, also after an error.
Result<void> CommitStage::build(std::span<Task* const> tasks) {
  current_->tasks.reserve(current_->tasks.size() + tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    Task& task = *tasks[i];
    task.unchanged = false;
    auto* file = static_cast<Encoded*>(task.encoded.get());
    if (task.fate == Fate::live && file != nullptr && !file->path.empty()) {
      if (!paths_.insert(file->path).second) {
        if (Result<void> finished = finish_commit(); !finished) return lose(tasks.subspan(i), std::move(finished));
        paths_.insert(file->path);
      }
      if (Result<void> added = add(task, *file); !added) return lose(tasks.subspan(i), std::move(added));
    } else if (task.fate == Fate::live) {
      task.unchanged = task.outcome.success();  // what failed has left things as they are for another reason
    }
    current_->tasks.push_back(&task);
  }
  return finish_commit();
}

/// An error at the first of `tasks`, the last of a commit.
Result<void> CommitStage::lose(std::span<Task* const> tasks, Result<void> why) {
  current_->tasks.insert(current_->tasks.end(), tasks.begin(), tasks.end());
  return why;
}

Result<void> CommitStage::add(Task& task, Encoded& file) {
  if (!acceptable(file.path)) {
    task.give_up({ErrorCode::obstructed, "git allows no file to be named " + file.path});
    return {};
  }
  Result<Put> put = tree_.put(file.path, file.blob_id);
  if (!put) return std::unexpected(std::move(put.error()));
  switch (put->kind) {
    case Put::Kind::conflict:
      task.give_up({ErrorCode::obstructed,
                    "cannot write " + file.path + ": " + put->obstacle + " on " + borrowed_repository_.branch()});
      return {};
    case Put::Kind::unchanged: task.unchanged = true; return {};
    case Put::Kind::added:
    case Put::Kind::replaced: break;
  }
  add_blob(file);
  written_.push_back(&task);
  Publication::Change change{&file, std::nullopt};
  if (put->kind == Put::Kind::replaced) change.previous = put->previous;
  current_->changes.push_back(change);
  return {};
}

void CommitStage::add_blob(Encoded& file) {
  Pack& pack = current_->pack;
  // Its base went into an earlier pack, or has not had its turn yet: one of this pack, then.
  if (file.delta_size != 0 && !pack.find(file.base)) blob_encoder_.encode(file);
  if (file.delta_size != 0) {
    if (const std::optional<std::uint64_t> base = pack.find(file.base)) {
      pack.add_ready_delta(file.blob_id, *base, file.delta_size, file.delta);
      return;
    }
    encode_whole(file);
  }
  pack.add_ready(file.blob_id, file.pack_entry, file.crc32);
}

std::string CommitStage::subject(std::chrono::system_clock::time_point now) const {
  std::string own;
  if (written_.size() == 1) {
    own = static_cast<const Encoded*>(written_.front()->encoded.get())->subject;
  } else {
    std::unordered_set<std::string_view> streams;
    for (const Task* task : written_) streams.insert(task->request.stream);
    own = subject_of_many(written_.size(), streams.size());
  }
  if (!look_.subject) return own;
  const std::optional<Person::Moment>& fixed = look_.identity.committer.fixed;
  const auto time = fixed ? std::chrono::sys_seconds(std::chrono::seconds(fixed->seconds))
                          : std::chrono::floor<std::chrono::seconds>(now);
  return look_.subject->fill({written_, own, run_name(options_.run), time});
}

/// What `pawl verify` needs to notice, from the branch alone, that a commit or a file of one is gone.
std::string CommitStage::trailers() {
  std::string text =
      trailers_ + "\nPawl-Commit: " + std::to_string(++commits_) + "\nPawl-Results: " + std::to_string(written_.size());
  for (const std::string& trailer : options_.trailers) text += '\n' + trailer;
  return text;
}

/// Errors: usage, io (it cannot be signed).
Result<void> CommitStage::finish_commit() {
  current_->commit_ends.push_back(current_->tasks.size());
  paths_.clear();
  if (!tree_.changed()) return {};
  const auto now = std::chrono::system_clock::now();
  const std::string line = subject(now);
  const std::string trailers_text = trailers();
  CommitText text;
  text.tree = tree_.write(current_->pack);
  text.parent = head_;
  text.subject = line;
  text.trailer = trailers_text;
  render_commit(commit_content_, text, look_.identity, local_moment(now));
  if (look_.signer) {
    const Result<std::string> signature = look_.signer->sign(commit_content_, interrupt_);
    if (!signature) return std::unexpected(signature.error());
    commit_content_ = with_signature(commit_content_, *signature);
  }
  head_ = hash_object(ObjectType::commit, commit_content_);
  commit_chain_.add(current_->pack, *head_, ObjectType::commit, commit_content_);
  current_->tip = head_;
  ++current_->commits;
  written_.clear();
  return {};
}

CommitStage::Clock::duration CommitStage::shortened(std::chrono::milliseconds wait) const {
  switch (cancelled_.load(std::memory_order_relaxed)) {
    case 0: return wait;
    case 1: return std::min(wait, kDrainingWait);
    default: return std::min(wait, kAbortingWait);
  }
}

bool CommitStage::publication_is_due(Clock::time_point now) const {
  if (current_->pack.bytes() > kMostPackBytes || current_->tasks.size() >= kMostPackTasks) return true;
  if (now - current_->begun >= shortened(options_.publish_every)) return true;
  return pending_.empty() && now - last_arrival_ >= shortened(kQuiet);
}

CommitStage::Clock::time_point CommitStage::next_deadline() const {
  Clock::time_point deadline = Clock::time_point::max();
  if (!pending_.empty()) deadline = oldest_ + shortened(options_.commit_every);
  if (current_) {
    deadline = std::min(deadline, current_->begun + shortened(options_.publish_every));
    if (pending_.empty()) deadline = std::min(deadline, last_arrival_ + shortened(kQuiet));
  }
  return deadline;
}

void CommitStage::publish() {
  const std::size_t count = current_->tasks.size();
  publisher_->hand_over(current_);
  if (current_) return;                                   // the publisher has news: the main loop sees to it
  building_.fetch_sub(count, std::memory_order_relaxed);  // relaxed: a gauge
  tree_.forget(publisher_->published());
}

/// Starts from the branch as it is.
Result<void> CommitStage::reload() {
  const Result<std::optional<ObjectId>> tip = branch_tip(borrowed_repository_);
  if (!tip) return std::unexpected(tip.error());
  std::optional<ObjectId> root;
  if (*tip) {
    const Result<std::optional<ObjectId>> tree = tree_of(borrowed_repository_, **tip);
    if (!tree) return std::unexpected(tree.error());
    if (!*tree) return failure(ErrorCode::repository, "the commit at the tip of the branch is missing: run git fsck");
    root = *tree;
  }
  head_ = *tip;
  tree_.reset(root);
  return {};
}

/// Somebody else moved the branch: makes the same commits again on top of it.
void CommitStage::rebuild() {
  std::deque<std::unique_ptr<Publication>> old = publisher_->take_back();
  if (current_) {
    building_.fetch_sub(current_->tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
    old.push_back(std::move(current_));
  }
  if (!old.empty()) commits_ = old.front()->commits_before;
  start_publication();
  Result<void> built = broken_ ? std::unexpected(*broken_) : reload();
  if (publisher_->lost_races() > kMostLostRaces) {
    built = failure(ErrorCode::repository, borrowed_repository_.branch() + " is being moved by somebody else all the " +
                                               "time: " + std::to_string(kMostLostRaces) + " attempts failed");
  }
  current_->parent = head_;
  current_->tip = head_;
  for (const auto& publication : old) {
    building_.fetch_add(publication->tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
    const std::span<Task* const> tasks = publication->tasks;
    std::size_t begin = 0;
    for (const std::size_t end : publication->commit_ends) {
      const std::span<Task* const> commit = tasks.subspan(begin, end - begin);
      if (built) {
        built = build(commit);
      } else {
        current_->tasks.insert(current_->tasks.end(), commit.begin(), commit.end());
      }
      begin = end;
    }
  }
  if (!built) {
    fail(built.error());
  } else {
    publish();
  }
}

/// The stage is broken: gives up all that has not been handed over. What was is the publisher's.
void CommitStage::fail(Error why) {
  if (!broken_) broken_ = std::move(why);
  written_.clear();
  paths_.clear();
  if (current_) {
    building_.fetch_sub(current_->tasks.size(), std::memory_order_relaxed);  // relaxed: a gauge
    const std::unique_ptr<Publication> lost = std::move(current_);
    give_up(lost->tasks);
  }
  if (!pending_.empty()) {
    waiting_.fetch_sub(pending_.size(), std::memory_order_relaxed);  // relaxed: a gauge
    const std::vector<Task*> tasks(pending_.begin(), pending_.end());
    pending_.clear();
    give_up(tasks);
  }
}

void CommitStage::give_up(std::span<Task* const> tasks) {
  for (Task* task : tasks) task->give_up(*broken_);
  borrowed_sink_->done(tasks);
}

}  // namespace pawl::git
