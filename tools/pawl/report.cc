#include "report.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include <pawl/git.h>
#include <pawl/git_records.h>
#include <pawl/journal.h>
#include <pawl/run_lock.h>

#include "exit_code.h"
#include "line_file.h"
#include "look.h"
#include "report_page.h"
#include "report_sums.h"

namespace pawl::tool {
namespace {

ReportFacts facts_of(const git::Repository& repository, const ReportOptions& options) {
  ReportFacts facts;
  facts.repository = options.repo;
  facts.branch = repository.branch();
  facts.made = std::chrono::system_clock::now();
  const auto& folder = repository.private_folder();
  if (!std::filesystem::exists(folder)) return facts;  // a clone
  if (const auto holder = journal::RunLock::holder(folder); holder && *holder) facts.live_pid = **holder;
  const auto left = journal::inspect(folder / "journal");
  if (!left) {
    facts.journal_problem = left.error().context;
    return facts;
  }
  facts.journal_tasks = left->tasks;
  facts.journal_answers = left->answers;
  facts.journal_in_doubt = left->in_doubt;
  return facts;
}

int refuse_report(const Error& error) {
  fmt::print(stderr, "pawl: {}\n", error.context);
  return exit_code_of(error);
}

}  // namespace

int write_report(const ReportOptions& options) {
  auto opened = open_to_look(options.repo, options.branch);
  if (!opened) return refuse_report(opened.error());
  if (opened->last.layout == "raw")
    return refuse_report({ErrorCode::usage, options.repo +
                                                " has layout raw, which keeps no records to report on: git -C " +
                                                options.repo + " log --stat"});
  auto file = LineFile::open(options.output);
  if (!file) return refuse_report(file.error());
  const ReportFacts facts = facts_of(*opened->repository, options);
  ReportSums sums;
  const auto read =
      git::for_each_result(*opened->repository, [&sums](const git::StoredResult& result) { sums.add(result); });
  if (!read) return refuse_report(read.error());
  sums.end();
  Result<void> written = file->write(render_report(sums, facts));
  if (written) written = file->finish();
  if (!written) return refuse_report(written.error());
  if (options.output != "-")
    fmt::print(stderr, "pawl: {} records, {} failed: {}\n", sums.records, sums.failed, options.output);
  return kAllDone;
}

}  // namespace pawl::tool
