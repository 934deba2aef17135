// The audit goes through the history with what it knows of each key so far, and judges each commit by that.
#include <git2.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <pawl/git_audit.h>

#include "audit_keys.h"
#include "branch_records.h"
#include "history.h"
#include "key_table.h"
#include "object_id.h"
#include "record.h"
#include "repository.h"

namespace pawl::git {
namespace {

/// STREAM/<fan-out>/<fan-out>/<id>.json
bool is_record_place(std::string_view path) {
  const auto digits = [](std::string_view name) {
    return name.size() >= 2 && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  };
  const std::size_t first = path.find('/');
  if (first == std::string_view::npos || !path.ends_with(".json")) return false;
  const std::size_t second = path.find('/', first + 1);
  if (second == std::string_view::npos) return false;
  const std::size_t third = path.find('/', second + 1);
  if (third == std::string_view::npos || path.find('/', third + 1) != std::string_view::npos) return false;
  return digits(path.substr(first + 1, second - first - 1)) && digits(path.substr(second + 1, third - second - 1));
}

class Audit {
 public:
  Audit(Repository& repository, const AuditOptions& options, git_odb* odb)
      : borrowed_repository_(repository), options_(options), borrowed_odb_(odb), diff_(odb) {}

  Result<AuditCounts> run();

 private:
  /// A record that a commit brought.
  struct Brought {
    ParsedRecord record;
    std::string path;
  };

  Result<void> open_cache(const std::optional<ObjectId>& tip);
  Result<void> look_at(const HistoryCommit& commit, const std::optional<ObjectId>& parent_tree, bool import);
  void check_trailers(const HistoryCommit& commit, std::size_t changes);
  void look_at_change(const HistoryCommit& commit, const PathChange& change, bool own, std::vector<Brought>& brought);
  void bring(const HistoryCommit& commit, const Brought& brought, bool own);
  void check_order(const HistoryCommit& commit, const Brought& brought, bool fresh);
  void gone(const HistoryCommit& commit, const PathChange& change, FindingKind kind, const std::string& why);
  std::optional<ParsedRecord> read_record(const ObjectId& blob, std::string& why, bool& readable);
  void finish();
  void check_cache();
  void find(FindingKind kind, const HistoryCommit* commit, std::string path, std::string what);

