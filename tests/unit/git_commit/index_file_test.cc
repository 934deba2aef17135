// What git finds in an index that pawl wrote, and what is left of what was in it before.
#include "index_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "git_program.h"
#include "object_id.h"
#include "temp_dir.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

git::ObjectId blob_of(std::string_view content) {
  const Result<git::ObjectId> blob = git::hash_blob(content);
  EXPECT_TRUE(blob.has_value());
  return *blob;
}

/// A repository with a work tree, and changes to come.
class IndexFile : public testing::Test {
 protected:
  IndexFile() { Git(dir_.path())("init -q -b main repo"); }

  void put(const fs::path& path, std::string_view content) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << content;
  }
  /// The branch holds `content` now, before that `previous`; nothing is known about a file.
  void change(std::string_view path, std::string_view content, std::optional<std::string_view> previous = {}) {
    changes_.add(path, blob_of(content), previous ? std::optional(blob_of(*previous)) : std::nullopt, std::nullopt);
  }
  [[nodiscard]] git::IndexPlaces places() const { return {index_, root_ / ".git/index.new", root_}; }
  Result<git::IndexOutcome> update_index() {
    git::IndexLock lock(index_, root_ / ".git/index-lock");
    return git::update_index(places(), changes_, lock);
  }
  void update() {
    const Result<git::IndexOutcome> outcome = update_index();
    ASSERT_TRUE(outcome.has_value()) << outcome.error().context;
    EXPECT_EQ(*outcome, git::IndexOutcome::current);
    EXPECT_FALSE(fs::exists(index_.string() + ".lock"));
    EXPECT_FALSE(fs::exists(places().temporary));
  }
  void expect_declined() {
    const std::string before = bytes_of(index_);
    const Result<git::IndexOutcome> outcome = update_index();
    ASSERT_TRUE(outcome.has_value()) << outcome.error().context;
    EXPECT_EQ(*outcome, git::IndexOutcome::declined);
    EXPECT_EQ(bytes_of(index_), before);
  }
  [[nodiscard]] std::string line(std::string_view path, std::string_view content, const char* mode = "100644") const {
    return std::string(mode) + " " + git::to_hex(blob_of(content)) + " 0\t" + std::string(path);
  }

  const TempDir dir_;
  const fs::path root_ = dir_ / "repo";
  const fs::path index_ = root_ / ".git/index";
  const Git git_{root_};
  git::IndexChanges changes_;
};

TEST_F(IndexFile, IsMadeIfThereIsNone) {
  change("b/2", "two");
  change("a", "one");
  change("b-", "three");
  update();
  EXPECT_EQ(git_("ls-files --stage"), line("a", "one") + "\n" + line("b-", "three") + "\n" + line("b/2", "two"));
}

