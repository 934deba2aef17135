#include "status.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include <pawl/git.h>
#include <pawl/journal.h>
#include <pawl/observe.h>

#include "exit_code.h"

namespace pawl::tool {
namespace {

Result<std::unique_ptr<git::Repository>> open_existing(const std::string& repo) {
  return git::Repository::open({repo, {}, git::RepositoryOptions::Missing::fail});
}

/// Of a stopped run. JSON fields: version, live, journal {tasks, answers, in_doubt, bytes, torn_bytes}.
int show_stopped(const git::Repository& repository, const StatusOptions& options) {
  const auto left = journal::inspect(repository.private_folder() / "journal");
  if (!left) return fmt::print(stderr, "pawl: {}\n", left.error().context), exit_code_of(left.error());
  if (options.json) {
    fmt::print(
        R"({{"version":1,"live":false,"journal":{{"tasks":{},"answers":{},"in_doubt":{},"bytes":{},"torn_bytes":{}}}}})"
        "\n",
        left->tasks, left->answers, left->in_doubt, left->bytes, left->torn_bytes);
  } else if (left->tasks == 0) {
    fmt::print("no run is live; the journal is empty: everything accepted is committed to {}\n", repository.branch());
  } else {
    fmt::print(
        "no run is live; the journal holds {} tasks, {} of them answered, {} in doubt: their calls were perhaps on "
        "their "
        "way (some may be committed already)\n"
        "next: pawl resume {}\n",
        left->tasks, left->answers, left->in_doubt, options.repo);
  }
  return kAllDone;
}

}  // namespace

Result<std::string> settings_file(const std::string& repo) {
  auto repository = open_existing(repo);
  if (!repository) return std::unexpected(repository.error());
  return ((*repository)->private_folder() / "settings").string();
}

int show_status(const StatusOptions& options) {
  auto repository = open_existing(options.repo);
  if (!repository)
    return fmt::print(stderr, "pawl: {}\n", repository.error().context), exit_code_of(repository.error());
  for (bool seen_live = false;; seen_live = true) {
    const auto live = observe::read_status((*repository)->private_folder());
    if (!live) {
      // A run that is there and does not answer is not a run that is not there.
      if (live.error().sys_errno == EAGAIN)
        return fmt::print(stderr, "pawl: {}\n", live.error().context), exit_code_of(live.error());
      if (seen_live && !options.json) fmt::print("the run has ended\n");
      return show_stopped(**repository, options);
    }
    if (options.json) {
      fmt::print("{}\n", *live);
    } else {
      const auto text = observe::render_status(*live, observe::Style::of_environment(1));
      if (!text) return fmt::print(stderr, "pawl: {}\n", text.error().context), exit_code_of(text.error());
      fmt::print("{}\n", *text);
    }
    std::fflush(stdout);
    if (!options.watch) return kAllDone;
    std::this_thread::sleep_for(std::chrono::seconds{1});
  }
}

}  // namespace pawl::tool
