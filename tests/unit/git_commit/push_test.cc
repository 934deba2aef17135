// Pushing beside the commit stage, to real repositories that others push to as well.
#include <fstream>

#include <gmock/gmock.h>

#include "stage_fixture.h"

namespace pawl::test {
namespace {

using testing::HasSubstr;

/// A bare repository that is pushed to, and what comes back about it.
class Remote {
 public:
  explicit Remote(const TempDir& dir) : borrowed_dir_(dir) { Git(dir.path())("init -q --bare -b main remote"); }

  [[nodiscard]] git::CommitOptions options() {
    git::CommitOptions options = quick_options();
    options.push_remote = path();
    options.on_push_report = [this](const git::PushReport& report) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(report);
      changed_.notify_all();
    };
    return options;
  }
  /// Somebody else pushes a file.
  void push_file(const std::string& name, const std::string& content) const {
    const Git here(borrowed_dir_.path());
    std::filesystem::remove_all(borrowed_dir_ / "other");
    here("clone -q remote other");
    const Git other(borrowed_dir_ / "other");
    std::filesystem::create_directories((borrowed_dir_ / "other" / name).parent_path());
    std::ofstream(borrowed_dir_ / "other" / name) << content;
    other("add -A");
    other("commit -q -m foreign");
    other("push -q origin HEAD:main");
  }
  [[nodiscard]] bool wait_for_report() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::minutes(2), [this] { return !reports_.empty(); });
  }
  [[nodiscard]] git::PushReport last() {
    const std::lock_guard lock(mutex_);
    return reports_.empty() ? git::PushReport{} : reports_.back();
  }
  [[nodiscard]] std::string path() const { return (borrowed_dir_ / "remote").string(); }
  [[nodiscard]] Git git() const { return Git(borrowed_dir_ / "remote"); }

 private:
  const TempDir& borrowed_dir_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<git::PushReport> reports_;
};

TEST(Push, BringsTheBranchToTheOtherSide) {
  const TempDir dir;
  Remote remote(dir);
  CommitRun run(dir / "repo", remote.options());
  for (int i = 0; i < 20; ++i) run.put("s/" + std::to_string(i), std::to_string(i));
  run.finish();
  EXPECT_EQ(remote.git()("rev-parse main"), Git(dir / "repo")("rev-parse main"));
  EXPECT_EQ(remote.last().moment, git::PushReport::Moment::end);
  EXPECT_EQ(remote.last().problem, "");
  EXPECT_GE(remote.last().pushes, 1u);
  Git(dir / "repo").expect_sound();
  remote.git().expect_sound();
}

TEST(Push, MergesWhatOthersHavePushedIntoFilesIndexAndBranch) {
  const TempDir dir;
  Remote remote(dir);
  {
    CommitRun run(dir / "repo", remote.options());
    run.put("s/1", "one");
    run.finish();
  }
  remote.push_file("theirs/file", "foreign\n");
  const std::string foreign = remote.git()("rev-parse main");
  std::ofstream(dir / "repo/untracked") << "a person's\n";
  CommitRun run(dir / "repo", remote.options());
  run.put("s/2", "two");
  ASSERT_TRUE(run.all_back());
  run.put("s/3", "three");
  run.finish();
  EXPECT_EQ(remote.last().problem, "");
  EXPECT_EQ(remote.last().merges, 1u);
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(git("rev-parse main"), remote.git()("rev-parse main"));
  EXPECT_EQ(git("merge-base --is-ancestor " + foreign + " main"), "");
  EXPECT_EQ(git("ls-tree -r --name-only main"), "s/1\ns/2\ns/3\ntheirs/file");
  EXPECT_EQ(git("status --porcelain"), "?? untracked");
  EXPECT_EQ(git("for-each-ref --format='%(refname)'"), "refs/heads/main");
}

TEST(Push, MergesTheBranchAloneWithoutAWorkTree) {
  const TempDir dir;
  Remote remote(dir);
  Git(dir.path())("init -q --bare -b main bare");
  {
    CommitRun run(dir / "bare", remote.options());
    run.put("s/1", "one");
    run.finish();
  }
  remote.push_file("theirs", "foreign\n");
  CommitRun run(dir / "bare", remote.options());
  run.put("s/2", "two");
  run.finish();
  EXPECT_EQ(remote.last().problem, "");
  const Git git(dir / "bare");
  git.expect_sound();
  EXPECT_EQ(git("rev-parse main"), remote.git()("rev-parse main"));
  EXPECT_EQ(git("ls-tree -r --name-only main"), "s/1\ns/2\ntheirs");
}

TEST(Push, LeavesToAPersonWhatBothSidesChanged) {
  const TempDir dir;
  Remote remote(dir);
  {
    CommitRun run(dir / "repo", remote.options());
    run.put("s/1", "one\n");
    run.finish();
  }
  remote.push_file("s/1", "foreign\n");
  const std::string foreign = remote.git()("rev-parse main");
  CommitRun run(dir / "repo", remote.options());
  const Task& task = run.put("s/1", "another\n");
  ASSERT_TRUE(run.all_back());
  EXPECT_TRUE(task.committed);
  run.finish();
  EXPECT_THAT(remote.last().problem, HasSubstr("cannot be merged: CONFLICT"));
  EXPECT_EQ(remote.git()("rev-parse main"), foreign) << "it must not be forced";
  const Git git(dir / "repo");
  EXPECT_EQ(git("show main:s/1"), "another");
  EXPECT_EQ(git("status --porcelain"), "");
  EXPECT_FALSE(std::filesystem::exists(dir / "repo/.git/MERGE_HEAD"));
}

TEST(Push, HoldsNothingUpWhenTheOtherSideIsSilent) {
  const TempDir dir;
  Remote remote(dir);
  Git(dir.path())("init -q -b main repo");
  const Git git(dir / "repo");
  git("config protocol.ext.allow always");
  git::CommitOptions options = remote.options();
  options.push_remote = "ext::sleep 1000";
  CommitRun run(dir / "repo", options);
  for (int i = 0; i < 5; ++i) {
    run.put("s/" + std::to_string(i), std::to_string(i));
    ASSERT_TRUE(run.all_back());
  }
  run.stage().cancel(Cancel::all);
  run.finish();
  EXPECT_EQ(git("ls-tree -r --name-only main | wc -l"), "5");
  EXPECT_NE(remote.last().problem, "");
}

TEST(Push, SaysThatItFailsAndCatchesUpInTheNextRun) {
  const TempDir dir;
  Remote remote(dir);
  {
    git::CommitOptions options = remote.options();
    options.push_remote = (dir / "nowhere").string();
    CommitRun run(dir / "repo", options);
    run.put("s/1", "one");
    ASSERT_TRUE(remote.wait_for_report());
    EXPECT_EQ(remote.last().moment, git::PushReport::Moment::trouble);
    run.finish();
    EXPECT_THAT(remote.last().problem, HasSubstr("git push: "));
    EXPECT_EQ(remote.last().moment, git::PushReport::Moment::end);
  }
  CommitRun run(dir / "repo", remote.options());
  run.finish();
  EXPECT_EQ(remote.last().problem, "");
  EXPECT_EQ(remote.git()("rev-parse main"), Git(dir / "repo")("rev-parse main"));
}

}  // namespace
}  // namespace pawl::test
