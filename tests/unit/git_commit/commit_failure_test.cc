// What happens when the disk or the repository refuses.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include <gmock/gmock.h>

#include "lock_note.h"
#include "stage_fixture.h"

namespace pawl::test {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

/// Takes a lock as git does: only if nobody holds it, else a little later.
void take_lock(const fs::path& path) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  int fd = -1;
  while (fd < 0 && std::chrono::steady_clock::now() < deadline) {
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  }
  ASSERT_GE(fd, 0) << path;
  ::close(fd);
}

TEST(CommitFailure, NamesTheFileThatCannotBeWritten) {
  const TempDir dir;
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  ASSERT_TRUE(run.all_back());
  fs::rename(dir / "repo/.git/objects/pack", dir / "repo/.git/objects/away");
  std::ofstream(dir / "repo/.git/objects/pack") << "in the way";
  const Task& failed = run.put("s/2", "two");
  ASSERT_TRUE(run.all_back());
  EXPECT_EQ(failed.fate, Fate::unfinished);
  EXPECT_FALSE(failed.committed);
  EXPECT_EQ(failed.error->code, ErrorCode::io);
  EXPECT_THAT(failed.error->context, HasSubstr("objects/pack"));
  fs::remove(dir / "repo/.git/objects/pack");
  fs::rename(dir / "repo/.git/objects/away", dir / "repo/.git/objects/pack");
  const Task& later = run.put("s/3", "three");
  run.finish();
  EXPECT_EQ(later.fate, Fate::unfinished) << "a broken stage stays broken";
  const Git git(dir / "repo");
  EXPECT_EQ(git("ls-tree -r --name-only HEAD"), "s/1");
  git.expect_sound();
}

TEST(CommitFailure, LeavesNothingBehindWhenTheDiskIsFull) {
  const TempDir dir;
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  ASSERT_TRUE(run.all_back());
  struct rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string large;
  for (int i = 0; i < 100'000; ++i) large += std::to_string(i * 7919);
  const Task& failed = run.put("s/2", large);
  const bool back = run.all_back();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_TRUE(back);
  EXPECT_EQ(failed.fate, Fate::unfinished);
  EXPECT_EQ(failed.error->sys_errno, EFBIG);
  EXPECT_THAT(failed.error->context, HasSubstr("tmp_pack_"));
  run.stop();
  for (const auto& entry : fs::directory_iterator(dir / "repo/.git/objects/pack")) {
    EXPECT_THAT(entry.path().filename().string(), testing::StartsWith("pack-"));
  }
  Git(dir / "repo").expect_sound();
}

TEST(CommitFailure, SaysWhichLockIsInTheWay) {
  const TempDir dir;
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  ASSERT_TRUE(run.all_back());
  const fs::path lock = dir / "repo/.git/refs/heads/main.lock";
  take_lock(lock);
  run.stage().cancel(Cancel::all);  // and so does not insist for long
  const Task& failed = run.put("s/2", "two");
  run.finish();
  EXPECT_EQ(failed.fate, Fate::unfinished);
  EXPECT_EQ(failed.error->code, ErrorCode::locked);
  EXPECT_THAT(failed.error->context, HasSubstr("refs/heads/main.lock"));
  EXPECT_TRUE(fs::exists(lock)) << "it is not ours to remove";
  Git(dir / "repo").expect_sound();
}

/// Takes a lock, notes it, writes `content` into it, and is killed.
void die_with_lock(const fs::path& lock, const fs::path& note_path, const std::string& noted = {},
                   const std::string& content = {}) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    take_lock(lock);
    git::LockNote note(note_path, lock);
    note.covers(lock, noted);
    if (!content.empty()) std::ofstream(lock) << content << std::flush;
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(fs::exists(lock));
  ASSERT_TRUE(fs::exists(note_path));
}

