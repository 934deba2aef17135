// The tree in memory: deltas, forgetting, conflicts.
#include "tree.h"

#include <map>

#include <gtest/gtest.h>

#include "git_program.h"
#include "pack_entry.h"
#include "temp_dir.h"

namespace pawl::test {
namespace {

using namespace git;

ObjectId blob(const std::string& content) { return hash_object(ObjectType::blob, content); }

Result<std::string> no_trees(const ObjectId&) { return failure(ErrorCode::repository, "there are no trees"); }

TEST(Tree, OfNothingIsGitsEmptyTree) {
  Tree tree(no_trees, std::nullopt);
  Pack pack(1);
  EXPECT_EQ(to_hex(tree.write(pack)), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

TEST(Tree, WritesSmallDeltasThatGitResolves) {
  const TempDir dir;
  Git(dir.path())("init -q --bare repo");
  const Git git(dir / "repo");
  Tree tree(no_trees, std::nullopt);
  Pack pack(7);
  tree.begin(7);
  std::vector<ObjectId> roots;
  std::uint64_t before = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string content = std::to_string(i);
    pack.add(blob(content), ObjectType::blob, content);
    before = pack.bytes();
    // Additions at both ends and replacements.
    const int name = i % 3 == 0 ? 500 - i : i % 3 == 1 ? 500 + i : 499;
    ASSERT_TRUE(tree.put("stream/00/01/request-" + std::to_string(name) + ".json", blob(content)).has_value());
    roots.push_back(tree.write(pack));
  }
  EXPECT_LT(pack.bytes() - before, 400u) << "four folders of up to 6 kB";
  auto files = PackFiles::write(pack, {dir / "repo/objects/pack", dir.path()});
  ASSERT_TRUE(files.has_value() && files->install().has_value());
  const GitResult fsck = git.run("fsck --strict --no-dangling --no-progress");
  EXPECT_EQ(fsck.exit_code, 0) << fsck.output;
  EXPECT_EQ(git("ls-tree -r --name-only " + to_hex(roots.back()) + " | wc -l"), "135");
  EXPECT_EQ(git("cat-file blob " + to_hex(roots.back()) + ":stream/00/01/request-499.json"), "197");
}

TEST(Tree, ForgetsWhatIsNotUsedAndReadsItAgain) {
  std::map<ObjectId, std::string> stored;
  std::size_t reads = 0;
  const TempDir dir;
  Git(dir.path())("init -q --bare repo");
  const Git git(dir / "repo");
  const auto read = [&](const ObjectId& id) -> Result<std::string> {
    ++reads;
    // `git cat-file tree` prints the raw bytes.
    const GitResult got = git.run("cat-file tree " + to_hex(id));
    if (got.exit_code != 0) return failure(ErrorCode::repository, got.output);
    return got.output;
  };
  Tree tree(read, std::nullopt);
  std::uint64_t most = 0;
  for (std::uint64_t generation = 1; generation <= 20; ++generation) {
    Pack pack(generation);
    tree.begin(generation);
    for (int i = 0; i < 50; ++i) {
      const std::string content = std::to_string(generation) + "-" + std::to_string(i);
      pack.add(blob(content), ObjectType::blob, content);
      ASSERT_TRUE(tree.put("s/" + std::to_string(generation) + "/" + content, blob(content)).has_value());
    }
    static_cast<void>(tree.write(pack));
    auto files = PackFiles::write(pack, {dir / "repo/objects/pack", dir.path()});
    ASSERT_TRUE(files.has_value() && files->install().has_value());
    tree.forget(generation - 1);
    most = std::max(most, tree.bytes());
  }
  EXPECT_LT(most, 20'000u);
  EXPECT_EQ(reads, 0u);
  Pack pack(21);
  tree.begin(21);
  const auto again = tree.put("s/1/1-7", blob("1-7"));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->kind, Put::Kind::unchanged);
  EXPECT_EQ(reads, 1u);
  EXPECT_FALSE(tree.changed());
  const auto replaced = tree.put("s/1/1-7", blob("other"));
  ASSERT_TRUE(replaced.has_value());
  EXPECT_EQ(replaced->kind, Put::Kind::replaced);
  EXPECT_EQ(replaced->previous, blob("1-7"));
}

TEST(Tree, IsUnchangedByAConflict) {
  Tree tree(no_trees, std::nullopt);
  Pack pack(1);
  ASSERT_TRUE(tree.put("a/b", blob("x")).has_value());
  const ObjectId before = tree.write(pack);
  for (const char* path : {"a", "a/b/c", "a/b/c/d/e"}) {
    const auto put = tree.put(path, blob("y"));
    ASSERT_TRUE(put.has_value());
    EXPECT_EQ(put->kind, Put::Kind::conflict) << path;
  }
  EXPECT_FALSE(tree.changed());
  EXPECT_EQ(tree.write(pack), before);
}

TEST(Tree, RefusesADamagedFolder) {
  for (const std::string& content : {std::string("100644 name"), std::string("nonsense"), std::string(" x\0", 3),
                                     std::string("100644 a\0short", 14)}) {
    Tree tree([&](const ObjectId&) -> Result<std::string> { return content; }, ObjectId{});
    const auto put = tree.put("a/b", blob("x"));
    ASSERT_FALSE(put.has_value()) << content;
    EXPECT_EQ(put.error().code, ErrorCode::repository);
  }
}

}  // namespace
}  // namespace pawl::test
