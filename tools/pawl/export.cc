#include "export.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include <pawl/git_records.h>

#include "exit_code.h"
#include "line_file.h"
#include "look.h"

namespace pawl::tool {
namespace {

struct Counts {
  std::uint64_t results = 0;
  std::uint64_t failures = 0;
};

Result<void> check(const ExportOptions& options) {
  const std::vector<std::pair<const char*, const std::string*>> files = {
      {"--output", &options.output}, {"--failures", &options.failures}, {"--failed-input", &options.failed_input}};
  for (std::size_t i = 0; i < files.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (!files[i].second->empty() && *files[i].second == *files[k].second)
        return failure(ErrorCode::usage, fmt::format("{} and {} both name {}", files[k].first, files[i].first,
                                                     *files[i].second == "-" ? "standard output" : *files[i].second));
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
  Counts counts;
  git::StoredRecord record;
  while (true) {
    const auto more = (*records)->next(record);
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
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
               counts->results, counts->failures, options.repo);
  return kAllDone;
}

}  // namespace pawl::tool
