// Others at the repository while pawl works on it: people who commit, git's own housekeeping, locks, second runs.
#include <pwd.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tool.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

/// Does something again and again on a thread of its own, until told to stop.
class Meanwhile {
 public:
  template <class Step>
  explicit Meanwhile(Step step)
      : thread_([this, step]() mutable {
          while (!stop_.load()) step();
        }) {}
  ~Meanwhile() { stop(); }
  void stop() {
    stop_.store(true);
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// Runs the git program, which may be refused; its exit code.
int try_git(const fs::path& repo, std::vector<std::string> arguments, std::string* out = nullptr) {
  arguments.insert(arguments.begin(), {"git", "-C", repo.string()});
  Process process(std::move(arguments));
  const int code = process.wait();
  if (out != nullptr) *out = process.out();
  return code;
}

class PawlOthers : public PawlTool {
 protected:
  void SetUp() override {
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse("10ms");
    server_ = serve(options);
  }
  void make_repository(std::vector<std::string> words = {}) {
    words.insert(words.begin(), {"init", "-q", "-b", "main"});
    words.push_back(repo().string());
    git(folder_.path(), words);
  }
  /// Publishes often, so that there is much to race with.
  std::vector<std::string> quick_words(const std::string& file, std::vector<std::string> more = {}) {
    std::vector<std::string> words =
        run_words(file, {"--parallel-max", "4", "--commit-every", "10ms", "--commit-tasks", "8"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  [[nodiscard]] fs::path lock(const std::string& name) const { return repo() / ".git" / (name + ".lock"); }
  void expect_journal_gone() const { EXPECT_TRUE(!fs::exists(journal()) || fs::is_empty(journal())); }
  void expect_resume_completes(const Asked& asked) {
    Process resume(pawl({"resume", repo().string()}));
    ASSERT_EQ(resume.wait(), 0) << resume.err();
    expect_exactly_once_in_order(repo(), asked);
    expect_sound(repo());
    expect_journal_gone();
  }
};

TEST_F(PawlOthers, APersonsCommitsAndTheRunsLiveSideBySide) {
  make_repository();
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(1500, 5, 11, asked));
  Process run(quick_words(file));
  unsigned committed = 0;
  unsigned refused = 0;
  {
    unsigned number = 0;
    Meanwhile person([&] {
      if (run.ended()) return;
      const std::string name = fmt::format("mine/{}.txt", number++);
      fs::create_directories(repo() / "mine");
      write_file(repo() / name, name);
      // git reads the index before it locks it, so a commit may work with an old index, and put it back. A commit of
      // named paths takes everything else from the branch; read-tree mends the index with the lock held.
      while (!run.ended() &&
             !(try_git(repo(), {"add", name}) == 0 && try_git(repo(), {"commit", "-q", "-m", name, "--", name}) == 0)) {
        ++refused;
        try_git(repo(), {"read-tree", "HEAD"});
      }
    });
    EXPECT_EQ(run.wait(), 0) << run.err();
    person.stop();
    EXPECT_GT(number, 5u);
  }
  // What the person had in hand when the run ended.
  git(repo(), {"read-tree", "HEAD"});
  git(repo(), {"add", "mine"});
  try_git(repo(), {"commit", "-q", "-m", "the last"});
  for (const auto& entry : fs::directory_iterator(repo() / "mine")) {
    ++committed;
    EXPECT_EQ(git(repo(), {"show", "HEAD:mine/" + entry.path().filename().string()}), read_file(entry.path()));
  }
  fmt::print("{} files of the person, {} times told to wait\n", committed, refused);
  EXPECT_EQ(git(repo(), {"log", "--diff-filter=D", "--name-only", "--format="}), "") << "nobody takes a file out";
  expect_exactly_once_in_order(repo(), asked);
  expect_sound(repo());
  expect_journal_gone();
}

TEST_F(PawlOthers, BuildsOnEveryCommitThatWinsTheRace) {
  make_repository({"--bare"});
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(1200, 5, 12, asked));
  Process run(quick_words(file));
  std::vector<std::string> theirs;
  unsigned lost = 0;
  const std::string empty_tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
  ASSERT_TRUE(eventually([&] { return try_git(repo(), {"rev-parse", "-q", "--verify", "main"}) == 0; })) << run.err();
  {
    Meanwhile foreign([&] {
      if (run.ended()) return;
      std::string tip, commit;
      if (try_git(repo(), {"rev-parse", "main"}, &tip) != 0) return;
      tip.pop_back();
      if (try_git(repo(), {"commit-tree", tip + "^{tree}", "-p", tip, "-m", "foreign"}, &commit) != 0) return;
      commit.pop_back();
      if (try_git(repo(), {"update-ref", "refs/heads/main", commit, tip}) == 0) {
        theirs.push_back(commit);
      } else {
        ++lost;
      }
    });
    EXPECT_EQ(run.wait(), 0) << run.err();
  }
  fmt::print("{} foreign commits, {} lost their race\n", theirs.size(), lost);
  EXPECT_GT(theirs.size(), 10u);
  const std::string history = git(repo(), {"rev-list", "main"});
  for (const auto& commit : theirs) EXPECT_THAT(history, HasSubstr(commit));
  git(folder_.path(), {"clone", "-q", repo().string(), (folder_ / "clone").string()});
  expect_exactly_once_in_order(folder_ / "clone", asked);
  expect_sound(folder_ / "clone");
}

TEST_F(PawlOthers, HousekeepingTakesNothingAway) {
  make_repository();
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(1500, 5, 13, asked));
  Process run(quick_words(file));
  unsigned rounds = 0;
  {
    Meanwhile keeper([&] {
      if (run.ended() || !fs::exists(repo() / ".git" / "refs" / "heads" / "main")) return;
      const std::vector<std::string> words = rounds % 2 == 0 ? std::vector<std::string>{"gc", "-q", "--prune=now"}
                                                             : std::vector<std::string>{"repack", "-a", "-d", "-q"};
      try_git(repo(), words);
      try_git(repo(), {"prune", "--expire=now"});
      ++rounds;
    });
    EXPECT_EQ(run.wait(), 0) << run.err();
  }
  fmt::print("{} rounds of housekeeping\n", rounds);
  EXPECT_GT(rounds, 3u);
  expect_exactly_once_in_order(repo(), asked);
  expect_sound(repo());
  expect_journal_gone();
  for (const auto& entry : fs::directory_iterator(repo() / ".git/objects/pack"))
    EXPECT_NE(entry.path().extension(), ".keep") << entry.path();
  git(repo(), {"gc", "-q", "--prune=now"});
  expect_exactly_once_in_order(repo(), asked);
}

TEST_F(PawlOthers, WaitsForLiveLocksAndNamesThoseThatStay) {
  make_repository();
  git(repo(), {"commit", "-q", "--allow-empty", "-m", "start"});
  Asked asked;
  std::string lines;
  unsigned next = 0;
  const auto more = [&] {
    const std::string id = fmt::format("t{}", next++);
    lines += batch_line(id, "s", "q");
    asked["s"].push_back(id);
    return input("in.jsonl", lines);
  };
  for (const std::string name : {"index", "refs/heads/main"}) {
    const std::string tip = git(repo(), {"rev-parse", "main"});
    write_file(lock(name), "of somebody");
    Process stuck(quick_words(more(), {"--lock-wait", "200ms"}));
    EXPECT_EQ(stuck.wait(), 3) << stuck.err();
    EXPECT_THAT(stuck.err(), HasSubstr(lock(name).string()));
    EXPECT_THAT(stuck.err(), HasSubstr("remove it if no git process is running"));
    EXPECT_EQ(read_file(lock(name)), "of somebody") << "a lock of others is theirs";
    EXPECT_EQ(git(repo(), {"rev-parse", "main"}), tip);
    const auto calls = server_->stats().calls;
    fs::remove(lock(name));
    expect_resume_completes(asked);
    EXPECT_EQ(server_->stats().calls, calls) << "the answer was kept";

    // One that goes away in time costs nothing but that time.
    write_file(lock(name), "of somebody");
    Process patient(quick_words(more(), {"--lock-wait", "120s"}));
    const auto answered = [&] { return server_->stats().answered > calls; };
    ASSERT_TRUE(eventually(answered)) << patient.err();
    fs::remove(lock(name));
    ASSERT_EQ(patient.wait(), 0) << patient.err();
    expect_exactly_once_in_order(repo(), asked);
    expect_sound(repo());
  }
}

TEST_F(PawlOthers, APersonsChangesInTheWorkTreeStay) {
  make_repository();
  const std::string first = input("in.jsonl", batch_line("a", "s", "q") + batch_line("b", "s", "q"));
  ASSERT_EQ(Process(run_words(first)).wait(), 0);
  write_file(repo() / "s/00/00/a.json", "edited by hand");
  write_file(repo() / "s/00/00/c.json", "where a record belongs");
  write_file(repo() / "staged.txt", "staged");
  write_file(repo() / "s/00/00/b.json", "staged over a record");
  git(repo(), {"add", "staged.txt", "s/00/00/b.json"});
  const std::string all = batch_line("a", "s", "q") + batch_line("b", "s", "q") + batch_line("c", "s", "q");
  Process run(run_words(input("in.jsonl", all), {"--again"}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("3 files of the work tree were left as they are"));
  EXPECT_EQ(read_file(repo() / "s/00/00/a.json"), "edited by hand");
  EXPECT_EQ(read_file(repo() / "s/00/00/c.json"), "where a record belongs");
  EXPECT_EQ(read_file(repo() / "s/00/00/b.json"), "staged over a record");
  EXPECT_EQ(git(repo(), {"status", "--porcelain"}),
            " M s/00/00/a.json\nM  s/00/00/b.json\n M s/00/00/c.json\nA  staged.txt\n");
  EXPECT_THAT(git(repo(), {"show", "HEAD:s/00/00/a.json"}), HasSubstr("\"custom_id\": \"a\""));
  git(repo(), {"commit", "-q", "-m", "of the person"});
  EXPECT_EQ(git(repo(), {"show", "--name-status", "--format=", "HEAD"}), "M\ts/00/00/b.json\nA\tstaged.txt\n")
      << "the person's commit holds what the person staged, and takes nothing out";
}

TEST_F(PawlOthers, ADetachedHeadAsksForABranchAndAnUnbornOneIsBorn) {
  make_repository();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  EXPECT_EQ(git(repo(), {"rev-list", "--count", "main"}), "1\n") << "the unborn branch";
  git(repo(), {"checkout", "-q", "--detach"});
  const std::string more = input("in.jsonl", batch_line("a", "s", "q") + batch_line("b", "s", "q"));
  Process detached(run_words(more));
  EXPECT_EQ(detached.wait(), 3);
  EXPECT_THAT(detached.err(), HasSubstr("detached"));
  EXPECT_THAT(detached.err(), HasSubstr("--branch"));
  Process named(run_words(more, {"--branch", "main"}));
  ASSERT_EQ(named.wait(), 0) << named.err();
  EXPECT_EQ(git(repo(), {"ls-tree", "-r", "--name-only", "main"}), "s/00/00/a.json\ns/00/00/b.json\n");
  EXPECT_EQ(git(repo(), {"status", "--porcelain"}), "") << "what is checked out is another matter";
  EXPECT_FALSE(fs::exists(repo() / "s/00/00/b.json"));
  Process status(pawl({"status", repo().string()}));
  EXPECT_EQ(status.wait(), 0) << status.err();
  EXPECT_THAT(status.out(), HasSubstr("committed   2 on main"));
  Process steered(pawl({"ctl", repo().string(), "pause"}));
  EXPECT_EQ(steered.wait(), 2);
  EXPECT_THAT(steered.err(), HasSubstr("no run is live"));
  Process resume(pawl({"resume", repo().string()}));
  EXPECT_EQ(resume.wait(), 0) << resume.err();
}

TEST_F(PawlOthers, WhoLooksAtARepositoryMakesNothingThere) {
  make_repository();
  Process status(pawl({"status", repo().string()}));
  EXPECT_EQ(status.wait(), 0) << status.err();
  EXPECT_EQ(Process(pawl({"ctl", repo().string(), "pause"})).wait(), 2);
  EXPECT_FALSE(fs::exists(repo() / ".git/pawl"));
  if (::geteuid() != 0) return;
  // Somebody else, whose private folder it is not.
  ASSERT_EQ(Process(run_words(input("in.jsonl", batch_line("a", "s", "q")))).wait(), 0);
  write_file(folder_ / ".gitconfig", "[safe]\n\tdirectory = " + repo().string() + "\n");
  fs::permissions(folder_.path(), fs::perms::all);
  Process other({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-u", "XDG_CONFIG_HOME",
                 "HOME=" + folder_.path().string(), PAWL_TOOL, "status", repo().string()});
  EXPECT_EQ(other.wait(), 3);
  EXPECT_THAT(other.err(), HasSubstr("status.sock: it is another user's"));
  EXPECT_THAT(other.err(), Not(HasSubstr("is not a folder")));
}

TEST_F(PawlOthers, ABranchOfAnotherWorkTreeIsLeftToThat) {
  make_repository();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  const fs::path side = folder_ / "side";
  git(repo(), {"worktree", "add", "-q", "-b", "side", side.string()});
  Process wrong(run_words(file, {"--branch", "side"}));
  EXPECT_EQ(wrong.wait(), 3);
  EXPECT_THAT(wrong.err(), HasSubstr("refs/heads/side is checked out in another work tree"));
  Process right(pawl({"run", input("more.jsonl", batch_line("b", "t", "q")), "--repo", side.string(), "--base-url",
                      server_->base_url() + "/v1"}));
  EXPECT_EQ(right.wait(), 0) << right.err();
  EXPECT_TRUE(fs::exists(side / "t/00/00/b.json"));
  expect_sound(side);
  expect_sound(repo());
}

TEST_F(PawlOthers, ASecondRunIsRefusedAndADeadOnesLockIsTakenOver) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("60s");
  server_ = serve(options);
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  Process first(run_words(file));
  ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 1; })) << first.err();
  Process second(run_words(file));
  EXPECT_EQ(second.wait(), 3);
  EXPECT_THAT(second.err(), HasSubstr(fmt::format("in use by pawl process {}", first.pid())));
  Process resume(pawl({"resume", repo().string()}));
  EXPECT_EQ(resume.wait(), 3);
  EXPECT_THAT(resume.err(), HasSubstr(fmt::format("in use by pawl process {}", first.pid())));
  first.signal(SIGKILL);
  ASSERT_EQ(first.wait(), -SIGKILL);
  EXPECT_NE(read_file(repo() / ".git/pawl/lock"), "") << "what is taken over";
  Process third(run_words(input("other.jsonl", batch_line("b", "s", "q"))));
  ASSERT_TRUE(eventually([&] { return server_->stats().calls >= 2; })) << third.err();  // the first one's task again
  third.signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return third.err().find("taking no more") != std::string::npos; })) << third.err();
  third.signal(SIGTERM);
  EXPECT_EQ(third.wait(), 7) << third.err();
}

