// A report as one HTML page that needs nothing else: styles and drawings are in it, no scripts, no requests.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "report_sums.h"

namespace pawl::tool {

/// What is not in the records.
struct ReportFacts {
  std::string repository;  // as it was named
  std::string branch;
  std::chrono::system_clock::time_point made;
  std::optional<int> live_pid;      // of a run that is going on
  std::uint64_t journal_tasks = 0;  // wait in the journal
  std::uint64_t journal_answers = 0;
  std::uint64_t journal_in_doubt = 0;
  std::string journal_problem;  // why that is not known
};

/// All of it; its size does not grow with the number of records.
[[nodiscard]] std::string render_report(const ReportSums& sums, const ReportFacts& facts);

}  // namespace pawl::tool
