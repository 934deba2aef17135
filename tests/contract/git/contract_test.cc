// The commit stage under the contract of every stage, on a real repository with tasks as the encoder leaves them.
// Whatever the contract does to it, the branch holds exactly the tasks that came back as committed.
#include <map>
#include <utility>

#include <pawl/git.h>

#include "process.h"
#include "stage_contract.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;

/// How a case differs from the default: records in a repository with a work tree.
struct Variant {
  git::CommitOptions commit;
  bool bare = false;
  bool locked = false;  // a git process that died has left its lock on the branch
};

/// The repository of one commit stage; looks into it when the stage is gone.
class Results {
 public:
  explicit Results(Variant variant) : variant_(std::move(variant)) {
    if (variant_.bare) run_git({"init", "--quiet", "--bare", "--initial-branch=main", path().string()});
    auto opened = git::Repository::open({path(), "main", git::RepositoryOptions::Missing::create});
    auto encoder = git::make_encoder(variant_.commit);
    if (!opened || !encoder) {
      ADD_FAILURE() << (opened ? encoder.error() : opened.error()).context;
      return;
    }
    repository_ = std::move(*opened);
    encoder_ = std::move(*encoder);
    if (variant_.locked) write_file(lock(), "");
  }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;
  ~Results() {
    if (variant_.locked) {
      EXPECT_TRUE(fs::remove(lock())) << "the lock was not the stage's to remove";
    }
    if (!variant_.bare) run_git({"-C", path().string(), "status", "--porcelain"});
    std::map<std::string, const Task*> committed;
    for (const Task* task : borrowed_tasks_)
      if (task->committed) committed.emplace(path_of(*task), task);
    if (committed.empty()) {
      Process branch({"git", "-C", path().string(), "rev-parse", "--quiet", "--verify", "refs/heads/main"});
      EXPECT_NE(branch.wait(), 0) << "the branch moved without a result";
      return;
    }
    run_git({"-C", path().string(), "fsck", "--strict", "--no-progress"});
    const fs::path copy = dir_ / "copy";
    run_git({"clone", "--quiet", path().string(), copy.string()});
    expect_files(copy, committed);
  }

  [[nodiscard]] std::unique_ptr<Stage> make_stage() {
    if (!repository_) return nullptr;
    auto made = git::make_commit_stage(*repository_, variant_.commit);
    if (made) return std::move(*made);
    ADD_FAILURE() << made.error().context;
    return nullptr;
  }
  /// The task outlives the repository.
  void encode(Task& task) {
    encoder_->encode(task);
    ASSERT_EQ(task.fate, Fate::live) << task.error->context;
    borrowed_tasks_.push_back(&task);
  }

 private:
  [[nodiscard]] fs::path path() const { return dir_ / "repository"; }
  [[nodiscard]] fs::path lock() const { return repository_->git_dir() / "refs/heads/main.lock"; }
  [[nodiscard]] std::string path_of(const Task& task) const {
    const Request& request = task.request;
    if (variant_.commit.layout == git::Layout::raw) return request.stream + "/" + request.id;
    return git::record_path(request.stream, request.position, request.id);
  }
  /// Runs git, which must succeed in silence.
  static void run_git(std::vector<std::string> arguments) {
    const std::string command = arguments.front() == "-C" ? arguments[2] : arguments.front();
    arguments.insert(arguments.begin(), "git");
    Process process(std::move(arguments));
    EXPECT_EQ(process.wait(), 0) << "git " << command;
    EXPECT_EQ(process.out() + process.err(), "") << "git " << command;
  }
  /// `copy` holds the result of each of `committed`, and no other file.
  void expect_files(const fs::path& copy, std::map<std::string, const Task*>& committed) const {
    for (auto at = fs::recursive_directory_iterator(copy); at != fs::recursive_directory_iterator(); ++at) {
      if (at->path() == copy / ".git") at.disable_recursion_pending();
      if (!at->is_regular_file()) continue;
      const std::string name = fs::relative(at->path(), copy).string();
      const auto found = committed.find(name);
      if (found == committed.end()) {
        ADD_FAILURE() << name << " is on the branch, but no task is committed there";
        continue;
      }
      const std::string text = read_file(at->path());
      if (variant_.commit.layout == git::Layout::raw) {
        EXPECT_EQ(text, found->second->outcome.body) << name;
      } else {
        EXPECT_NE(text.find(git::record_id(found->second->request.task_id)), std::string::npos) << name << "\n" << text;
        EXPECT_NE(text.find(found->second->outcome.body), std::string::npos) << name << "\n" << text;
      }
      committed.erase(found);
    }
    EXPECT_TRUE(committed.empty()) << committed.size() << " committed tasks are not on the branch";
  }

  const Variant variant_;
  TempDir dir_;
  std::unique_ptr<git::Repository> repository_;
  std::unique_ptr<Encoder> encoder_;
  std::vector<const Task*> borrowed_tasks_;
};

std::function<StageSetup()> commits(Variant variant) {
  variant.commit.run = 1'700'000'000'000'000;
  return [variant]() -> StageSetup {
    auto results = std::make_shared<Results>(variant);
    return {results, results->make_stage(),
            [encoder = results.get()](Task& task, std::size_t) { encoder->encode(task); }};
  };
}

/// Small commits, published at once.
git::CommitOptions hasty() {
  git::CommitOptions options;
  options.commit_tasks = 10;
  options.commit_every = std::chrono::milliseconds(5);
  options.publish_every = std::chrono::milliseconds(5);
  return options;
}

git::CommitOptions raw_answers() {
  git::CommitOptions options = hasty();
  options.layout = git::Layout::raw;
  options.path_template = "{stream}/{id}";
  return options;
}

StageCase commit_case(const char* name, const Variant& variant) {
  Variant locked = variant;
  locked.locked = true;
  StageCase made{.name = name,
                 .duty = StageDuty::commit,
                 .make = commits(variant),
                 .make_stuck = commits(locked),
                 .after_cancel = AfterCancel::finishes};
  // A task comes back after its file is in the work tree, and how long a thousand of those take is up to the disk.
  if (!variant.bare) made.cancel_limit = std::chrono::seconds(5);
  return made;
}

INSTANTIATE_TEST_SUITE_P(Git, StageContract,
                         testing::Values(commit_case("bare", {.commit = {}, .bare = true}),
                                         commit_case("bare_hasty", {.commit = hasty(), .bare = true}),
                                         commit_case("bare_raw_answers", {.commit = raw_answers(), .bare = true}),
                                         commit_case("work_tree", {.commit = hasty()})),
                         stage_case_name);

}  // namespace
}  // namespace pawl::test
