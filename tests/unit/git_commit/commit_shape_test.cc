// What a commit looks like where the user has a say: subject, trailers, signature. Read by the git program.
#include <signal.h>

#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include "child_process.h"
#include "stage_fixture.h"

namespace pawl::test {
namespace {

using testing::HasSubstr;

/// Two results of a commit each, then two in one.
void commit_some(const std::filesystem::path& repository, git::CommitOptions options) {
  options.commit_every = std::chrono::hours(1);
  CommitRun run(repository, options);
  const auto answered = [&run](const char* path, int status, const char* stream, const char* url) {
    Task& task = run.make(path, path, stream);
    task.request.url = url;
    task.outcome.kind = Outcome::Kind::answered;
    task.outcome.status_code = status;
    return &task;
  };
  run.give({answered("s/1", 200, "s", "https://a.example/x")});
  run.stage().hurry();
  ASSERT_TRUE(run.all_back());
  run.give({answered("s/2", 404, "s", "https://a.example/y"), answered("t/3", 200, "t", "https://b.example/")});
  run.stage().hurry();
  run.finish();
}

TEST(CommitShape, HasASubjectAndTrailersAsAskedFor) {
  const TempDir dir;
  git::CommitOptions options = quick_options();
  options.message_template = "data: {results} of {stream} ({status}) from {host}";
  options.trailers = {"Reviewed-by: nobody", "Ticket: 7: seven"};
  commit_some(dir / "repo", options);
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(git("log --reverse --format=%s"),
            "data: 1 result of s (200) from a.example\ndata: 2 results of 2 streams (200/404) from 2 hosts");
  EXPECT_EQ(git("log -1 --format='%(trailers:key=Reviewed-by,valueonly)%(trailers:key=Ticket,valueonly)'"),
            "nobody\n7: seven\n");
  EXPECT_EQ(git("log -1 --format='%(trailers:key=Pawl-Results,valueonly)'"), "2\n");
}

TEST(CommitShape, RefusesTemplatesAndTrailersThatCannotBe) {
  const auto says = [](git::CommitOptions options) {
    const Result<void> valid = options.validate();
    return valid ? std::string() : valid.error().context;
  };
  git::CommitOptions options = quick_options();
  EXPECT_EQ(says(options), "");
  options.message_template = "{nothing}";
  EXPECT_THAT(says(options), HasSubstr("there is no field {nothing}; there are {summary}"));
  options.message_template = "one\ntwo";
  EXPECT_THAT(says(options), HasSubstr("one line"));
  options = quick_options();
  for (const char* trailer : {"no colon", ": x", "Two words: x", "Key:", "Key: \n", "pawl-Run: x", "Pawl-New: x"}) {
    options.trailers = {trailer};
    EXPECT_THAT(says(options), HasSubstr("--trailer")) << trailer;
  }
  options = quick_options();
  options.normalise = git::CommitOptions::Normalise::json;
  EXPECT_THAT(says(options), HasSubstr("raw"));
}

bool is_there(const char* program) {
  return run_shell(std::string("command -v ") + program + " > /dev/null").exit_code == 0;
}

TEST(CommitShape, IsSignedWithTheKeyThatGitWouldTake) {
  if (!is_there("ssh-keygen")) GTEST_SKIP() << "there is no ssh-keygen";
  const TempDir dir;
  const std::string key = (dir / "key").string();
  ASSERT_EQ(run_shell("ssh-keygen -q -t ed25519 -N '' -f " + shell_word(key)).exit_code, 0);
  Git(dir.path())("init -q -b main repo");
  const Git git(dir / "repo");
  git("config gpg.format ssh");
  git("config user.signingKey " + shell_word(key));
  std::ofstream signers(dir / "signers");
  signers << "ada@example.org " << std::ifstream(dir / "key.pub").rdbuf();
  signers.close();
  git("config gpg.ssh.allowedSignersFile " + shell_word((dir / "signers").string()));
  git::CommitOptions options = quick_options();
  options.sign = git::CommitOptions::Sign::yes;
  commit_some(dir / "repo", options);
  git.expect_sound();
  EXPECT_EQ(git("log --format='%G? %GS'"), "G ada@example.org\nG ada@example.org");
  EXPECT_EQ(git("status --porcelain"), "");
}

TEST(CommitShape, IsSignedWhereGitSignsUnlessToldOtherwise) {
  const TempDir dir;
  Git(dir.path())("init -q -b main repo");
  const Git git(dir / "repo");
  git("config gpg.format ssh");
  git("config user.signingKey key::none");
  git("config gpg.ssh.program false");
  git("config commit.gpgSign true");
  git::CommitOptions options = quick_options();
  options.sign = git::CommitOptions::Sign::as_git_does;
  {
    CommitRun run(dir / "repo", options);
    const Task& task = run.put("s/1", "one");
    run.finish();
    EXPECT_THAT(task.error->context, HasSubstr("git's commit.gpgSign (--no-sign to do without): false made no"));
  }
  options.sign = git::CommitOptions::Sign::no;
  commit_some(dir / "repo", options);
  git("config --unset commit.gpgSign");
  options.sign = git::CommitOptions::Sign::as_git_does;
  CommitRun run(dir / "repo", options);
  const Task& task = run.put("s/9", "nine");
  run.finish();
  EXPECT_TRUE(task.committed);
  EXPECT_EQ(git("log --format=%G?"), "N\nN\nN");
}

/// gpg with keys of its own, and its agent for as long as this lives.
class GpgHome {
 public:
  explicit GpgHome(const std::filesystem::path& home) {
    std::filesystem::create_directory(home);
    std::filesystem::permissions(home, std::filesystem::perms::owner_all);
    ::setenv("GNUPGHOME", home.c_str(), 1);
  }
  ~GpgHome() {
    static_cast<void>(run_shell("gpgconf --kill all"));
    ::unsetenv("GNUPGHOME");
  }
  GpgHome(const GpgHome&) = delete;
  GpgHome& operator=(const GpgHome&) = delete;
};

TEST(CommitShape, IsSignedWithTheCommittersOwnKeyIfNoneIsNamed) {
  if (!is_there("gpg")) GTEST_SKIP() << "there is no gpg";
  const TempDir dir;
  const GpgHome home(dir / "g");
  const GitResult made = run_shell(
      "gpg --batch --quiet --passphrase '' --quick-gen-key "
      "'Ada Tester <ada@example.org>' ed25519 sign never 2>&1");
  ASSERT_EQ(made.exit_code, 0) << made.output;
  git::CommitOptions options = quick_options();
  options.sign = git::CommitOptions::Sign::yes;
  commit_some(dir / "repo", options);
  const Git git(dir / "repo");
  git.expect_sound();
  EXPECT_EQ(git("log --format='%G? %GS'"), "G Ada Tester <ada@example.org>\nG Ada Tester <ada@example.org>");
}

TEST(CommitShape, LosesNoTaskThatCannotBeSigned) {
  const TempDir dir;
  Git(dir.path())("init -q -b main repo");
  const Git git(dir / "repo");
  git("config gpg.format ssh");
  git("config user.signingKey /nowhere/key");
  git("config gpg.ssh.program false");
  git::CommitOptions options = quick_options();
  options.sign = git::CommitOptions::Sign::yes;
  CommitRun run(dir / "repo", options);
  const Task& task = run.put("s/1", "one");
  run.finish();
  EXPECT_FALSE(task.committed);
  EXPECT_EQ(task.fate, Fate::unfinished);
  EXPECT_THAT(task.error->context, HasSubstr("--sign: false made no signature"));
  EXPECT_NE(git.run("rev-parse --verify --quiet HEAD").exit_code, 0);
}

TEST(ChildProcess, GivesBackWhatAProgramSays) {
  const std::string input(300'000, 'x');
  const Result<git::ChildResult> echoed = git::run_child({{"sh", "-c", "cat; echo no >&2; exit 3"}, input, {}, {}});
  ASSERT_TRUE(echoed.has_value());
  EXPECT_EQ(echoed->exit_code, 3);
  EXPECT_TRUE(echoed->out == input);
  EXPECT_EQ(echoed->complaint(), "no");
  git::ChildResult said;
  said.err = "warning: x\nremote: policy: no way        \nTo there\nerror: failed to push some refs\nhint: read it\n";
  EXPECT_EQ(said.complaint(), "remote: policy: no way");
  said.err = "fatal: no such remote\n\nPlease make sure you have the correct access rights\nand it exists.\n";
  EXPECT_EQ(said.complaint(), "fatal: no such remote");
  said.err = "one\nthe last\n";
  EXPECT_EQ(said.complaint(), "the last");
  // Who does not read is not waited for, and who leaves something running neither.
  const Result<git::ChildResult> deaf = git::run_child({{"sh", "-c", "sleep 1000 & echo $!"}, input, {}, {}});
  ASSERT_TRUE(deaf.has_value());
  EXPECT_EQ(deaf->exit_code, 0);
  EXPECT_EQ(::kill(std::stoi(deaf->out), SIGKILL), 0) << "it was waited for";
  EXPECT_FALSE(git::run_child({{"/nowhere/program"}, {}, {}, {}}).has_value());
}

TEST(ChildProcess, EndsWhenInterrupted) {
  const TempDir dir;
  git::Interrupt interrupt;
  std::thread later([&] {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!std::filesystem::exists(dir / "deaf") && std::chrono::steady_clock::now() < until) {
      std::this_thread::yield();
    }
    interrupt.raise();
  });
  const std::string script = "trap '' TERM; touch " + shell_word((dir / "deaf").string()) + "; sleep 1000; sleep 1000";
  const Result<git::ChildResult> ended = git::run_child({{"sh", "-c", script}, {}, {}, &interrupt});
  later.join();
  ASSERT_TRUE(ended.has_value());
  EXPECT_TRUE(ended->interrupted);
  EXPECT_EQ(ended->exit_code, 128 + SIGKILL);
}

}  // namespace
}  // namespace pawl::test