TEST_F(IndexFile, AgreesWithAModelOverRandomChanges) {
  const char* given = std::getenv("PAWL_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << '\n';
  std::mt19937 random(seed);
  const auto below = [&](unsigned end) { return static_cast<unsigned>(random() % end); };
  std::map<std::string, std::string> held;    // what the index holds
  std::map<std::string, std::string> branch;  // what the branch holds
  for (int round = 0; round < 12; ++round) {
    changes_.clear();
    for (unsigned i = below(300); i > 0; --i) {
      const std::string name =
          "d" + std::to_string(below(5)) + "/" + std::string(below(90), 'x') + std::to_string(below(20));
      const std::string content = std::to_string(random());
      const auto before = branch.find(name);
      const bool fresh = before == branch.end();
      change(name, content, fresh ? std::nullopt : std::optional<std::string_view>(before->second));
      const auto at = held.find(name);
      if (at == held.end() ? fresh : !fresh && at->second == before->second) held[name] = content;
      branch[name] = content;
    }
    update();
    // A person stages some changes, and takes some paths out.
    std::string input;
    for (auto at = held.begin(); at != held.end();) {
      const unsigned what = below(20);
      if (what == 0) at->second = std::to_string(random());
      if (what <= 1) {
        input += what == 0 ? "100644 " + git::to_hex(blob_of(at->second)) : "0 " + std::string(40, '0');
        input += "\t" + at->first + "\n";
      }
      at = what == 1 ? held.erase(at) : std::next(at);
    }
    std::ofstream(dir_ / "input") << input;
    git_("update-index --index-info < " + shell_word((dir_ / "input").string()));
    std::string expected;
    for (const auto& [path, content] : held) expected += (expected.empty() ? "" : "\n") + line(path, content);
    ASSERT_EQ(git_("ls-files --stage"), expected) << "round " << round;
  }
}

TEST_F(IndexFile, FollowsSeveralChangesOfOnePath) {
  change("a", "one");
  update();
  changes_.clear();
  change("a", "two", "one");
  change("n", "1");
  change("a", "three", "two");
  change("n", "2", "1");
  update();
  EXPECT_EQ(git_("ls-files --stage"), line("a", "three") + "\n" + line("n", "2"));
}

TEST_F(IndexFile, LeavesWhatAPersonStagedAndUnstaged) {
  put("staged", "mine");
  put("same", "one");
  git_("add staged same");
  change("staged", "two", "one");
  change("same", "two", "one");
  change("removed", "two", "one");
  update();
  EXPECT_EQ(git_("ls-files --stage"), line("same", "two") + "\n" + line("staged", "mine"));
}

TEST_F(IndexFile, IsNotRewrittenForNothing) {
  put("staged", "mine");
  git_("add staged");
  const fs::file_time_type before = fs::last_write_time(index_) - std::chrono::hours(1);
  fs::last_write_time(index_, before);
  change("staged", "two", "one");
  update();
  EXPECT_EQ(fs::last_write_time(index_), before);
}

TEST_F(IndexFile, KeepsFlagsModesAndConflicts) {
  for (const char* name : {"assumed", "skipped", "script", "plain", "skipped-too"}) put(name, name);
  git_("add .");
  git_("update-index --chmod=+x script");
  git_("update-index --assume-unchanged assumed");
  git_("update-index --skip-worktree skipped skipped-too");
  put("intended", "later");
  git_("add -N intended");
  std::ofstream(dir_ / "conflict") << "100644 " << git::to_hex(blob_of("base")) << " 1\tfought\n100644 "
                                   << git::to_hex(blob_of("ours")) << " 2\tfought\n";
  git_("update-index --index-info < " + shell_word((dir_ / "conflict").string()));
  const std::string flags = git_("ls-files -v");
  change("assumed", "two", "assumed");
  change("skipped", "two", "skipped");
  change("script", "two", "script");
  change("fought", "two", "base");
  change("intended", "two");
  update();
  EXPECT_EQ(git_("ls-files -v"), flags);
  EXPECT_EQ(git_("ls-files --stage assumed skipped script"),
            line("assumed", "two") + "\n" + line("script", "two", "100755") + "\n" + line("skipped", "two"));
  EXPECT_EQ(git_("ls-files --unmerged").substr(0, 49), "100644 " + git::to_hex(blob_of("base")) + " 1");
  EXPECT_EQ(git_("ls-files --stage intended"), line("intended", ""));
}

TEST_F(IndexFile, NeverHoldsAFileAndAFolderOfOneName) {
  put("t", "mine");
  put("u/deep/1", "mine");
  git_("add t u");
  const std::string before = git_("ls-files --stage");
  change("t.a", "fine");
  change("t/1", "blocked by t");
  change("u", "blocked by u/deep/1");
  change("u-", "fine");
  update();
  EXPECT_EQ(git_("ls-files"), "t\nt.a\nu-\nu/deep/1");
  EXPECT_EQ(git_("ls-files --stage t u"), before);
}

TEST_F(IndexFile, TakesAPathLongerThanItsLengthField) {
  std::string path = "a";
  while (path.size() < 5000) path += "/" + std::string(100, 'b');
  change(path, "one");
  change("c", "one");
  update();
  changes_.clear();
  change(path, "two", "one");
  update();
  EXPECT_EQ(git_("ls-files --stage"), line(path, "two") + "\n" + line("c", "one"));
}

TEST_F(IndexFile, WaitsForWhoeverHoldsTheLock) {
  put("mine", "mine");
  git_("add mine");
  const std::string before = bytes_of(index_);
  std::ofstream(index_.string() + ".lock") << "of somebody";
  change("a", "one");
  const Result<git::IndexOutcome> outcome = update_index();
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, ErrorCode::locked);
  EXPECT_EQ(bytes_of(index_), before);
  EXPECT_EQ(bytes_of(index_.string() + ".lock"), "of somebody");
  fs::remove(index_.string() + ".lock");
  update();
  EXPECT_EQ(git_("ls-files"), "a\nmine");
}