TEST(CommitFailure, RemovesTheLocksOfAKilledRun) {
  const TempDir dir;
  const Git git(dir / "repo");
  const fs::path git_dir = dir / "repo/.git";
  const std::string tip(40, 'a');
  {
    const CommitRun run(dir / "repo");
  }
  for (const std::string& content : {std::string(), tip + '\n'}) {
    die_with_lock(git_dir / "refs/heads/main.lock", git_dir / "pawl/branch-lock", tip, content);
    die_with_lock(git_dir / "index.lock", git_dir / "pawl/index-lock");
    CommitRun run(dir / "repo");
    const Task& task = run.put("s/" + std::to_string(content.size()), "one");
    run.finish();
    EXPECT_TRUE(task.committed);
    EXPECT_FALSE(fs::exists(git_dir / "refs/heads/main.lock"));
    EXPECT_FALSE(fs::exists(git_dir / "pawl/branch-lock"));
    EXPECT_FALSE(fs::exists(git_dir / "pawl/index-lock"));
    EXPECT_EQ(git("status --porcelain"), "");
  }
}

TEST(CommitFailure, RespectsALockThatIsNotTheOneNoted) {
  const TempDir dir;
  const fs::path git_dir = dir / "repo/.git";
  const fs::path lock = git_dir / "refs/heads/main.lock";
  {
    const CommitRun run(dir / "repo");
  }
  const auto expect_respected = [&](const char* what) {
    CommitRun run(dir / "repo");
    run.stage().cancel(Cancel::all);
    const Task& task = run.put("s/1", "one");
    run.finish();
    EXPECT_FALSE(task.committed) << what;
    EXPECT_TRUE(fs::exists(lock)) << what;
    EXPECT_FALSE(fs::exists(git_dir / "pawl/branch-lock")) << what;
  };
  die_with_lock(lock, git_dir / "pawl/branch-lock");
  fs::rename(lock, git_dir / "kept");  // so that its inode is not used again
  take_lock(lock);
  expect_respected("another inode");
  fs::remove(lock);
  die_with_lock(lock, git_dir / "pawl/branch-lock", std::string(40, 'a'), std::string(40, 'b') + '\n');
  expect_respected("the same inode, another content");
}

TEST(CommitFailure, WaitsForALockThatGoesAway) {
  const TempDir dir;
  CommitRun run(dir / "repo");
  run.put("s/1", "one");
  ASSERT_TRUE(run.all_back());
  const fs::path lock = dir / "repo/.git/refs/heads/main.lock";
  take_lock(lock);
  const Task& task = run.put("s/2", "two");
  EXPECT_FALSE(run.sink().wait_for(2, std::chrono::milliseconds(300))) << "must not pass a held lock";
  fs::remove(lock);
  run.finish();
  EXPECT_TRUE(task.committed);
}

TEST(CommitFailure, TheBranchDoesNotMoveWhileAPersonHoldsTheIndex) {
  const TempDir dir;
  const Git git(dir / "repo");
  {
    CommitRun run(dir / "repo");
    run.put("s/1", "one");
    ASSERT_TRUE(run.all_back());
    take_lock(dir / "repo/.git/index.lock");
    run.stage().cancel(Cancel::all);  // and so does not insist for long
    const Task& task = run.put("s/2", "two");
    run.finish();
    EXPECT_FALSE(task.committed);
    EXPECT_EQ(task.error->code, ErrorCode::locked);
    EXPECT_THAT(task.error->context, HasSubstr(".git/index.lock"));
  }
  EXPECT_EQ(git("ls-tree -r --name-only HEAD"), "s/1");
  EXPECT_TRUE(fs::exists(dir / "repo/.git/index.lock")) << "it is not ours to remove";
  fs::remove(dir / "repo/.git/index.lock");
  CommitRun run(dir / "repo");
  run.put("s/3", "three");
  run.finish();
  EXPECT_EQ(git("status --porcelain"), "");
}

TEST(CommitFailure, RefusesADamagedTree) {
  const TempDir dir;
  const Git git(dir / "repo");
  {
    CommitRun run(dir / "repo");
    run.put("s/1", "one");
    run.finish();
  }
  // A commit whose tree is not there.
  const std::string commit = git("rev-parse HEAD");
  for (const auto& entry : fs::directory_iterator(dir / "repo/.git/objects/pack")) fs::remove(entry.path());
  CommitRun run(dir / "repo");
  const Task& task = run.put("s/2", "two");
  run.finish();
  EXPECT_EQ(task.fate, Fate::unfinished);
  EXPECT_EQ(task.error->code, ErrorCode::repository);
  EXPECT_EQ(git("rev-parse main"), commit);
}

}  // namespace
}  // namespace pawl::test
