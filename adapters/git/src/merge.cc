#include "merge.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "object_id.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

class Merge {
 public:
  explicit Merge(const MergeOptions& options)
      : options_(options),
        branch_(options.borrowed_repository.branch),
        message_("Merge " + branch_.substr(branch_.rfind('/') + 1) + " of " + options.remote) {}

  Result<ObjectId> in_work_tree(const ObjectId& theirs) {
    const fs::path& git_dir = options_.borrowed_repository.git_dir;
    for (const char* sign : {"MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"}) {
      if (fs::exists(git_dir / sign)) {
        return failure(ErrorCode::repository, "the other side has new commits, and " + git_dir.string() +
                                                  " is in the middle of a merge or the like of a person's");
      }
    }
    const Result<ChildResult> merged = git({"merge", "--quiet", "--no-edit", "-m", message_, to_hex(theirs)});
    if (!merged) return std::unexpected(merged.error());
    if (merged->exit_code != 0) {
      if (fs::exists(git_dir / "MERGE_HEAD")) static_cast<void>(git({"merge", "--abort"}));
      return refused(*merged);
    }
    return answer({"rev-parse", "--verify", branch_});
  }

  Result<ObjectId> of_branch_alone(const ObjectId& ours, const ObjectId& theirs) {
    const Result<ChildResult> ancestor = git({"merge-base", "--is-ancestor", to_hex(ours), to_hex(theirs)});
    if (!ancestor) return std::unexpected(ancestor.error());
    ObjectId tip = theirs;
    if (ancestor->exit_code != 0) {
      const Result<ChildResult> tree = git({"merge-tree", "--write-tree", to_hex(ours), to_hex(theirs)});
      if (!tree) return std::unexpected(tree.error());
      if (tree->exit_code != 0) return refused(*tree);
      const std::string tree_name = tree->out.substr(0, tree->out.find('\n'));
      const Result<ObjectId> commit =
          answer({"commit-tree", tree_name, "-p", to_hex(ours), "-p", to_hex(theirs), "-m", message_});
      if (!commit) return commit;
      tip = *commit;
    }
    const Result<ChildResult> moved =
        git({"update-ref", "-m", "pawl: " + message_, branch_, to_hex(tip), to_hex(ours)});
    if (!moved) return std::unexpected(moved.error());
    if (moved->exit_code != 0) return failure(ErrorCode::repository, "git update-ref: " + moved->complaint());
    return tip;
  }

 private:
  Result<ChildResult> git(std::vector<std::string> arguments) {
    ChildOptions child;
    child.arguments = {"git", "--git-dir=" + options_.borrowed_repository.git_dir.string(),
                       "-c",  "maintenance.auto=false",
                       "-c",  "gc.auto=0"};
    if (!options_.root.empty()) {
      const std::string root = options_.root.string();
      child.arguments.insert(child.arguments.end(), {"-C", root, "--work-tree=" + root});
    }
    std::ranges::move(arguments, std::back_inserter(child.arguments));
    child.environment = {{"LC_ALL", "C"}, {"GIT_TERMINAL_PROMPT", "0"}};
    const auto add_person = [&child](const std::string& role, const Person& person) {
      child.environment.emplace_back("GIT_" + role + "_NAME", person.name);
      child.environment.emplace_back("GIT_" + role + "_EMAIL", person.email);
    };
    add_person("AUTHOR", options_.borrowed_identity.author);
    add_person("COMMITTER", options_.borrowed_identity.committer);
    child.borrowed_interrupt = &options_.borrowed_interrupt;
    return run_child(child);
  }

  Result<ObjectId> answer(std::vector<std::string> arguments) {
    const std::string what = "git " + arguments.front() + ": ";
    const Result<ChildResult> result = git(std::move(arguments));
    if (!result) return std::unexpected(result.error());
    if (result->exit_code != 0) return failure(ErrorCode::repository, what + result->complaint());
    return from_hex(std::string_view(result->out).substr(0, result->out.find('\n')));
  }

  [[nodiscard]] Result<ObjectId> refused(const ChildResult& result) const {
    std::string why = result.interrupted ? "interrupted" : result.err + result.out;
    constexpr std::string_view kConflict = "CONFLICT";
    if (const std::size_t at = why.find(kConflict); at != std::string::npos) {
      why = why.substr(at, why.find('\n', at) - at);
    } else {
      why = result.complaint();
    }
    return failure(ErrorCode::repository, "the other side has new commits that cannot be merged: " + why);
  }

  const MergeOptions& options_;
  const std::string branch_;
  const std::string message_;
};

}  // namespace

Result<ObjectId> merge_into_branch(const MergeOptions& options, const ObjectId& ours, const ObjectId& theirs) {
  Merge merge(options);
  return options.root.empty() ? merge.of_branch_alone(ours, theirs) : merge.in_work_tree(theirs);
}

}  // namespace pawl::git