TEST_F(PawlOthers, ARepositoryOfSomebodyElseNeedsTheUsersWord) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give a repository away";
  const struct passwd* nobody = ::getpwnam("nobody");
  if (nobody == nullptr) GTEST_SKIP() << "there is no user nobody to give it to";
  make_repository();
  git(folder_.path(), {"-C", repo().string(), "commit", "-q", "--allow-empty", "-m", "start"});
  for (const auto& entry : fs::recursive_directory_iterator(repo()))
    ASSERT_EQ(::lchown(entry.path().c_str(), nobody->pw_uid, nobody->pw_gid), 0);
  ASSERT_EQ(::lchown(repo().c_str(), nobody->pw_uid, nobody->pw_gid), 0);
  const fs::path home = folder_ / "home";
  fs::create_directory(home);
  Process::Options environment;
  environment.environment = {"HOME=" + home.string(), "XDG_CONFIG_HOME=" + home.string()};
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  Process refused(run_words(file), environment);
  EXPECT_EQ(refused.wait(), 3);
  EXPECT_THAT(refused.err(), HasSubstr("owned by user nobody"));
  const std::string remedy = "git config --global --add safe.directory " + repo().string() + "\n";
  EXPECT_THAT(refused.err(), HasSubstr(remedy));
  write_file(home / ".gitconfig", "[safe]\n\tdirectory = " + repo().string() + "\n");
  Process allowed(run_words(file), environment);
  EXPECT_EQ(allowed.wait(), 0) << allowed.err();
}

}  // namespace
}  // namespace pawl::test
