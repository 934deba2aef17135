#include "verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <pawl/git.h>
#include <pawl/git_audit.h>
#include <pawl/journal_audit.h>
#include <pawl/run_lock.h>

#include "exit_code.h"
#include "look.h"
#include "next_command.h"

namespace pawl::tool {
namespace {

constexpr std::uint64_t kShownOfKind = 20;

/// Bytes that a terminal or a JSON reader might stumble over, percent-encoded.
std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e)
      out += fmt::format("%{:02X}", byte);
    else
      out += c;
  }
  return out;
}

/// REQUIRES: printable.
std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// What was found, bounded in number for each kind.
class Findings {
 public:
  struct Finding {
    bool fault = true;
    std::string kind;
    std::string commit;  // empty: none
    std::string path;    // of a file on the branch, or of a segment; empty: none
    std::string what;
  };

  void add(Finding finding) {
    (finding.fault ? faults_ : notes_) += 1;
    if (++of_kind_[finding.kind] <= kShownOfKind) shown_.push_back(std::move(finding));
  }
  [[nodiscard]] std::uint64_t faults() const noexcept { return faults_; }
  [[nodiscard]] std::uint64_t notes() const noexcept { return notes_; }

  void print_text() const {
    for (const Finding& finding : shown_) {
      std::string line = finding.fault ? "fault: " : "note: ";
      if (!finding.commit.empty()) line += "commit " + finding.commit.substr(0, 12) + ": ";
      if (!finding.path.empty()) line += printable(finding.path) + ": ";
      fmt::print("{}{}\n", line, printable(finding.what));
    }
    for (const auto& [kind, count] : of_kind_)
      if (count > kShownOfKind) fmt::print("{} more of kind {}\n", count - kShownOfKind, kind);
  }
  [[nodiscard]] std::string json() const {
    std::string out = "[";
    for (const Finding& finding : shown_) {
      out +=
          fmt::format(R"({}{{"fault":{},"kind":{})", out.size() > 1 ? "," : "", finding.fault, json_text(finding.kind));
      if (!finding.commit.empty()) out += ",\"commit\":" + json_text(finding.commit);
      if (!finding.path.empty()) out += ",\"path\":" + json_text(printable(finding.path));
      out += ",\"what\":" + json_text(printable(finding.what)) + "}";
    }
    return out + "]";
  }

 private:
  std::vector<Finding> shown_;
  std::map<std::string, std::uint64_t> of_kind_;
  std::uint64_t faults_ = 0;
  std::uint64_t notes_ = 0;
};

/// The journal as it is; beside a live run only damage that stays over several looks counts.
Result<journal::Audit> audit_journal(const std::filesystem::path& folder, bool live) {
  constexpr int kLooks = 4;
  auto found = journal::audit(folder);
  for (int look = 1; look < kLooks && live && found && !found->damage.empty(); ++look) {
    auto again = journal::audit(folder);
    if (!again) return again;
    const auto was_there = [&](const journal::Damage& damage) {
      return std::ranges::any_of(found->damage, [&](const journal::Damage& before) {
        return before.segment == damage.segment && before.offset == damage.offset;
      });
    };
    std::erase_if(again->damage, [&](const journal::Damage& damage) { return !was_there(damage); });
    found = std::move(again);
  }
  return found;
}

class Verify {
 public:
  explicit Verify(const VerifyOptions& options) : options_(options) {}
  int run();

 private:
  Result<void> look();
  void judge_journal();
  void judge_run(std::uint64_t run, const std::vector<journal::AuditedTask>& tasks);
  void print() const;

  const VerifyOptions& options_;
  std::unique_ptr<git::Repository> repository_;
  bool raw_ = false;
  bool live_ = false;
  journal::Audit journal_;
  git::AuditCounts counts_;
  std::map<std::uint64_t, std::set<std::uint64_t>> committed_;  // ordinals, of the runs that the journal knows
  std::uint64_t journal_committed_ = 0;
  Findings findings_;
};

Result<void> Verify::look() {
  auto opened = open_to_look(options_.repo, options_.branch);
  if (!opened) return std::unexpected(opened.error());
  repository_ = std::move(opened->repository);
  raw_ = opened->last.layout == "raw";
  const auto& folder = repository_->private_folder();
  if (std::filesystem::exists(folder)) {
    const auto holder = journal::RunLock::holder(folder);
    live_ = holder && *holder;
  }
  // The journal first: what leaves it afterwards is on the branch by then.
  auto journal = audit_journal(folder / "journal", live_);
  if (!journal) return std::unexpected(journal.error());
  journal_ = std::move(*journal);
  for (const auto& task : journal_.tasks) committed_[task.task_id.run];
  git::AuditOptions audit;
  audit.on_finding = [this](const git::Finding& finding) {
    findings_.add({git::is_fault(finding.kind), std::string(git::name_of(finding.kind)), finding.commit, finding.path,
                   finding.what});
  };
  audit.on_task = [this](TaskId task) {
    if (const auto run = committed_.find(task.run); run != committed_.end()) run->second.insert(task.ordinal);
  };
  auto counts = git::audit(*repository_, audit);
  if (!counts) return std::unexpected(counts.error());
  counts_ = *counts;
  judge_journal();
  return {};
}

