// Packs and their indexes as the git program reads them.
#include "pack.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>

#include <gtest/gtest.h>

#include "delta_chain.h"
#include "git_program.h"
#include "pack_entry.h"
#include "temp_dir.h"

namespace pawl::test {
namespace {

using namespace git;
namespace fs = std::filesystem;

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

TEST(Pack, IsWhatGitReads) {
  const TempDir dir;
  Git(dir.path())("init -q --bare repo");
  const Git git(dir / "repo");
  Pack pack(1);
  std::vector<std::string> contents{"", "small", std::string(200'000, 'x')};
  for (int i = 0; i < 3000; ++i) contents.push_back("content " + std::to_string(i));
  std::vector<std::string> entries;
  entries.reserve(contents.size());  // large ones are borrowed
  std::string large;
  for (int i = 0; large.size() < 300'000; ++i) large += std::to_string(i * 2654435761u);
  contents.push_back(large);
  for (const std::string& content : contents) {
    const ObjectId id = hash_object(ObjectType::blob, content);
    std::string& entry = entries.emplace_back();
    append_pack_entry(entry, ObjectType::blob, content);
    EXPECT_FALSE(pack.find(id).has_value());
    EXPECT_TRUE(pack.add_ready(id, entry, crc32_of(entry)).has_value());
    EXPECT_TRUE(pack.find(id).has_value());
    EXPECT_FALSE(pack.add_ready(id, entry, crc32_of(entry)).has_value()) << "twice";
  }
  EXPECT_EQ(pack.objects(), contents.size());
  const PackFolders folders{dir / "repo/objects/pack", dir.path()};
  {
    auto files = PackFiles::write(pack, folders);
    ASSERT_TRUE(files.has_value()) << files.error().context;
    EXPECT_EQ(files_in(folders.packs), 0u);
    ASSERT_TRUE(files->install().has_value());
    EXPECT_EQ(files_in(folders.packs), 3u);
    git("repack -a -d -q");
    EXPECT_EQ(files_in(folders.packs), 3u) << "kept, although no branch leads there";
  }
  EXPECT_EQ(files_in(folders.packs), 2u);
  EXPECT_EQ(git("count-objects -v | grep in-pack"), "in-pack: " + std::to_string(contents.size()));
  const GitResult fsck = git.run("fsck --strict --no-dangling --no-progress");
  EXPECT_EQ(fsck.exit_code, 0) << fsck.output;
  EXPECT_EQ(git("cat-file blob " + to_hex(hash_object(ObjectType::blob, large))), large);
  EXPECT_EQ(git("cat-file blob " + to_hex(hash_object(ObjectType::blob, "content 77"))), "content 77");
}

TEST(Pack, LeavesNoTemporaryFiles) {
  const TempDir dir;
  Pack pack(1);
  pack.add(hash_object(ObjectType::blob, "x"), ObjectType::blob, "x");
  const PackFolders folders{dir / "pack", dir / "scratch"};
  fs::create_directory(folders.scratch);
  {
    auto files = PackFiles::write(pack, folders);
    ASSERT_TRUE(files.has_value());
    EXPECT_EQ(files_in(folders.scratch), 2u);
    const PackFiles moved = std::move(*files);
    EXPECT_EQ(files_in(folders.scratch), 2u);
  }
  EXPECT_EQ(files_in(folders.scratch), 0u);
  EXPECT_EQ(files_in(folders.packs), 0u);
}

TEST(Pack, CleansUpAfterAKilledRunAndTouchesNothingOfOthers) {
  const TempDir dir;
  const PackFolders folders{dir / "pack", dir / "scratch"};
  fs::create_directory(folders.packs);
  fs::create_directory(folders.scratch);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Pack pack(1);
    pack.add(hash_object(ObjectType::blob, "x"), ObjectType::blob, "x");
    auto files = PackFiles::write(pack, folders);
    if (files && files->install()) ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  std::ofstream(folders.packs / "pack-1.keep");
  std::ofstream(folders.packs / "pack-2.keep") << "pawl: being published from /elsewhere\n";
  std::ofstream(folders.scratch / "tmp_pack_abcdef") << "half";
  std::ofstream(folders.scratch / "settings") << "mine";
  EXPECT_EQ(files_in(folders.packs), 5u);
  PackFiles::clean_up(folders);
  EXPECT_EQ(files_in(folders.packs), 4u) << "the pack, its index, and two that others keep";
  EXPECT_TRUE(fs::exists(folders.packs / "pack-1.keep"));
  EXPECT_TRUE(fs::exists(folders.packs / "pack-2.keep"));
  EXPECT_EQ(files_in(folders.scratch), 1u);
}

TEST(Pack, SaysWhichFileCannotBeWritten) {
  const TempDir dir;
  std::ofstream(dir / "file") << "in the way";
  Pack pack(1);
  const auto files = PackFiles::write(pack, {dir / "file/pack", dir.path()});
  ASSERT_FALSE(files.has_value());
  EXPECT_EQ(files.error().code, ErrorCode::io);
  EXPECT_NE(files.error().context.find("file/pack"), std::string::npos);
}

TEST(WriteAll, CopesWithManyPiecesAndEmptyOnes) {
  const TempDir dir;
  const fs::path path = dir / "file";
  const int fd = ::open(path.c_str(), O_CREAT | O_RDWR, 0600);
  ASSERT_GE(fd, 0);
  std::vector<std::string_view> pieces;
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string_view piece = i % 3 == 0 ? std::string_view{} : std::string_view("abcdefg").substr(0, 1 + i % 7);
    pieces.push_back(piece);
    expected += piece;
  }
  EXPECT_TRUE(write_all(fd, pieces, path).has_value());
  std::string got(expected.size() + 1, '\0');
  EXPECT_EQ(::pread(fd, got.data(), got.size(), 0), static_cast<ssize_t>(expected.size()));
  got.pop_back();
  EXPECT_EQ(got, expected);
  ::close(fd);
}

/// Lines of few kinds, so that two texts have some in common, whole or in part.
std::string random_lines(std::mt19937_64& random) {
  std::string text;
  for (std::size_t lines = random() % 12; lines > 0; --lines) {
    text += std::string(random() % 3 == 0 ? random() % 400 : random() % 12, static_cast<char>('a' + random() % 2));
    text += std::to_string(random() % 5);
    text += std::string(random() % 12, 'z');
    if (lines > 1 || random() % 2 == 0) text += '\n';
  }
  return text;
}

TEST(DeltaChain, IsWhatGitReadsWhateverTheTexts) {
  const char* given = std::getenv("PAWL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << '\n';
  std::mt19937_64 random(seed);
  const TempDir dir;
  Git(dir.path())("init -q --bare repo");
  const Git git(dir / "repo");
  Pack pack(1);
  DeltaChain chain;
  std::string ids;
  const auto add = [&](const std::string& content) {
    const ObjectId id = hash_object(ObjectType::blob, content);
    if (!pack.find(id).has_value()) ids += to_hex(id) + '\n';
    chain.add(pack, id, ObjectType::blob, content);
  };
  for (int i = 0; i < 2000; ++i) add(random_lines(random));
  // And as commits are.
  const std::string same(100, 's');
  for (int i = 0; i < 100; ++i) add(same + std::to_string(i) + "\n" + same + "\n" + std::to_string(i * 7) + same);
  const PackFolders folders{dir / "repo/objects/pack", dir.path()};
  auto files = PackFiles::write(pack, folders);
  ASSERT_TRUE(files.has_value()) << files.error().context;
  ASSERT_TRUE(files->install().has_value());
  // Makes each object of its deltas and compares its name.
  std::string index;
  for (const auto& entry : fs::directory_iterator(folders.packs)) {
    if (entry.path().extension() == ".idx") index = entry.path().string();
  }
  const std::string listed = git("verify-pack -v " + shell_word(index));
  EXPECT_NE(listed.find("chain length = 20: "), std::string::npos);
  EXPECT_EQ(listed.find("chain length = 21: "), std::string::npos);
  std::ofstream(dir / "ids") << ids;
  EXPECT_EQ(git("cat-file --batch-check < " + shell_word((dir / "ids").string()) + " | grep -c ' blob '"),
            std::to_string(pack.objects()));
}

}  // namespace
}  // namespace pawl::test