  Repository& borrowed_repository_;
  const AuditOptions& options_;
  git_odb* borrowed_odb_;
  TreeDiff diff_;
  std::optional<KeyTable> cache_;  // of keys, if it claims to be that of the tip
  AuditKeys keys_;
  AuditCounts counts_;
  std::unordered_map<std::string, std::pair<std::uint64_t, ObjectId>> runs_;  // last commit of each: number and id
  std::vector<Finding> losses_;                               // of keys; void if a later record of the key comes
  std::vector<std::pair<Finding, std::uint64_t>> misplaced_;  // with the key's hash: void if the key is in its place
};

void Audit::find(FindingKind kind, const HistoryCommit* commit, std::string path, std::string what) {
  options_.on_finding({kind, commit != nullptr ? to_hex(commit->id) : std::string(), std::move(path), std::move(what)});
}

Result<void> Audit::open_cache(const std::optional<ObjectId>& tip) {
  KeyTable::Source source;
  source.branch_hash = sip_hash({}, borrowed_repository_.branch());
  source.has_tip = tip.has_value() ? 1 : 0;
  if (tip) source.tip = *tip;
  auto table = KeyTable::open(borrowed_repository_.private_folder() / "keys", source);
  if (table && *table) {
    cache_.emplace(std::move(**table));
    keys_.set_seed(cache_->seed());
  } else {
    std::random_device random;  // a cache that cannot be opened is built again by the next run
    keys_.set_seed({std::uint64_t{random()} << 32 | random(), std::uint64_t{random()} << 32 | random()});
  }
  return {};
}

Result<AuditCounts> Audit::run() {
  auto tip = branch_tip(borrowed_repository_);
  if (!tip) return std::unexpected(std::move(tip.error()));
  if (auto opened = open_cache(*tip); !opened) return std::unexpected(std::move(opened.error()));
  auto history = read_history(handle(borrowed_repository_), borrowed_odb_, *tip);
  if (!history) return std::unexpected(std::move(history.error()));
  counts_.commits = history->commits.size();
  counts_.whole_history = history->whole;
  if (!history->whole && !history->commits.empty()) {
    find(FindingKind::history, &history->commits.front(), {},
         "a shallow clone: the history before it was not looked at");
  }
  std::optional<ObjectId> parent_tree;
  bool import = !history->whole;
  for (const HistoryCommit& commit : history->commits) {
    if (auto looked = look_at(commit, parent_tree, import); !looked) return std::unexpected(std::move(looked.error()));
    parent_tree = commit.tree;
    import = false;
  }
  finish();
  return counts_;
}

/// `import`: all of the commit's tree is taken as it is, because its parents are not here.
Result<void> Audit::look_at(const HistoryCommit& commit, const std::optional<ObjectId>& parent_tree, bool import) {
  auto changes = diff_.compare(parent_tree, commit.tree);
  if (!changes) return std::unexpected(std::move(changes.error()));
  const bool own = !commit.run.empty() && !import;
  if (!commit.run.empty()) ++counts_.own_commits;
  if (commit.raw) ++counts_.raw_commits;
  if (import && commit.number) runs_[commit.run] = {*commit.number, commit.id};
  if (own) check_trailers(commit, changes->size());
  std::vector<Brought> brought;
  for (const PathChange& change : *changes) look_at_change(commit, change, own, brought);
  std::ranges::sort(brought, {}, [](const Brought& one) { return one.record.task_id; });
  for (const Brought& one : brought) bring(commit, one, own);
  return {};
}

void Audit::check_trailers(const HistoryCommit& commit, std::size_t changes) {
  if (commit.results && *commit.results != changes) {
    find(FindingKind::count, &commit, {},
         "it says that it holds " + std::to_string(*commit.results) + " results, and changes " +
             std::to_string(changes) + " files");
  }
  if (!commit.number) return;
  const auto [last, first_of_run] = runs_.try_emplace(commit.run, 0, ObjectId{});
  const auto [number, id] = last->second;
  if (*commit.number != number + 1 && (number != 0 || counts_.whole_history)) {
    std::string what = "it is commit " + std::to_string(*commit.number) + " of run " + commit.run + ", and ";
    what += number == 0 ? "no earlier one is there"
                        : "the one before it is " + std::to_string(number) + " (" + to_hex(id).substr(0, 12) + ")";
    find(*commit.number > number ? FindingKind::count : FindingKind::order, &commit, {},
         what + (*commit.number > number ? ": what came between is gone" : ": they have changed places"));
  }
  last->second = {*commit.number, commit.id};
}

std::optional<ParsedRecord> Audit::read_record(const ObjectId& blob, std::string& why, bool& readable) {
  const git_oid oid = to_oid(blob);
  git_odb_object* raw = nullptr;
  readable = git_odb_read(&raw, borrowed_odb_, &oid) == 0;
  if (!readable) {
    why = git_error("the object " + to_hex(blob) + " cannot be read").context;
    return std::nullopt;
  }
  const OdbObjectHandle object(raw);
  auto record =
      parse_record({static_cast<const char*>(git_odb_object_data(object.get())), git_odb_object_size(object.get())});
  if (record) return std::move(*record);
  why = record.error().context;
  return std::nullopt;
}

void Audit::look_at_change(const HistoryCommit& commit, const PathChange& change, bool own,
                           std::vector<Brought>& brought) {
  if (own && commit.raw) {
    if (!change.after) find(FindingKind::removed, &commit, change.path, "pawl removes nothing, and this commit did");
    return;
  }
  const bool place = is_record_place(change.path) && change.plain;
  if (!change.after) {
    if (place) gone(commit, change, FindingKind::removed, "the record was removed");
    return;
  }
  if (!place) {
    if (own) find(FindingKind::misplaced, &commit, change.path, "no record belongs at such a path");
    return;
  }
  std::string why;
  bool readable = true;
  auto record = read_record(*change.after, why, readable);
  if (!readable) return find(FindingKind::unreadable, &commit, change.path, why);
  if (!record) {
    if (own) return find(FindingKind::not_a_record, &commit, change.path, why);
    if (change.before) gone(commit, change, FindingKind::not_a_record, "the record was changed: " + why);
    return;
  }
  if (options_.on_task) options_.on_task(record->task_id);
  const std::string belongs = record_path(record->stream, record->position, record->custom_id);
  if (belongs == change.path) return brought.push_back({std::move(*record), change.path});
  Finding finding{FindingKind::misplaced, to_hex(commit.id), change.path, "it holds the record of " + belongs};
  if (own)
    options_.on_finding(finding);
  else
    misplaced_.emplace_back(std::move(finding), keys_.hash_of(record->stream, record->custom_id));
  if (change.before) gone(commit, change, FindingKind::removed, "another record was put over the one here");
}

/// The record that lay at a path is no longer there. Told at the end, unless its key comes back.
void Audit::gone(const HistoryCommit& commit, const PathChange& change, FindingKind kind, const std::string& why) {
  std::string ignored;
  bool readable = true;
  const auto record = change.before ? read_record(*change.before, ignored, readable) : std::nullopt;
  if (!record || record_path(record->stream, record->position, record->custom_id) != change.path) return;
  AuditKeys::Key* key = keys_.find(keys_.hash_of(record->stream, record->custom_id));
  if (key == nullptr || key->loss != 0 || key->position != record->position) return;
  losses_.push_back({kind, to_hex(commit.id), change.path, why});
  key->loss = static_cast<std::uint32_t>(losses_.size());
}

/// A record in its place.
void Audit::bring(const HistoryCommit& commit, const Brought& brought, bool own) {
  const ParsedRecord& record = brought.record;
  const std::uint64_t hash = keys_.hash_of(record.stream, record.custom_id);
  AuditKeys::Key* known = keys_.find(hash);
  const bool there = known != nullptr && known->loss == 0;
  if (there && known->position != record.position) {
    find(FindingKind::twice, &commit, brought.path,
         "its key is committed already, at " + record_path(record.stream, known->position, record.custom_id));
    return;
  }
  if (own) check_order(commit, brought, !there);
  if (own && there && record.task_id <= known->task_id) {
    find(FindingKind::twice, &commit, brought.path,
         record_id(record.task_id) + " was committed over " + record_id(known->task_id) + ", which is not older");
  }
  if (!own && there) {
    find(FindingKind::edited, &commit, brought.path, "a commit that is not pawl's changed this record");
  }
  AuditKeys::Key& key = known != nullptr ? *known : keys_.add(hash);
  key.position = record.position;
  key.task_id = record.task_id;
  key.digest = record.digest;
  key.success = record.success;
  key.stream = keys_.stream_number(record.stream);
  key.loss = 0;
}

void Audit::check_order(const HistoryCommit& commit, const Brought& brought, bool fresh) {
  const ParsedRecord& record = brought.record;
  AuditKeys::Progress& progress = keys_.progress(keys_.stream_number(record.stream), record.task_id.run);
  if (record.task_id.ordinal <= progress.ordinal) {
    find(FindingKind::order, &commit, brought.path,
         record_id(record.task_id) + " comes after task " + std::to_string(progress.ordinal) +
             " of the same run and stream");
  }
  // A key that was there before keeps its position; new ones of a run go up.
  if (fresh && progress.has_position && record.position <= progress.position) {
    find(FindingKind::order, &commit, brought.path,
         "position " + std::to_string(record.position) + " was given after position " +
             std::to_string(progress.position) + " of the same run and stream");
  }
  progress.ordinal = std::max(progress.ordinal, record.task_id.ordinal);
  if (fresh) {
    progress.position = std::max(progress.position, record.position);
    progress.has_position = true;
  }
}

void Audit::finish() {
  std::vector<bool> untold(losses_.size(), false);
  keys_.for_each([&](std::uint64_t, const AuditKeys::Key& key) {
    if (key.loss != 0) {
      untold[key.loss - 1] = true;
      return;
    }
    ++counts_.records;
    if (!key.success) ++counts_.failures;
  });
  for (std::size_t i = 0; i < losses_.size(); ++i)
    if (untold[i]) options_.on_finding(losses_[i]);
  for (const auto& [finding, hash] : misplaced_) {
    const AuditKeys::Key* key = keys_.find(hash);
    if (key == nullptr || key->loss != 0) options_.on_finding(finding);  // else a copy: somebody's own file
  }
  counts_.streams = keys_.streams();
  keys_.check_positions([&](FindingKind kind, std::string path, std::string what) {
    find(kind, nullptr, std::move(path), std::move(what));
  });
  if (cache_) check_cache();
}

void Audit::check_cache() {
  const std::string advice =
      "; remove " + (borrowed_repository_.private_folder() / "keys").string() + ", the next run builds it again";
  std::uint64_t wrong = 0;
  keys_.for_each([&](std::uint64_t hash, const AuditKeys::Key& key) {
    if (key.loss != 0) return;
    const auto entry = cache_->find(hash, KeyTable::Kind::key);
    const bool same =
        entry && entry->number == key.position && entry->digest == key.digest && (entry->success != 0) == key.success;
    if (!same) ++wrong;
  });
  if (wrong != 0) {
    find(FindingKind::cache, nullptr, {},
         "the cache of keys is wrong about " + std::to_string(wrong) + " of " + std::to_string(counts_.records) +
             " keys" + advice);
  }
  if (cache_->keys() != counts_.records) {
    find(FindingKind::cache, nullptr, {},
         "the cache of keys holds " + std::to_string(cache_->keys()) + " keys, the branch " +
             std::to_string(counts_.records) + advice);
  }
}

}  // namespace

std::string_view name_of(FindingKind kind) noexcept {
  switch (kind) {
    case FindingKind::unreadable: return "unreadable";
    case FindingKind::not_a_record: return "not_a_record";
    case FindingKind::misplaced: return "misplaced";
    case FindingKind::removed: return "removed";
    case FindingKind::count: return "count";
    case FindingKind::order: return "order";
    case FindingKind::twice: return "twice";
    case FindingKind::cache: return "cache";
    case FindingKind::edited: return "edited";
    case FindingKind::gap: return "gap";
    case FindingKind::history: return "history";
  }
  return "unknown";
}

bool is_fault(FindingKind kind) noexcept {
  return kind != FindingKind::edited && kind != FindingKind::gap && kind != FindingKind::history;
}

Result<AuditCounts> audit(Repository& repository, const AuditOptions& options) {
  git_odb* raw = nullptr;
  if (git_repository_odb(&raw, handle(repository)) != 0) {
    return std::unexpected(git_error("opening the objects of the repository"));
  }
  const OdbHandle odb(raw);
  return Audit(repository, options, odb.get()).run();
}

}  // namespace pawl::git
