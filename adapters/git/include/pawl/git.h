// Results into a git repository: the encode and commit stages, and what is already committed.
//
// The branch is the truth. A commit holds the results that became ready together; several commits share one pack,
// which is durable before the branch moves. Everything under `<git dir>/pawl/` is private and can be rebuilt from
// the branch, but for the journal.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/stages.h>
#include <pawl/task.h>

namespace pawl::git {

enum class Layout : std::uint8_t {
  record,  // STREAM/<fan-out>/<id>.json, the OpenAI Batch output object with the request beside it
  raw,     // the response body as it came, at a path made from a template; unchanged bodies make no commit
};

struct RepositoryOptions {
  std::filesystem::path path;  // work tree or bare repository
  std::string branch;          // short or full name; empty: the checked-out one
  enum class Missing : std::uint8_t { create, fail } missing = Missing::create;
  enum class Use : std::uint8_t { write, look } use = Use::write;  // look: nothing is made or changed
};

/// An open repository. Owns libgit2's handle. Movable between threads, used by one at a time unless said otherwise.
class PAWL_API Repository {
 public:
  /// Opens, or makes (with a work tree, branch `main` unless git's init.defaultBranch says otherwise). Makes
  /// `<git dir>/pawl` with mode 0700, unless it is only looked at.
  /// Errors: repository (not one, owned by someone else, detached HEAD without a branch named), io.
  [[nodiscard]] static Result<std::unique_ptr<Repository>> open(const RepositoryOptions& options);
  ~Repository();
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;

  [[nodiscard]] const std::filesystem::path& git_dir() const noexcept;
  [[nodiscard]] const std::filesystem::path& private_folder() const noexcept;  // <git dir>/pawl
  [[nodiscard]] const std::filesystem::path& work_tree() const noexcept;       // empty: bare
  [[nodiscard]] const std::string& branch() const noexcept;                    // full name, refs/heads/…
  [[nodiscard]] bool created() const noexcept;                                 // made by open()

  struct PAWL_LOCAL Impl;
  [[nodiscard]] Impl& impl() noexcept;  // for this part's own files