void Verify::judge_journal() {
  for (const auto& damage : journal_.damage) {
    std::string what = fmt::format("byte {}: {}", damage.offset, damage.what);
    if (damage.task) what += ", task " + git::record_id(*damage.task);
    findings_.add({true, "journal_damaged", {}, damage.segment.string(), std::move(what)});
  }
  if (journal_.left.torn_bytes != 0)
    findings_.add({false,
                   "journal_torn",
                   {},
                   {},
                   fmt::format("the journal's last write was not finished ({} bytes): the next run cuts it",
                               journal_.left.torn_bytes)});
  std::map<std::uint64_t, std::vector<journal::AuditedTask>> runs;
  for (const auto& task : journal_.tasks) {
    if (committed_[task.task_id.run].contains(task.task_id.ordinal)) ++journal_committed_;
    runs[task.task_id.run].push_back(task);
  }
  if (journal_committed_ != 0 && !live_)
    findings_.add({false,
                   "journal_committed",
                   {},
                   {},
                   fmt::format("{} of the journal's {} tasks are committed already: the next run lets go of them",
                               journal_committed_, journal_.left.tasks)});
  // In layout raw the branch does not say which tasks it holds, and half a history says too little.
  if (raw_ || counts_.raw_commits != 0 || !counts_.whole_history) return;
  for (const auto& [run, tasks] : runs) judge_run(run, tasks);
}

/// Every ordinal of a run up to the highest in the journal was accepted once, so it is on the branch or in the journal,
/// unless the run ended before it was saved.
void Verify::judge_run(std::uint64_t run, const std::vector<journal::AuditedTask>& tasks) {
  const auto& committed = committed_[run];
  std::uint64_t next = 1, segment_before = 0, never_saved = 0;
  for (const auto& task : tasks) {
    std::uint64_t missing = 0, first = 0, last = 0;
    for (std::uint64_t ordinal = next; ordinal < task.task_id.ordinal; ++ordinal) {
      const auto there = committed.lower_bound(ordinal);
      if (there != committed.end() && *there == ordinal) continue;
      // Goes from hole to hole, however many ordinals lie between.
      const std::uint64_t end =
          there == committed.end() ? task.task_id.ordinal : std::min(*there, task.task_id.ordinal);
      if (missing == 0) first = ordinal;
      missing += end - ordinal;
      last = end - 1;
      ordinal = end - 1;
    }
    next = task.task_id.ordinal + 1;
    if (missing != 0 && task.segment > segment_before + 1) {
      const auto gone = std::ranges::find_if(journal_.missing, [&](const journal::MissingSegments& gap) {
        return gap.first > segment_before && gap.last < task.segment;
      });
      const bool at_front = segment_before == 0 && journal_.first_segment > 1;
      if (gone != journal_.missing.end() || at_front) {
        const std::uint64_t from = gone != journal_.missing.end() ? gone->first : 1;
        const std::uint64_t to = gone != journal_.missing.end() ? gone->last : journal_.first_segment - 1;
        findings_.add({true,
                       "journal_missing",
                       {},
                       (repository_->private_folder() / "journal").string(),
                       fmt::format("segment {} is missing, and {} tasks from {} to {} are neither in the journal nor "
                                   "on the branch",
                                   from == to ? std::to_string(from) : fmt::format("{} to {}", from, to), missing,
                                   git::record_id({run, first}), git::record_id({run, last}))});
        missing = 0;
      }
    }
    never_saved += missing;
    segment_before = task.segment;
  }
  if (never_saved != 0)
    findings_.add({false,
                   "journal_not_saved",
                   {},
                   {},
                   fmt::format("{} tasks of run {} are neither in the journal nor on the branch: the run ended before "
                               "they were saved, or their records are damaged",
                               never_saved, git::run_name(run))});
}

void Verify::print() const {
  if (options_.json) {
    fmt::print(
        R"({{"version":1,"sound":{},"branch":{},"commits":{},"own_commits":{},"records":{},"failures":{},"streams":{},)"
        R"("live":{},"journal":{{"segments":{},"tasks":{},"answers":{},"committed":{},"torn_bytes":{}}},)"
        R"("faults_total":{},"notes_total":{},"findings":{}}})"
        "\n",
        findings_.faults() == 0, json_text(printable(repository_->branch())), counts_.commits, counts_.own_commits,
        counts_.records, counts_.failures, counts_.streams, live_, journal_.segments, journal_.left.tasks,
        journal_.left.answers, journal_committed_, journal_.left.torn_bytes, findings_.faults(), findings_.notes(),
        findings_.json());
    return;
  }
  findings_.print_text();
  if (::isatty(2) == 1 || findings_.faults() != 0)
    fmt::print(stderr, "{}: {} records in {} streams, {} commits ({} by pawl) on {}, {} tasks in the journal\n",
               findings_.faults() == 0 ? "sound" : counted(findings_.faults(), "fault"), counts_.records,
               counts_.streams, counts_.commits, counts_.own_commits, repository_->branch(), journal_.left.tasks);
}

int Verify::run() {
  if (const auto looked = look(); !looked) {
    fmt::print(stderr, "pawl: {}\n", looked.error().context);
    return exit_code_of(looked.error());
  }
  print();
  return findings_.faults() == 0 ? kAllDone : kSomeFailed;
}

}  // namespace

int verify(const VerifyOptions& options) { return Verify(options).run(); }

}  // namespace pawl::tool
