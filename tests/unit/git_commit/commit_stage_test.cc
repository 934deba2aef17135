// Commits as the git program sees them.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <random>

#include <gmock/gmock.h>

#include "stage_fixture.h"
#include "within.h"

namespace pawl::test {
namespace {

using testing::HasSubstr;

constexpr auto kLong = std::chrono::milliseconds(60'000);

TEST(CommitStage, MakesRepositoryAndCommitsOneTask) {
  const TempDir dir;
  CommitRun run(dir / "new/repo");
  const Task& task = run.put("s/00/00/one.json", "{}\n");
  run.finish();
  EXPECT_TRUE(task.committed);
  EXPECT_FALSE(task.unchanged);
  const Git git(dir / "new/repo");
  git.expect_sound();
  EXPECT_EQ(git("show HEAD:s/00/00/one.json"), "{}");
  EXPECT_EQ(git("log --format=%s%n%an%n%ae"), "s s/00/00/one.json: 200 in 0.01 s\nAda Tester\nada@example.org");
  EXPECT_EQ(git("log --format='%(trailers:key=Pawl-Run,valueonly)'"), git::run_name(1'700'000'000'000'000) + "\n");
  EXPECT_EQ(git("symbolic-ref HEAD"), "refs/heads/main");
  EXPECT_EQ(git("status --porcelain"), "");
  EXPECT_THAT(git("reflog"), HasSubstr("pawl: 1 results"));
}

TEST(CommitStage, PutsAsManyTasksIntoACommitAsAllowed) {
  const TempDir dir;
  git::CommitOptions options = quick_options();
  options.commit_tasks = 10;
  options.commit_every = kLong;
  CommitRun run(dir / "repo", options);
  std::vector<Task*> tasks;
  for (int i = 0; i < 30; ++i) {
    tasks.push_back(&run.make("s" + std::to_string(i % 3) + "/" + std::to_string(i), "x" + std::to_string(i),
                              "s" + std::to_string(i % 3)));
  }
  run.give(tasks);
  run.finish();
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(git("rev-list --count HEAD"), "3");
  EXPECT_EQ(git("log -1 --format=%s"), "10 results from 3 streams");
  EXPECT_EQ(run.sink().back(), tasks);
}

TEST(CommitStage, GivesEachTaskACommitWhenAskedTo) {
  const TempDir dir;
  git::CommitOptions options = quick_options();
  options.commit_tasks = 1;
  CommitRun run(dir / "repo", options);
  for (int i = 0; i < 100; ++i) run.put("s/" + std::to_string(i / 10) + "/" + std::to_string(i), std::to_string(i));
  run.finish();
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(git("rev-list --count HEAD"), "100");
  EXPECT_EQ(git("ls-tree -r --name-only HEAD | wc -l"), "100");
  EXPECT_EQ(git("status --porcelain"), "");
}

TEST(CommitStage, WritesIntoABareRepository) {
  const TempDir dir;
  Git(dir.path())("init -q --bare -b trunk bare.git");
  CommitRun run(dir / "bare.git");
  run.put("a/b", "content");
  run.finish();
  const Git git(dir / "bare.git");
  git.expect_sound();
  EXPECT_EQ(git("show trunk:a/b"), "content");
  Git(dir.path())("clone -q bare.git copy");
  EXPECT_EQ(Git(dir / "copy")("show HEAD:a/b"), "content");
}

TEST(CommitStage, KeepsForeignFilesAndTheirModes) {
  const TempDir dir;
  const Git git(dir / "repo");
  Git(dir.path())("init -q -b main repo");
  std::ofstream(dir / "repo/README") << "mine\n";
  std::filesystem::create_directories(dir / "repo/a.b/deep");
  std::ofstream(dir / "repo/a.b/deep/tool") << "#!/bin/sh\n";
  std::filesystem::permissions(dir / "repo/a.b/deep/tool", std::filesystem::perms::owner_all);
  std::filesystem::create_symlink("README", dir / "repo/a.b/link");
  git("add -A");
  git("update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,a.b/module");
  git("commit -q -m foreign");
  const std::string before = git("ls-tree -r HEAD");
  CommitRun run(dir / "repo");
  run.put("a.b/deep/new", "1");
  run.put("a/x", "2");
  run.put("a0", "3");
  run.put("README.more", "4");
  run.finish();
  EXPECT_EQ(git("ls-tree -r HEAD -- README a.b/deep/tool a.b/link a.b/module"), before);
  EXPECT_EQ(git("ls-tree -r --name-only HEAD | wc -l"), "8");
  // The tree is the one git itself would write.
  const std::string tree = git("rev-parse HEAD^{tree}");
  EXPECT_EQ(git("read-tree HEAD && git -C " + shell_word((dir / "repo").string()) + " write-tree"), tree);
  const GitResult fsck = git.run("fsck --strict --no-progress");
  EXPECT_EQ(fsck.exit_code, 0) << fsck.output;
}

TEST(CommitStage, MakesNoCommitForWhatTheBranchHolds) {
  const TempDir dir;
  {
    CommitRun run(dir / "repo");
    run.put("s/1", "same");
    run.finish();
  }
  const Git git(dir / "repo");
  const std::string head = git("rev-parse HEAD");
  CommitRun run(dir / "repo");
  const Task& same = run.put("s/1", "same");
  Task& nothing = run.make("", "");
  nothing.outcome.kind = Outcome::Kind::answered;
  nothing.outcome.status_code = 200;
  Task& failed = run.make("", "");
  failed.outcome.kind = Outcome::Kind::failed;
  run.give({&nothing, &failed});
  run.finish();
  EXPECT_TRUE(failed.committed);
  EXPECT_FALSE(failed.unchanged) << "nothing is known of its content";
  EXPECT_TRUE(same.committed);
  EXPECT_TRUE(same.unchanged);
  EXPECT_TRUE(nothing.committed);
  EXPECT_TRUE(nothing.unchanged);
  EXPECT_EQ(git("rev-parse HEAD"), head);
  EXPECT_EQ(run.stats().packs, 0u);
}

TEST(CommitStage, ShowsBothVersionsOfAPathSetTwiceAtOnce) {
  const TempDir dir;
  git::CommitOptions options = quick_options();
  options.commit_tasks = 2;
  CommitRun run(dir / "repo", options);
  Task& first = run.make("s/1", "first");
  Task& second = run.make("s/1", "second");
  run.give({&first, &second});
  run.finish();
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(git("rev-list --count HEAD"), "2");
  EXPECT_EQ(git("show HEAD~1:s/1"), "first");
  EXPECT_EQ(git("show HEAD:s/1"), "second");
  EXPECT_EQ(git("status --porcelain"), "");
}

TEST(CommitStage, GivesUpOnlyTheTaskWhosePathIsTaken) {
  const TempDir dir;
  CommitRun run(dir / "repo");
  run.put("a/b", "file");
  const Task& below_file = run.put("a/b/c", "x");
  const Task& over_folder = run.put("a", "x");
  const Task& hostile = run.put("x/.GIT/config", "x");
  const Task& fine = run.put("a/d", "y");
  run.finish();
  EXPECT_EQ(below_file.fate, Fate::unfinished);
  EXPECT_THAT(below_file.error->context, HasSubstr("a/b is a file"));
  EXPECT_FALSE(below_file.committed);
  EXPECT_EQ(over_folder.fate, Fate::unfinished);
  EXPECT_THAT(over_folder.error->context, HasSubstr("a is a folder"));
  EXPECT_EQ(hostile.fate, Fate::unfinished);
  EXPECT_TRUE(fine.committed);
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(git("ls-tree -r --name-only HEAD"), "a/b\na/d");
}

/// An empty commit on top of the branch as somebody else makes it: by compare-and-swap, again if pawl was quicker.
std::string commit_as_somebody_else(const Git& git, const std::string& message) {
  for (;;) {
    const std::string base = git("rev-parse HEAD");
    const std::string commit = git("commit-tree -p " + base + " -m " + message + " " + base + "^{tree}");
    const GitResult moved = git.run("update-ref refs/heads/main " + commit + " " + base);
    if (moved.exit_code == 0) return commit;
    // Nobody's commit, and a loose object: git would find it dangling.
    std::filesystem::remove(git.folder() / ".git/objects" / commit.substr(0, 2) / commit.substr(2));
    const bool pawl_was_quicker = git("rev-parse HEAD") != base || moved.output.find("main.lock") != std::string::npos;
    EXPECT_TRUE(pawl_was_quicker) << moved.output;
    if (!pawl_was_quicker) return commit;
  }
}

TEST(CommitStage, BuildsOnCommitsOfOthers) {
  const TempDir dir;
  const Git git(dir / "repo");
  git::CommitOptions options = quick_options();
  options.work_tree = git::CommitOptions::WorkTree::leave;
  CommitRun run(dir / "repo", options);
  run.put("s/1", "one");
  ASSERT_TRUE(run.all_back());
  for (int i = 0; i < 5; ++i) {
    const std::string n = std::to_string(i);
    run.put("s/a" + n, "mine" + n);
    const std::string commit = commit_as_somebody_else(git, "foreign" + n);
    run.put("s/b" + n, "mine" + n);
    ASSERT_TRUE(run.all_back());
    EXPECT_EQ(git("merge-base --is-ancestor " + commit + " HEAD"), "") << "the foreign commit must not be lost";
  }
  run.finish();
  EXPECT_EQ(git("ls-tree -r --name-only HEAD | wc -l"), "11");
  git.expect_sound();
}

TEST(CommitStage, RebuildsWhatWasBuiltBeforeTheBranchMoved) {
  const TempDir dir;
  const Git git(dir / "repo");
  git::CommitOptions options = quick_options();
  options.work_tree = git::CommitOptions::WorkTree::leave;
  options.commit_tasks = 1;
  options.publish_every = kLong;  // publishes when quiet
  CommitRun run(dir / "repo", options);
  run.put("s/0", "zero");
  ASSERT_TRUE(run.all_back());
  // The stage's tree is now ahead of nothing; somebody else takes a path of ours.
  const std::string blob = git("hash-object -w --stdin < /dev/null");
  const std::string sub = git("rev-parse HEAD:s");
  const std::string tree = git("mktree < /dev/null");
  ASSERT_FALSE(sub.empty() || tree.empty());
  git("read-tree HEAD");
  git("update-index --add --cacheinfo 100644," + blob + ",s/1");
  const std::string commit =
      git("commit-tree -p HEAD -m foreign $(git -C " + shell_word(git.folder().string()) + " write-tree)");
  git("update-ref refs/heads/main " + commit);
  const Task& same = run.put("s/1", "");      // what the other commit holds already
  const Task& below = run.put("s/1/x", "x");  // a file is in the way now
  const Task& fine = run.put("s/2", "two");
  run.finish();
  EXPECT_TRUE(same.committed);
  EXPECT_TRUE(same.unchanged);
  EXPECT_EQ(below.fate, Fate::unfinished);
  EXPECT_TRUE(fine.committed);
  EXPECT_EQ(git("show HEAD:s/2"), "two");
  EXPECT_EQ(git("rev-parse HEAD~1"), commit);
  EXPECT_GE(run.stats().rebuilds, 1u);
}

TEST(CommitStage, AnswersPromptlyWhenCancelled) {
  const TempDir dir;
  git::CommitOptions options = quick_options();
  options.commit_every = kLong;
  options.publish_every = kLong;
  CommitRun run(dir / "repo", options);
  const Task& task = run.put("s/1", "one");
  EXPECT_EQ(run.stage().gauge().waiting + run.stage().gauge().active, 1u);
  const auto start = std::chrono::steady_clock::now();
  run.stage().cancel(Cancel::all);
  ASSERT_TRUE(run.all_back());
  EXPECT_LT(std::chrono::steady_clock::now() - start, within(std::chrono::seconds(1)));
  EXPECT_TRUE(task.committed);
  run.stop();
  EXPECT_EQ(run.stage().gauge().waiting + run.stage().gauge().active, 0u);
}

std::uint64_t seed() {
  const char* given = std::getenv("PAWL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << '\n';
  return seed;
}

using Model = std::map<std::string, std::string>;

/// Files of the branch as the git program reads them.
Model files_of(const Git& git) {
  Model files;
  const std::string list = git("ls-tree -r -z HEAD");
  std::size_t begin = 0;
  std::string ids;
  std::vector<std::pair<std::string, std::string>> entries;
  while (begin < list.size()) {
    const std::size_t end = list.find('\0', begin);
    const std::string entry = list.substr(begin, end - begin);
    entries.emplace_back(entry.substr(entry.find('\t') + 1), entry.substr(12, 40));
    begin = end + 1;
  }
  for (const auto& [path, id] : entries) ids += id + "\n";
  std::ofstream(git.folder() / ".git" / "wanted") << ids;
  const std::string contents = git("cat-file --batch < " + shell_word((git.folder() / ".git/wanted").string())) + "\n";
  std::size_t at = 0;
  for (const auto& [path, id] : entries) {
    const std::size_t line = contents.find('\n', at);
    const std::size_t size = std::stoul(contents.substr(contents.rfind(' ', line) + 1));
    files[path] = contents.substr(line + 1, size);
    at = line + 1 + size + 1;
  }
  return files;
}

TEST(CommitStage, HoldsExactlyWhatWasPutWhateverTheOrder) {
  std::mt19937_64 random(seed());
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const TempDir dir;
  git::CommitOptions options = quick_options();
  options.commit_tasks = static_cast<std::uint32_t>(1 + below(20));
  options.work_tree = git::CommitOptions::WorkTree::leave;
  Model model;
  const auto name = [&] {
    // Few distinct names, of bytes that sort around '/', so that files and folders get in each other's way.
    constexpr std::string_view kBytes("a.-0/\n\xff\x80 ~b", 11);
    std::string text;
    const std::size_t size = 1 + below(4);
    for (std::size_t i = 0; i < size; ++i) text += kBytes[below(kBytes.size())];
    return text;
  };
  const auto blocked = [&](const std::string& path) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      if (model.contains(path.substr(0, slash))) return true;
    }
    const auto next = model.lower_bound(path + "/");
    return next != model.end() && next->first.starts_with(path + "/");
  };
  const auto legal = [](const std::string& path) {
    const std::string around = "/" + path + "/";
    return around.find("//") == std::string::npos && around.find("/./") == std::string::npos &&
           around.find("/../") == std::string::npos;
  };
  for (int round = 0; round < 3; ++round) {  // each a process's life: trees are read back
    CommitRun run(dir / "repo", options);
    for (int i = 0; i < 400; ++i) {
      const std::string path = name() + (below(2) == 0 ? "/" + name() : "") + (below(3) == 0 ? "/" + name() : "");
      const std::string content = "content " + std::to_string(below(50)) + "\n";
      const bool possible = legal(path) && !blocked(path);
      if (possible) model[path] = content;
      const Task& task = run.put(path, content);
      if (i % 100 == 99) {
        ASSERT_TRUE(run.all_back());
        EXPECT_EQ(task.committed, possible) << testing::PrintToString(path);
      }
    }
    run.finish();
  }
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(files_of(git), model);
  // The same tree ids as git's own.
  const std::string tree = git("rev-parse HEAD^{tree}");
  git("read-tree HEAD");
  EXPECT_EQ(git("write-tree"), tree);
  Git(dir.path())("clone -q repo copy");
  EXPECT_EQ(Git(dir / "copy")("rev-parse HEAD^{tree}"), tree);
}

TEST(CommitStage, CommitsManyTasksAndReportsTheRate) {
  for (const std::uint32_t commit_tasks : {256u, 1u}) {
    const TempDir dir;
    Git(dir.path())("init -q --bare -b main bare.git");
    git::CommitOptions options;
    options.commit_tasks = commit_tasks;
    CommitRun run(dir / "bare.git", options);
    constexpr std::size_t kTasks = 20'480;
    std::mt19937_64 random(1);
    std::vector<Task*> tasks;
    for (std::size_t i = 0; i < kTasks; ++i) {
      const std::size_t position = i / 64;
      const std::string stream = "stream-" + std::to_string(i % 64);
      std::string content(512, ' ');
      for (char& c : content) c = static_cast<char>('a' + random() % 16);
      content += content;
      char fan_out[16];
      std::snprintf(fan_out, sizeof fan_out, "/%02zu/%02zu/", position / 10'000, position / 100 % 100);
      tasks.push_back(&run.make(stream + fan_out + "request-" + std::to_string(position) + ".json", content, stream));
    }
    const auto start = std::chrono::steady_clock::now();
    constexpr std::ptrdiff_t kAtOnce = 128;
    static_assert(kTasks % kAtOnce == 0);
    for (auto first = tasks.begin(); first != tasks.end(); first += kAtOnce) run.give({first, first + kAtOnce});
    run.finish();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    const git::CommitStats stats = run.stats();
    std::cout << "commit_tasks " << commit_tasks << ": " << took.count() / kTasks << " us a task, " << stats.commits
              << " commits, " << stats.packs << " packs, " << stats.bytes / kTasks << " bytes a task, publishing "
              << std::chrono::duration<double>(stats.publish_time).count() << " s\n";
    const Git git(dir / "bare.git");
    git.expect_sound();
    EXPECT_EQ(git("ls-tree -r --name-only HEAD | wc -l"), std::to_string(kTasks));
    EXPECT_EQ(git("rev-list --count HEAD"), std::to_string((kTasks + commit_tasks - 1) / commit_tasks));
  }
}

}  // namespace
}  // namespace pawl::test
