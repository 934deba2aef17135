// Opening and making repositories.
#include <sys/stat.h>

#include <fstream>

#include <gmock/gmock.h>

#include "git_program.h"
#include "repository.h"
#include "temp_dir.h"

namespace pawl::test {
namespace {

using git::Repository;
using git::RepositoryOptions;
using testing::HasSubstr;

RepositoryOptions at(const std::filesystem::path& path, std::string branch = {}) {
  return {path, std::move(branch), RepositoryOptions::Missing::create};
}

TEST(Repository, MakesWhatIsMissing) {
  const TempDir dir;
  const auto repository = Repository::open(at(dir / "a/b/c"));
  ASSERT_TRUE(repository.has_value()) << repository.error().context;
  EXPECT_TRUE((*repository)->created());
  EXPECT_EQ((*repository)->branch(), "refs/heads/main");
  EXPECT_EQ((*repository)->work_tree(), std::filesystem::canonical(dir / "a/b/c"));
  struct stat state{};
  ASSERT_EQ(::stat((dir / "a/b/c/.git/pawl").c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0700u);
  EXPECT_EQ(Git(dir / "a/b/c")("rev-parse --is-inside-work-tree"), "true");
  const auto again = Repository::open(at(dir / "a/b/c"));
  ASSERT_TRUE(again.has_value());
  EXPECT_FALSE((*again)->created());
  const auto tip = git::branch_tip(**again);
  ASSERT_TRUE(tip.has_value());
  EXPECT_FALSE(tip->has_value()) << "unborn";
}

TEST(Repository, MakesNothingWhenAskedNotTo) {
  const TempDir dir;
  const auto repository = Repository::open({dir / "none", "", RepositoryOptions::Missing::fail});
  ASSERT_FALSE(repository.has_value());
  EXPECT_EQ(repository.error().code, ErrorCode::repository);
  EXPECT_THAT(repository.error().context, HasSubstr("no git repository at"));
  EXPECT_FALSE(std::filesystem::exists(dir / "none"));
}

TEST(Repository, StartsInAFolderThatHasFiles) {
  const TempDir dir;
  std::ofstream(dir / "note") << "mine";
  const auto repository = Repository::open(at(dir.path()));
  ASSERT_TRUE(repository.has_value()) << repository.error().context;
  EXPECT_EQ(Git(dir.path())("status --porcelain"), "?? note");
}

TEST(Repository, IsNotTheOneAroundTheFolder) {
  const TempDir dir;
  Git(dir.path())("init -q");
  std::filesystem::create_directory(dir / "inner");
  const auto repository = Repository::open(at(dir / "inner"));
  ASSERT_TRUE(repository.has_value());
  EXPECT_TRUE((*repository)->created());
}

TEST(Repository, RefusesAFile) {
  const TempDir dir;
  std::ofstream(dir / "file") << "x";
  const auto repository = Repository::open(at(dir / "file"));
  ASSERT_FALSE(repository.has_value());
  EXPECT_THAT(repository.error().context, HasSubstr("is not a folder"));
}

TEST(Repository, AsksForABranchWhenHeadIsDetached) {
  const TempDir dir;
  const Git git(dir.path());
  git("init -q -b main");
  git("commit -q --allow-empty -m first");
  git("checkout -q --detach");
  const auto detached = Repository::open(at(dir.path()));
  ASSERT_FALSE(detached.has_value());
  EXPECT_THAT(detached.error().context, HasSubstr("--branch"));
  const auto named = Repository::open(at(dir.path(), "main"));
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ((*named)->branch(), "refs/heads/main");
  const auto impossible = Repository::open(at(dir.path(), "a..b"));
  ASSERT_FALSE(impossible.has_value());
  EXPECT_THAT(impossible.error().context, HasSubstr("a..b"));
}

TEST(Repository, RefusesSha256) {
  const TempDir dir;
  Git(dir.path())("init -q --object-format=sha256");
  const auto repository = Repository::open(at(dir.path()));
  ASSERT_FALSE(repository.has_value());
  EXPECT_THAT(repository.error().context, HasSubstr("SHA-256"));
}

TEST(Repository, RefusesWhatSomebodyElseOwns) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  const TempDir dir;
  Git(dir.path())("init -q repo");
  ASSERT_EQ(::chown((dir / "repo").c_str(), 12345, 12345), 0);
  ASSERT_EQ(::chown((dir / "repo/.git").c_str(), 12345, 12345), 0);
  const auto repository = Repository::open(at(dir / "repo"));
  ASSERT_FALSE(repository.has_value());
  EXPECT_THAT(repository.error().context, HasSubstr("safe.directory"));
}

TEST(Repository, OpensALinkedWorkTree) {
  const TempDir dir;
  Git(dir.path())("init -q -b main repo");
  const Git git(dir / "repo");
  git("commit -q --allow-empty -m first");
  git("worktree add -q -b side ../linked");
  const auto repository = Repository::open(at(dir / "linked"));
  ASSERT_TRUE(repository.has_value()) << repository.error().context;
  EXPECT_EQ((*repository)->branch(), "refs/heads/side");
  EXPECT_EQ((*repository)->impl().common_dir, std::filesystem::canonical(dir / "repo/.git"));
  EXPECT_EQ((*repository)->git_dir(), std::filesystem::canonical(dir / "repo/.git/worktrees/linked"));
}

}  // namespace
}  // namespace pawl::test
