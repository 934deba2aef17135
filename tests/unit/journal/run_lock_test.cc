#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_fixture.h"

namespace pawl::journal {
namespace {

TEST(RunLock, SecondTakerIsRefusedWithThePidOfTheFirst) {
  const test::TempDir dir;
  auto first = RunLock::take(dir / "private");
  ASSERT_TRUE(first) << first.error().context;
  const auto second = RunLock::take(dir / "private");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::locked);
  EXPECT_NE(second.error().context.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().context;
  // The refusal must not have disturbed the holder.
  EXPECT_EQ(RunLock::holder(dir / "private").value(), ::getpid());
}

TEST(RunLock, IsFreeAgainAfterItsEndAndMovesWithItsObject) {
  const test::TempDir dir;
  {
    auto lock = RunLock::take(dir.path());
    ASSERT_TRUE(lock);
    const RunLock moved = std::move(*lock);
    EXPECT_EQ(RunLock::holder(dir.path()).value(), ::getpid());
  }
  EXPECT_EQ(RunLock::holder(dir.path()).value(), std::nullopt);
  EXPECT_TRUE(RunLock::take(dir.path()));
}

TEST(RunLock, NobodyHoldsAFolderThatIsMissing) {
  const test::TempDir dir;
  EXPECT_EQ(RunLock::holder(dir / "missing").value(), std::nullopt);
}

TEST(RunLock, FolderIsPrivate) {
  const test::TempDir dir;
  const auto lock = RunLock::take(dir / "a/b");
  ASSERT_TRUE(lock);
  EXPECT_EQ(std::filesystem::status(dir / "a/b").permissions(), std::filesystem::perms::owner_all);
}

TEST(RunLock, FolderThatCannotBeMadeIsAnIoError) {
  const test::TempDir dir;
  test::write_file(dir / "file", "x");
  const auto lock = RunLock::take(dir / "file" / "private");
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().code, ErrorCode::io);
  EXPECT_EQ(lock.error().sys_errno, ENOTDIR);
}

TEST(RunLock, AKilledHoldersLockIsTakenOver) {
  const test::TempDir dir;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = RunLock::take(dir.path());
    const char byte = lock ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  EXPECT_EQ(RunLock::holder(dir.path()).value(), child);
  const auto refused = RunLock::take(dir.path());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().context.find(std::to_string(child)), std::string::npos);

  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(RunLock::holder(dir.path()).value(), std::nullopt);
  EXPECT_TRUE(RunLock::take(dir.path()));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace pawl::journal