TEST_F(IndexFile, LosesNothingThatIsAddedMeanwhile) {
  for (int i = 0; i < 50000; ++i) change("s/" + std::to_string(i), "one");  // so that writing takes its time
  update();
  constexpr int kAdded = 40;
  std::atomic<bool> done{false};
  std::thread person([&] {
    for (int i = 0; i < kAdded; ++i) {
      put("mine/" + std::to_string(i), "mine");
      const std::string add = "add mine/" + std::to_string(i);
      while (git_.run(add).exit_code != 0) {  // it found the lock held
      }
    }
    done.store(true, std::memory_order_release);  // release: the files are in the index; pairs with the loop below
  });
  int rounds = 0;
  for (; !done.load(std::memory_order_acquire); ++rounds) {
    changes_.clear();
    change("t/" + std::to_string(rounds), "one");
    while (!update_index()) {  // it found the lock held
    }
  }
  person.join();
  const std::string names = git_("ls-files mine t");
  EXPECT_EQ(std::ranges::count(names, '\n') + 1, kAdded + rounds);
}

TEST_F(IndexFile, KeepsThePermissionsOfTheFile) {
  put("mine", "mine");
  git_("add mine");
  ASSERT_EQ(::chmod(index_.c_str(), 0640), 0);
  change("a", "one");
  update();
  EXPECT_EQ(fs::status(index_).permissions(), fs::perms(0640));
}

TEST_F(IndexFile, DeclinesWhatItDoesNotKnow) {
  for (int i = 0; i < 100; ++i) put("f" + std::to_string(i), "mine");
  git_("add .");
  change("a", "one");
  git_("update-index --index-version 4");
  expect_declined();
  git_("update-index --index-version 2");
  git_("update-index --split-index");
  expect_declined();
  git_("update-index --no-split-index");
  const std::string sound = bytes_of(index_);
  const std::string body = sound.substr(0, sound.size() - 20);
  const std::string none(20, '\0');  // as git writes it with index.skipHash
  const auto extended = [&](const char* name) { return body + name + std::string(4, '\0') + none; };
  std::string damaged = sound;
  damaged[sound.size() / 2] ^= 1;
  for (const std::string& content :
       {damaged, sound.substr(0, sound.size() / 2), std::string("DIRC"), std::string(), extended("must")}) {
    std::ofstream(index_, std::ios::binary) << content;
    expect_declined();
  }
  std::ofstream(index_, std::ios::binary) << extended("MAYB");
  update();
  EXPECT_EQ(git_("ls-files a"), "a");
  put("a", "one");
  git_("hash-object -w a");
  EXPECT_EQ(git_("fsck"), "notice: HEAD points to an unborn branch (main)\nnotice: No default references");
}

TEST_F(IndexFile, StillTellsAFileThatChangedInTheSecondItWasStaged) {
  // Only the content tells git that the file has changed again: not time, not size; and that only because the index
  // is no younger than the file. One written later must not take that away.
  git_("config core.trustctime false");
  const timespec then[2] = {{1'700'000'000, 5}, {1'700'000'000, 5}};
  const auto set_back = [&](const fs::path& path) { ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), then, 0), 0); };
  put("young", "mine 1");
  put("other", "mine 1");
  set_back(root_ / "young");
  set_back(root_ / "other");
  git_("add young other");
  put("young", "mine 2");
  set_back(root_ / "young");
  set_back(index_);
  change("a", "one");
  update();
  EXPECT_EQ(git_("diff-files --name-only young"), "young");
  EXPECT_EQ(git_("diff-files --name-only other"), "") << "git needs not look into a file that did not change";
}

}  // namespace
}  // namespace pawl::test
