// What happens to the files and the index of a checked-out branch.
#include <fcntl.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "stage_fixture.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(WorkTree, FollowsTheBranch) {
  const TempDir dir;
  const Git git(dir / "repo");
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  run.put("s/2", "two");
  ASSERT_TRUE(run.all_back());
  run.put("s/1", "one again");
  run.finish();
  EXPECT_EQ(content_of(dir / "repo/s/1"), "one again");
  EXPECT_EQ(content_of(dir / "repo/s/2"), "two");
  EXPECT_EQ(git("status --porcelain"), "");
  EXPECT_EQ(git("diff-files"), "") << "git finds the files unchanged by their times and sizes alone";
  EXPECT_FALSE(fs::exists(dir / "repo/.git/pawl/work-tree"));
}

TEST(WorkTree, FollowsWithManyFilesAtOnceInTheirOrder) {
  const TempDir dir;
  const Git git(dir / "repo");
  git::CommitOptions options = quick_options();
  options.publish_every = std::chrono::minutes(1);  // everything in one publication, or few
  CommitRun run(dir / "repo", options);
  fs::create_directories(dir / "repo/s/3");
  std::ofstream(dir / "repo/s/3/7") << "a person's";
  std::vector<Task*> tasks;
  for (int version = 0; version < 3; ++version) {
    for (int i = 0; i < 1000; ++i) {
      const std::string path = "s/" + std::to_string(i % 10) + "/" + std::to_string(i / 10 % 50);
      tasks.push_back(&run.make(path, "version " + std::to_string(1000 * version + i)));
    }
  }
  run.give(tasks);
  run.finish();
  EXPECT_EQ(content_of(dir / "repo/s/3/7"), "a person's");
  EXPECT_EQ(content_of(dir / "repo/s/4/49"), "version 2994");
  EXPECT_EQ(git("status --porcelain"), " M s/3/7");
  EXPECT_EQ(run.stats().files_left, 6u);
  EXPECT_EQ(run.stats().files_written, 3000u - 6u);
}

TEST(WorkTree, NeverOverwritesAModifiedFile) {
  const TempDir dir;
  const Git git(dir / "repo");
  {
    CommitRun run(dir / "repo");
    run.put("s/1", "one");
    run.finish();
  }
  std::ofstream(dir / "repo/s/1") << "edited by hand";
  CommitRun run(dir / "repo");
  const Task& task = run.put("s/1", "one again");
  run.finish();
  EXPECT_TRUE(task.committed);
  EXPECT_EQ(content_of(dir / "repo/s/1"), "edited by hand");
  EXPECT_EQ(git("show HEAD:s/1"), "one again");
  EXPECT_EQ(git("status --porcelain"), " M s/1");
  EXPECT_EQ(run.stats().files_left, 1u);
}

TEST(WorkTree, NeverOverwritesAnUntrackedFile) {
  const TempDir dir;
  fs::create_directories(dir / "repo/s");
  std::ofstream(dir / "repo/s/1") << "mine";
  std::ofstream(dir / "repo/t") << "a file where a folder should be";
  const Git git(dir / "repo");
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  run.put("t/1", "one");
  run.put("u", "fine");
  run.finish();
  EXPECT_EQ(content_of(dir / "repo/s/1"), "mine");
  EXPECT_EQ(content_of(dir / "repo/t"), "a file where a folder should be");
  EXPECT_EQ(content_of(dir / "repo/u"), "fine");
  EXPECT_EQ(git("ls-tree -r --name-only HEAD"), "s/1\nt/1\nu");
  EXPECT_EQ(run.stats().files_left, 2u);
}

TEST(WorkTree, TakesAFileThatIsThereAlready) {
  const TempDir dir;
  fs::create_directories(dir / "repo/s");
  std::ofstream(dir / "repo/s/1") << "one";
  const Git git(dir / "repo");
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  run.finish();
  EXPECT_EQ(git("status --porcelain"), "");
  EXPECT_EQ(run.stats().files_left, 0u);
}

TEST(WorkTree, FollowsNoSymbolicLinkOutOfTheRepository) {
  const TempDir dir;
  fs::create_directories(dir / "outside");
  fs::create_directories(dir / "repo");
  fs::create_directory_symlink(dir / "outside", dir / "repo/s");
  std::ofstream(dir / "outside/target") << "untouched";
  fs::create_symlink(dir / "outside/target", dir / "repo/t");
  CommitRun run(dir / "repo");
  const Task& through_folder = run.put("s/1", "one");
  const Task& through_file = run.put("t", "two");
  run.finish();
  EXPECT_TRUE(through_folder.committed);
  EXPECT_TRUE(through_file.committed);
  EXPECT_FALSE(fs::exists(dir / "outside/1"));
  EXPECT_EQ(content_of(dir / "outside/target"), "untouched");
  EXPECT_TRUE(fs::is_symlink(dir / "repo/t"));
}

