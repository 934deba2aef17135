#include "status.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>

#include <pawl/git.h>
#include <pawl/observe.h>
#include <pawl/run_lock.h>

#include "durable_status.h"
#include "exit_code.h"
#include "look.h"

namespace pawl::tool {
namespace {

int end_with(const Error& error) { return fmt::print(stderr, "pawl: {}\n", error.context), exit_code_of(error); }

/// A process has the repository: its run is starting or ending if its socket is not there.
bool at_work(const git::Repository& repository) {
  const auto holder = journal::RunLock::holder(repository.private_folder());
  return holder && holder->has_value();
}

/// Of a run that has ended, however it ended: what it committed to is what its settings say.
int show_stopped(const StatusOptions& options) {
  auto looked = open_to_look(options.repo, {});
  if (!looked) return end_with(looked.error());
  git::Repository& repository = *looked->repository;
  auto status =
      at_work(repository) ? journal_status(repository) : durable_status(repository, options.repo, looked->last);
  if (!status) return end_with(status.error());
  fmt::print("{}", options.json ? to_json(*status) + "\n" : to_text(*status, options.repo, repository.branch()));
  return kAllDone;
}

/// `"live":true` comes behind the version, as `"live":false` does.
std::string marked_live(const std::string& json) {
  const auto first_comma = std::min(json.find(','), json.size());
  return json.substr(0, first_comma) + ",\"live\":true" + json.substr(first_comma);
}

}  // namespace

Result<std::string> settings_file(const std::string& repo) {
  auto repository = open_at_any_branch(repo);
  if (!repository) return std::unexpected(repository.error());
  return ((*repository)->private_folder() / "settings").string();
}

int show_status(const StatusOptions& options) {
  auto repository = open_at_any_branch(options.repo);
  if (!repository) return end_with(repository.error());
  constexpr std::chrono::milliseconds kLook{50};
  int looks = 40;  // for a run that is starting or ending; when it is watched to its end, without limit
  for (bool seen_live = false;;) {
    const auto live = observe::read_status((*repository)->private_folder());
    if (!live) {
      // A run that is there and does not answer is not a run that is not there.
      if (live.error().sys_errno == EAGAIN) return end_with(live.error());
      if (live.error().sys_errno == EACCES)
        return end_with({ErrorCode::io, live.error().context + ": it is another user's", EACCES});
      if (at_work(**repository) && (seen_live || --looks > 0)) {
        std::this_thread::sleep_for(kLook);
        continue;
      }
      if (seen_live && !options.json) fmt::print("the run has ended\n");
      return show_stopped(options);
    }
    if (options.json) {
      fmt::print("{}\n", marked_live(*live));
    } else {
      const auto text = observe::render_status(*live, observe::Style::of_environment(1));
      if (!text) return end_with(text.error());
      fmt::print("{}\n", *text);
    }
    if (std::fflush(stdout) != 0) return kStorage;  // main() says so
    if (!options.watch) return kAllDone;
    seen_live = true;
    std::this_thread::sleep_for(std::chrono::seconds{1});
  }
}

}  // namespace pawl::tool
