#include "durable_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include <pawl/git_records.h>

#include "next_command.h"
#include "stages.h"

namespace pawl::tool {
namespace {

using Key = std::pair<std::string, std::string>;

struct LeftTask {
  TaskId task_id;
  bool answered = false;
  bool in_doubt = false;
};

/// Of a key the newest alone.
Result<std::map<Key, LeftTask>> left_tasks(const std::filesystem::path& folder) {
  std::map<Key, LeftTask> tasks;
  auto left = journal::LeftTasks::open(folder);
  if (!left) return std::unexpected(left.error());
  Recovered task;
  while (true) {
    const auto more = (*left)->next(task);
    if (!more) return std::unexpected(more.error());
    if (!*more) return tasks;
    tasks[{task.request.stream, task.request.id}] = {task.request.task_id, task.outcome.kind != Outcome::Kind::none,
                                                     task.in_doubt};
  }
}

/// "status 404" or "connect_failed".
std::string reason_of(const git::StoredResult& result) {
  if (result.status_code != 0) return fmt::format("status {}", result.status_code);
  return result.error_code.empty() ? "failed" : result.error_code;
}

void count_reason(std::vector<observe::ErrorView>& errors, const std::string& text) {
  const auto known = std::ranges::find(errors, text, &observe::ErrorView::text);
  if (known != errors.end())
    ++known->count;
  else if (errors.size() < observe::kErrorsShown)
    errors.push_back({text, 1, {}});
}

std::string next_step(const DurableStatus& status, const std::string& repo, const RunOptions& last) {
  if (status.view.status.unfinished != 0) {
    std::string next = "pawl resume " + shell_word(repo);
    if (status.view.in_doubt == 0) return next;
    // As the last run was told to, a resume would hold them again.
    if (last.on_unknown == "hold") return next + " --on-unknown retry   # or fail: records them as failures";
    return next + "   # --on-unknown hold: not those that may have been called already";
  }
  if (status.view.status.failed != 0)
    return "pawl run --failed " + shell_word(repo) + "   # failures are recorded; this runs them again";
  return {};
}

}  // namespace

Result<DurableStatus> journal_status(const git::Repository& repository) {
  DurableStatus status;
  auto journal = journal::inspect(repository.private_folder() / "journal");
  if (!journal) return std::unexpected(journal.error());
  status.journal = *journal;
  status.at_work = true;
  status.view.note = "a run is starting or ending; ask again";
  return status;
}

Result<DurableStatus> durable_status(git::Repository& repository, const std::string& repo, const RunOptions& last) {
  DurableStatus status;
  const auto folder = repository.private_folder() / "journal";
  auto journal = journal::inspect(folder);
  if (!journal) return std::unexpected(journal.error());
  status.journal = *journal;
  auto left = left_tasks(folder);
  if (!left) return std::unexpected(left.error());
  Status& counts = status.view.status;
  status.counts_records = layout_of(last) == git::Layout::record;
  if (status.counts_records) {
    const auto read = git::for_each_result(repository, [&](const git::StoredResult& result) {
      ++counts.committed;
      if (!result.success) {
        ++counts.failed;
        count_reason(status.view.errors, reason_of(result));
      }
      if (left->empty()) return;
      // The release of what is committed may not have reached the journal.
      const auto found = left->find({result.stream, result.id});
      if (found != left->end() && result.task_id >= found->second.task_id) left->erase(found);
    });
    if (!read) return std::unexpected(read.error());
  }
  for (const auto& [key, task] : *left) {
    ++counts.unfinished;
    if (task.answered) ++status.answered;
    if (task.in_doubt) ++status.view.in_doubt;
  }
  counts.retired = counts.committed + counts.unfinished;
  counts.admitted = counts.saved = counts.called = counts.ordered = counts.retired;
  std::ranges::sort(status.view.errors, std::greater<>(), &observe::ErrorView::count);
  status.view.phase = observe::Phase::done;
  status.view.note = next_step(status, repo, last);
  return status;
}

std::string to_text(const DurableStatus& status, const std::string& repo, const std::string& branch) {
  const Status& counts = status.view.status;
  if (status.at_work)
    return fmt::format("a run is starting or ending on {}; the journal holds {} tasks, {} of them answered\n", repo,
                       status.journal.tasks, status.journal.answers);
  std::string text = fmt::format("no run is live on {}\n", repo);
  const std::string short_branch = branch.substr(branch.starts_with("refs/heads/") ? 11 : 0);
  if (status.counts_records) {
    text += fmt::format("committed   {} on {}, {} of them failures\n", counts.committed, short_branch, counts.failed);
    for (const auto& error : status.view.errors)
      text += fmt::format("              {} × {}\n", error.count, error.text);
  }
  if (counts.unfinished == 0)
    text += "journal     empty: everything accepted is committed\n";
  else
    text += fmt::format("journal     {} accepted and not committed: {} answered, {} to be called, {} in doubt{}\n",
                        counts.unfinished, status.answered, counts.unfinished - status.answered - status.view.in_doubt,
                        status.view.in_doubt, status.view.in_doubt == 0 ? "" : " (perhaps called, no answer known)");
  if (!status.view.note.empty()) text += fmt::format("next        {}\n", status.view.note);
  return text;
}

std::string to_json(const DurableStatus& status) {
  const journal::Left& left = status.journal;
  const std::string live = observe::to_json(status.view);
  const auto first_comma = live.find(',');  // behind the version
  return fmt::format(
      R"({},"live":false,"journal":{{"tasks":{},"answers":{},"in_doubt":{},"bytes":{},"torn_bytes":{}}}{})",
      live.substr(0, first_comma), left.tasks, left.answers, left.in_doubt, left.bytes, left.torn_bytes,
      live.substr(first_comma));
}

}  // namespace pawl::tool