 private:
  explicit Repository(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// Whether the branch is born. Errors: repository.
[[nodiscard]] PAWL_API Result<bool> has_commits(Repository& repository);

/// Where add_tip_note() writes. Not among the refs that `git log` shows by itself: `git log --notes=pawl`.
inline constexpr const char* kNotesRef = "refs/notes/pawl";

/// Adds a line to the git note of the branch's tip; nothing while the branch is not born. Not while a commit stage uses
/// the repository. Errors: repository, usage (a date in the environment that cannot be read).
[[nodiscard]] PAWL_API Result<void> add_tip_note(Repository& repository, std::string_view line);

/// What the files and the index of the checked-out branch are left with when a run ends. The branch has everything.
struct WorkTreeReport {
  std::uint64_t files_left = 0;  // not touched: something of a person's was in the way; counted at each change
  std::string first_left;        // path of the first of them
  std::string problem;           // empty: none; the next run catches up
};

/// How the branch gets to another repository.
struct PushReport {
  enum class Moment : std::uint8_t {
    trouble,  // the first time that a push fails after one that did not; it is tried again
    end,      // of the run
  } moment = Moment::trouble;
  std::string remote;
  std::uint64_t pushes = 0;
  std::uint64_t merges = 0;  // of commits that others had pushed
  std::string problem;       // empty: none; what is here and not there goes with the next run
};

/// What became of the branch.
struct BranchReport {
  enum class What : std::uint8_t {
    published,  // moved to new commits of this run
    moved,      // somebody else has moved it: this run builds on what is there now
  } what = What::published;
  std::string tip;            // 40 hex digits; empty: the branch is gone, or not known
  std::uint64_t results = 0;  // tasks that it was about
  std::uint64_t commits = 0;
};

struct PAWL_API CommitOptions {
  Layout layout = Layout::record;
  // Raw only; fields {host} {path} {query} {stream} {id}, and {?query}: with a question mark, if there is one.
  std::string path_template = "{host}{path}{?query}";
  enum class Normalise : std::uint8_t { nothing, json } normalise = Normalise::nothing;  // raw only; see json_format.h
  // Subject of each commit; empty: pawl's own. Fields {summary} {results} {streams} {stream} {id} {status} {host} {run}
  // {date}, see subject_template.h.
  std::string message_template;
  std::vector<std::string> trailers;  // "Key: value", behind pawl's own in each commit
  // With the key and program of git's gpg.format and user.signingKey. as_git_does: if commit.gpgSign says so.
  enum class Sign : std::uint8_t { no, yes, as_git_does } sign = Sign::as_git_does;
  std::string push_remote;           // pushes there in the background: a remote of git's configuration or an address
  std::uint32_t commit_tasks = 256;  // 1 …: most results in one commit
  std::chrono::milliseconds commit_every{1000};   // longest wait of a ready result for its commit
  std::chrono::milliseconds publish_every{1000};  // longest wait of a commit for the branch to move
  std::chrono::milliseconds lock_wait{5000};      // longest wait for a lock that another git process holds
  std::uint64_t run = 0;                          // TaskId::run; trailer `Pawl-Run:`
  enum class WorkTree : std::uint8_t { update, leave } work_tree = WorkTree::update;
  // Called at the moments of PushReport if push_remote is set, on a thread of pawl's. Must not throw, nor wait.
  std::function<void(const PushReport&)> on_push_report{};
  // Called on a thread of pawl's. Must not throw, nor wait.
  std::function<void(const BranchReport&)> on_branch_report{};
  // Called once at the end of Stage::stop(), on its thread, if there is something to report. Must not throw.
  std::function<void(const WorkTreeReport&)> on_work_tree_report{};

  [[nodiscard]] Result<void> validate() const;
};

/// Renders, hashes and deflates outcomes; thread-safe as Encoder asks.
[[nodiscard]] PAWL_API Result<std::unique_ptr<Encoder>> make_encoder(const CommitOptions& options);

/// The commit stage. Borrows `repository`, which must outlive it and which it alone uses from attach() to stop().
/// A task comes back `committed` (and perhaps `unchanged`), or given up: `obstructed` concerns it alone (a file
/// or folder of another is where its file belongs), `repository`, `locked` and `io` break the stage.
[[nodiscard]] PAWL_API Result<std::unique_ptr<Stage>> make_commit_stage(Repository& repository,
                                                                        const CommitOptions& options);

/// Name of a run for people and trailers: RFC 3339 UTC with microseconds, from TaskId::run.
[[nodiscard]] PAWL_API std::string run_name(std::uint64_t run);
/// `id` of a task's record: "pawl-<16 hex digits of run>-<ordinal>". And back.
[[nodiscard]] PAWL_API std::string record_id(TaskId task_id);
[[nodiscard]] PAWL_API std::optional<TaskId> parse_record_id(std::string_view text);

/// Turns any bytes into one path component that git, POSIX and people can live with: bytes outside [A-Za-z0-9._-]
/// are percent-encoded, `.`, `..` and names beginning with `.git` (any case) lose their first dot to %2E, and what
/// comes to 200 bytes or more is cut and gets a hash. Different inputs give different components.
[[nodiscard]] PAWL_API std::string safe_component(std::string_view name);

/// Where a record lies: "<stream>/<two or more digits>/<two digits>/<id>.json", fan-out by position so that no
/// folder exceeds 100 entries until a stream has a million, and neighbours in the stream stay neighbours.
[[nodiscard]] PAWL_API std::string record_path(std::string_view stream, std::uint64_t position, std::string_view id);

/// Whether the branch already holds this very task (same task_id, or a younger task of the same key): asked for
/// what the journal gives back. Record layout only; raw answers false, and an unchanged body makes no commit.
[[nodiscard]] PAWL_API Result<bool> holds(Repository& repository, const Request& request, Layout layout);

/// One committed record as found on the branch.
struct CommittedKey {
  std::uint64_t position = 0;
  std::array<std::uint8_t, 16> digest{};  // of the request that produced it
  bool success = false;                   // the record is a 2xx answer
  TaskId task_id{};                       // of the record
};

/// Keys the branch holds: a cache on disk in the private folder, never trusted over git: rebuilt when missing,
/// damaged, unclean or older than the branch. Holds no per-key memory. Thread-safe (one mutex; not in the hot path
/// of the engine: input threads ask before they submit).
class PAWL_API KeyIndex {
 public:
  /// Opens the cache if it belongs to the tip of the branch, else rebuilds it by reading the branch.
  /// `on_progress(keys so far)` is called now and then during a rebuild.
  [[nodiscard]] static Result<std::unique_ptr<KeyIndex>> open(Repository& repository,
                                                              std::function<void(std::uint64_t)> on_progress = {});
  ~KeyIndex();
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;

  [[nodiscard]] Result<std::optional<CommittedKey>> find(std::string_view stream, std::string_view id);
  /// Adds a key or replaces what is known of it.
  [[nodiscard]] Result<void> put(std::string_view stream, std::string_view id, const CommittedKey& key);
  /// Next unused position of a stream; counts up at each call.
  [[nodiscard]] Result<std::uint64_t> take_position(std::string_view stream);
  /// Makes sure that take_position() of this stream answers more than `position` from now on (for recovered tasks).
  void see_position(std::string_view stream, std::uint64_t position);
  [[nodiscard]] std::uint64_t size() const;

  /// Declares the cache to be that of the present tip of the branch, durably; not if others than `run` (TaskId::run)
  /// have committed since open(), who may have taken records out. Without it the next open() rebuilds. Call at the end
  /// of a run in which everything put() has been committed.
  [[nodiscard]] Result<void> mark_clean(Repository& repository, std::uint64_t run);

 private:
  struct PAWL_LOCAL Impl;
  explicit KeyIndex(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl::git