TEST(WorkTree, StaysWhenAnotherBranchIsCheckedOut) {
  const TempDir dir;
  const Git git(dir / "repo");
  Git(dir.path())("init -q -b main repo");
  git("commit -q --allow-empty -m first");
  git("branch results");
  CommitRun run(dir / "repo", quick_options(), "results");
  run.put("s/1", "one");
  run.finish();
  EXPECT_FALSE(fs::exists(dir / "repo/s"));
  EXPECT_EQ(git("show results:s/1"), "one");
  EXPECT_EQ(git("status --porcelain"), "");
}

TEST(WorkTree, IsLeftAloneWhenAskedTo) {
  const TempDir dir;
  git::CommitOptions options = quick_options();
  options.work_tree = git::CommitOptions::WorkTree::leave;
  CommitRun run(dir / "repo", options);
  run.put("s/1", "one");
  run.finish();
  EXPECT_FALSE(fs::exists(dir / "repo/s"));
}

TEST(WorkTree, KeepsWhatAPersonStagedMeanwhile) {
  const TempDir dir;
  const Git git(dir / "repo");
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  ASSERT_TRUE(run.all_back());
  std::ofstream(dir / "repo/notes") << "mine";
  git("add notes");
  run.put("s/2", "two");
  run.finish();
  EXPECT_EQ(git("status --porcelain"), "A  notes");
}

TEST(WorkTree, FollowsOnceTheIndexIsNoLongerLocked) {
  const TempDir dir;
  const Git git(dir / "repo");
  const fs::path lock = dir / "repo/.git/index.lock";
  CommitRun run(dir / "repo");
  std::ofstream(lock) << "of somebody";
  run.put("s/1", "one");
  EXPECT_FALSE(run.sink().wait_for(1, std::chrono::milliseconds(200))) << "the branch must not move without the index";
  EXPECT_EQ(git("ls-files"), "") << "nobody but its owner touches a locked index";
  fs::remove(lock);
  run.put("s/2", "two");
  run.finish();
  EXPECT_EQ(git("ls-files"), "s/1\ns/2");
  EXPECT_EQ(git("status --porcelain"), "");
  EXPECT_FALSE(fs::exists(lock));
}

TEST(WorkTree, FollowsInAnIndexOfVersion4) {
  const TempDir dir;
  const Git git(dir / "repo");
  Git(dir.path())("init -q -b main repo");
  git("config index.version 4");
  std::ofstream(dir / "repo/notes") << "mine";
  git("add notes");
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  ASSERT_TRUE(run.all_back());
  run.put("s/1", "one again");
  run.put("s/2", "two");
  run.finish();
  EXPECT_EQ(git("status --porcelain"), "A  notes");
  EXPECT_EQ(git("diff-files"), "");
}

TEST(WorkTree, CatchesUpAfterACrash) {
  const TempDir dir;
  const Git git(dir / "repo");
  std::string first;
  {
    CommitRun run(dir / "repo");
    run.put("s/1", "one");
    run.put("s/2", "two");
    ASSERT_TRUE(run.all_back());
    run.finish();
    first = git("rev-parse HEAD");
  }
  {
    // The branch moves, but files and index do not follow: as if killed right after.
    git::CommitOptions options = quick_options();
    options.work_tree = git::CommitOptions::WorkTree::leave;
    CommitRun run(dir / "repo", options);
    run.put("s/1", "one again");
    run.put("s/3", "three");
    run.finish();
  }
  std::ofstream(dir / "repo/s/2") << "edited by hand";
  std::ofstream(dir / "repo/.git/pawl/work-tree") << first << '\n';
  CommitRun run(dir / "repo");
  run.put("s/4", "four");
  run.finish();
  EXPECT_EQ(content_of(dir / "repo/s/1"), "one again");
  EXPECT_EQ(content_of(dir / "repo/s/3"), "three");
  EXPECT_EQ(git("status --porcelain"), " M s/2");
}

