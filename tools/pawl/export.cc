#include "export.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <pawl/git_records.h>
#include <pawl/journal.h>
#include <pawl/run_lock.h>

#include "exit_code.h"
#include "line_file.h"
#include "look.h"
#include "next_command.h"

namespace pawl::tool {
namespace {

struct Counts {
  std::uint64_t results = 0;
  std::uint64_t failures = 0;
  std::uint64_t unfinished = 0;
};

/// The tasks that a journal holds and the branch does not, by key.
class Unfinished {
 public:
  /// Errors: locked (a run is live: what it holds is settled in a moment), as LeftTasks.
  static Result<Unfinished> of(const std::filesystem::path& private_folder) {
    auto holder = journal::RunLock::holder(private_folder);
    if (!holder) return std::unexpected(holder.error());
    if (*holder)
      return failure(ErrorCode::locked,
                     fmt::format("--unfinished: a run is live, pid {}; export when it has ended", **holder));
    Unfinished tasks(private_folder / "journal");
    auto noted = tasks.each([&](const Request& request) {
      tasks.newest_[{request.stream, request.id}] = request.task_id;
      return Result<void>();
    });
    if (!noted) return std::unexpected(noted.error());
    return tasks;
  }

  /// The branch has this record.
  void committed(const Request& record) {
    const auto found = newest_.find({record.stream, record.id});
    if (found != newest_.end() && record.task_id >= found->second) newest_.erase(found);
  }

  /// In the order of acceptance; of a key the newest alone.
  template <class Write>
  Result<void> each_left(Write write) {
    return each([&](const Request& request) {
      const auto found = newest_.find({request.stream, request.id});
      return found != newest_.end() && found->second == request.task_id ? write(request) : Result<void>();
    });
  }

 private:
  explicit Unfinished(std::filesystem::path journal) : journal_(std::move(journal)) {}

  template <class Visit>
  Result<void> each(Visit visit) {
    auto left = journal::LeftTasks::open(journal_);
    if (!left) return std::unexpected(left.error());
    Recovered task;
    while (true) {
      const auto more = (*left)->next(task);
      if (!more) return std::unexpected(more.error());
      if (!*more) return {};
      if (auto visited = visit(task.request); !visited) return visited;
    }
  }

  std::filesystem::path journal_;
  std::map<std::pair<std::string, std::string>, TaskId> newest_;  // (stream, id)
};

Result<void> check(const ExportOptions& options) {
  const std::vector<std::pair<const char*, const std::string*>> files = {
      {"--output", &options.output}, {"--failures", &options.failures}, {"--failed-input", &options.failed_input}};
  for (std::size_t i = 0; i < files.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (!files[i].second->empty() && *files[i].second == *files[k].second)
        return failure(ErrorCode::usage, fmt::format("{} and {} both name {}", files[k].first, files[i].first,
                                                     *files[i].second == "-" ? "standard output" : *files[i].second));
  if (options.unfinished && options.failures.empty() && options.failed_input.empty())
    return failure(ErrorCode::usage, "--unfinished goes with --failures or --failed-input, which say where to");
  return {};
}

Result<LineFile> open_if_named(const std::string& path) {
  return path.empty() ? Result<LineFile>(LineFile()) : LineFile::open(path);
}

Result<Counts> write_all(git::Repository& repository, const ExportOptions& options) {
  auto records = git::RecordReader::open(repository, git::Records::all);
  if (!records) return std::unexpected(records.error());
  auto output = LineFile::open(options.output);
  if (!output) return std::unexpected(output.error());
  auto failures = open_if_named(options.failures);
  if (!failures) return std::unexpected(failures.error());
  auto failed_input = open_if_named(options.failed_input);
  if (!failed_input) return std::unexpected(failed_input.error());
  std::optional<Unfinished> unfinished;
  if (options.unfinished) {
    auto read = Unfinished::of(repository.private_folder());
    if (!read) return std::unexpected(read.error());
    unfinished = std::move(*read);
  }
  Counts counts;
  git::StoredRecord record;
  while (true) {
    const auto more = (*records)->next(record);
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
    if (unfinished) unfinished->committed(record.request);
    Result<void> written;
    if (record.success) {
      ++counts.results;
      written = output->write(record.output);
    } else {
      ++counts.failures;
      if (failures->is_open()) written = failures->write(record.output);
      if (written && failed_input->is_open()) written = failed_input->write(git::input_line(record.request));
    }
    if (!written) return std::unexpected(written.error());
  }
  if (unfinished) {
    const auto done = unfinished->each_left([&](const Request& request) {
      ++counts.unfinished;
      Result<void> written;
      if (failures->is_open())
        written = failures->write(git::error_line(
            request, "batch_expired", "no outcome when the run ended: it waits in the journal, pawl resume runs it"));
      if (written && failed_input->is_open()) written = failed_input->write(git::input_line(request));
      return written;
    });
    if (!done) return std::unexpected(done.error());
  }
  for (LineFile* file : {&*output, &*failures, &*failed_input}) {
    if (!file->is_open()) continue;
    if (auto finished = file->finish(); !finished) return std::unexpected(finished.error());
  }
  return counts;
}

int refuse(const Error& error) {
  fmt::print(stderr, "pawl: {}\n", error.context);
  return exit_code_of(error);
}

}  // namespace

int export_results(const ExportOptions& options) {
  if (auto valid = check(options); !valid) return refuse(valid.error());
  auto opened = open_to_look(options.repo, options.branch);
  if (!opened) return refuse(opened.error());
  if (opened->last.layout == "raw")
    return refuse({ErrorCode::usage, options.repo + " has layout raw: its files are the answers as they came"});
  const auto counts = write_all(*opened->repository, options);
  if (!counts) return refuse(counts.error());
  if (counts->failures != 0 && options.failures.empty() && options.failed_input.empty())
    fmt::print(stderr,
               "pawl: {} results; {} failures left out: name a file for them with --failures, or run them again: "
               "pawl run --failed {}\n",
               counts->results, counts->failures, shell_word(options.repo));
  return kAllDone;
}

}  // namespace pawl::tool