TEST(WorkTree, FinishesFilesThatAKilledRunHadBegun) {
  const TempDir dir;
  const Git git(dir / "repo");
  {
    CommitRun run(dir / "repo");
    run.put("s/0", "zero");
    run.finish();
  }
  const std::string first = git("rev-parse HEAD");
  {
    git::CommitOptions options = quick_options();
    options.work_tree = git::CommitOptions::WorkTree::leave;
    CommitRun run(dir / "repo", options);
    for (const char* name : {"s/1", "s/2", "s/3", "s/4"}) run.put(name, "the whole content");
    run.finish();
  }
  std::ofstream(dir / "repo/s/1").flush();
  std::ofstream(dir / "repo/s/2") << "the whole";
  std::ofstream(dir / "repo/s/3") << "the whole content, and more";
  std::ofstream(dir / "repo/s/4") << "another";
  std::ofstream(dir / "repo/.git/pawl/work-tree") << first << '\n';
  CommitRun run(dir / "repo");
  ASSERT_TRUE(run.put("s/5", "five").error == std::nullopt);
  run.finish();
  EXPECT_EQ(content_of(dir / "repo/s/1"), "the whole content");
  EXPECT_EQ(content_of(dir / "repo/s/2"), "the whole content");
  EXPECT_EQ(git("status --porcelain"), " M s/3\n M s/4") << "what a person wrote stays";
}

TEST(WorkTree, LeavesABeginningOfAFileAloneWhenThereWasNoCrash) {
  const TempDir dir;
  fs::create_directories(dir / "repo/s");
  std::ofstream(dir / "repo/s/1") << "on";
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  run.finish();
  EXPECT_EQ(content_of(dir / "repo/s/1"), "on");
}

/// quick_options() with the report going to `reports`.
git::CommitOptions reporting_options(std::vector<git::WorkTreeReport>& reports) {
  git::CommitOptions options = quick_options();
  options.on_work_tree_report = [&reports](const git::WorkTreeReport& report) { reports.push_back(report); };
  return options;
}

TEST(WorkTree, CatchesUpWithFilesThatCouldNotBeWritten) {
  const TempDir dir;
  const Git git(dir / "repo");
  {
    CommitRun run(dir / "repo");
    run.put("s/1", "one");
    run.finish();
  }
  const std::string first = git("rev-parse HEAD");
  const std::string large(100'000, 'a');  // in the pack it is small
  std::vector<git::WorkTreeReport> reports;
  {
    CommitRun run(dir / "repo", reporting_options(reports));
    struct rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small{65536, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    run.put("s/1", large);
    run.put("s/2", large);
    const bool back = run.all_back();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, handler);
    ASSERT_TRUE(back);
    run.put("s/2", "two");
    run.put("s/3", "three");
    run.finish();
  }
  EXPECT_EQ(content_of(dir / "repo/s/1"), "one");
  EXPECT_EQ(content_of(dir / "repo/s/2"), "two") << "the failure is not taken for a person's doing";
  EXPECT_EQ(git("ls-files"), "s/1\ns/2\ns/3");
  EXPECT_EQ(content_of(dir / "repo/.git/pawl/work-tree"), first + '\n');
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].files_left, 0u);
  EXPECT_EQ(reports[0].problem, "2 files could not be written, the first s/1: File too large");
  CommitRun run(dir / "repo", reporting_options(reports));
  run.put("s/4", "four");
  run.finish();
  EXPECT_EQ(content_of(dir / "repo/s/1"), large);
  EXPECT_EQ(git("status --porcelain"), "");
  EXPECT_FALSE(fs::exists(dir / "repo/.git/pawl/work-tree"));
  EXPECT_EQ(reports.size(), 1u) << "nothing to report after a good end";
}

TEST(WorkTree, ReportsWhatItLeftAtTheEnd) {
  const TempDir dir;
  std::vector<git::WorkTreeReport> reports;
  {
    CommitRun run(dir / "repo");
    run.put("s/1", "one");
    run.put("s/2", "two");
    run.finish();
  }
  std::ofstream(dir / "repo/s/2") << "edited by hand";
  CommitRun run(dir / "repo", reporting_options(reports));
  run.put("s/1", "one again");
  run.put("s/2", "two again");
  ASSERT_TRUE(run.all_back());
  EXPECT_TRUE(reports.empty());
  run.stop();
  run.stop();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].files_left, 1u);
  EXPECT_EQ(reports[0].first_left, "s/2");
  EXPECT_EQ(reports[0].problem, "");
}

}  // namespace
}  // namespace pawl::test
