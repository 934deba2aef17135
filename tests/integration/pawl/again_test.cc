// A run that follows another one on the same repository: what the first one has left and what it had been told.
#include <signal.h>

#include "tool.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class PawlAgain : public PawlTool {
 protected:
  void make_repository() { git(folder_.path(), {"init", "-q", "-b", "main", repo().string()}); }
  /// A run of three tasks of stream `s` that ends after the first call.
  void run_one_of_three(std::vector<std::string> more = {}, const Process::Options& environment = {}) {
    server_ = serve();
    file_ = input("in.jsonl", batch_line("a", "s", "q") + batch_line("b", "s", "q") + batch_line("c", "s", "q"));
    more.insert(more.end(), {"--budget-calls", "1", "--parallel-max", "1"});
    Process run(run_words(file_, more), environment);
    ASSERT_EQ(run.wait(), 7) << run.err();
    ASSERT_EQ(server_->stats().calls, 1u);
  }
  [[nodiscard]] std::size_t records_on(const std::string& branch) const {
    return lines_of(git(repo(), {"ls-tree", "-r", "--name-only", branch, "s/"})).size();
  }
  int resume(std::vector<std::string> more, const Process::Options& environment = {}) {
    std::vector<std::string> words = pawl({"resume", repo().string()});
    words.insert(words.end(), more.begin(), more.end());
    Process process(words, environment);
    const int code = process.wait();
    said_ = process.err();
    return code;
  }

  std::string file_;
  std::string said_;
};

TEST_F(PawlAgain, AMendedRequestIsBoughtOnceAfterAKill) {
  mockapi::Options slow;
  slow.latency = *mockapi::Latency::parse("60s");
  server_ = serve(slow);
  const std::string file = input("n.txt", "1\n2\n3\n4\n5\n6\n7\n8\n");
  const auto words = [&](const std::string& target) {
    return pawl({"run", file, "--repo", repo().string(), "--url", server_->base_url() + target});
  };
  {
    Process run(words("/status/404"));
    ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 8; })) << run.err();
    run.signal(SIGKILL);
    ASSERT_EQ(run.wait(), -SIGKILL);
  }
  mockapi::Options quick;
  quick.port = server_->port();
  quick.latency = *mockapi::Latency::parse("50ms");
  server_.reset();
  server_ = serve(quick);
  Process mended(words("/echo"));
  EXPECT_EQ(mended.wait(), 1) << "what the journal held has failed";
  EXPECT_EQ(server_->stats().calls, 16u);
  Process verified(pawl({"verify", repo().string()}));
  EXPECT_EQ(verified.wait(), 0) << verified.out();
  Process again(words("/echo"));
  EXPECT_EQ(again.wait(), 0) << again.err();
  EXPECT_THAT(again.err(), HasSubstr("8 skipped"));
  EXPECT_EQ(server_->stats().calls, 16u) << "nothing is called again";
}

TEST_F(PawlAgain, ATokenThatIsMissingNowIsAskedFor) {
  const Process::Options without{.environment = {"OPENAI_API_KEY="}};
  run_one_of_three({}, {.environment = {"OPENAI_API_KEY=planted-token-1"}});
  EXPECT_EQ(resume({}, without), 2);
  EXPECT_THAT(said_, HasSubstr("the environment has no OPENAI_API_KEY"));
  EXPECT_THAT(said_, HasSubstr("--bearer-env ''"));
  EXPECT_EQ(Process(pawl({"run", "--failed", repo().string()}), without).wait(), 2);
  Process plain(run_words(file_), without);
  EXPECT_EQ(plain.wait(), 2);
  EXPECT_THAT(plain.err(), HasSubstr("a run with the token in OPENAI_API_KEY, which is not set"));
  EXPECT_EQ(server_->stats().calls, 1u);
  EXPECT_EQ(resume({"--bearer-env", "", "--budget-calls", "0"}, without), 0) << said_;
  EXPECT_EQ(server_->stats().calls, 3u);
  EXPECT_EQ(resume({}, without), 0) << "which is remembered, too: " << said_;
}

TEST_F(PawlAgain, TheRestGoesToTheBranchOfTheRunWhateverIsCheckedOut) {
  make_repository();
  run_one_of_three();
  git(repo(), {"checkout", "-q", "-b", "other"});
  Process here(run_words(file_));
  EXPECT_EQ(here.wait(), 2);
  EXPECT_THAT(here.err(), HasSubstr("--branch main, not other"));
  EXPECT_EQ(resume({}), 7) << said_;
  EXPECT_EQ(records_on("main"), 2u);
  EXPECT_EQ(records_on("other"), 1u);
  Process named(run_words(file_, {"--branch", "main"}));
  EXPECT_EQ(named.wait(), 0) << "main by its name is the same branch: " << named.err();
  EXPECT_EQ(records_on("main"), 3u);
  expect_sound(repo());
}

TEST_F(PawlAgain, AFileInPlaceOfTheResultsFolderIsSaidBeforeAnythingIsCalled) {
  server_ = serve();
  make_repository();
  const std::string line = R"({"custom_id":"x","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}})";
  write_file(repo() / "tasks.jsonl", line + "\n");
  const std::string file = (repo() / "tasks.jsonl").string();
  const auto refused = [&](const std::string& why) {
    Process run(run_words(file));
    EXPECT_EQ(run.wait(), 2) << run.err();
    EXPECT_THAT(run.err(), HasSubstr(why));
    EXPECT_THAT(run.err(), HasSubstr("--repo"));
  };
  refused(file + " is a file");
  git(repo(), {"add", "tasks.jsonl"});
  git(repo(), {"commit", "-q", "-m", "tasks"});
  refused("tasks.jsonl is a file on refs/heads/main");
  EXPECT_EQ(server_->stats().calls, 0u);
  write_file(repo() / "tasks.jsonl", batch_line("x", "of-its-own", "q"));
  Process run(run_words(file));
  EXPECT_EQ(run.wait(), 0) << run.err();
}

TEST_F(PawlAgain, WhatWasToldIsKeptAsItWasMeantAndCanBeTakenBack) {
  write_file(folder_ / "headers", "X-Kept: yes\n");
  server_ = serve();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q") + batch_line("b", "s", "q"));
  Process run({"env",
               "-C",
               folder_.path().string(),
               PAWL_TOOL,
               "run",
               file,
               "--repo",
               repo().string(),
               "--base-url",
               server_->base_url() + "/v1",
               "--header-file",
               "headers",
               "--joblog",
               "jobs",
               "--no-sign",
               "--drain-timeout",
               "7s",
               "--budget-calls",
               "1",
               "--parallel-max",
               "1"});
  ASSERT_EQ(run.wait(), 7) << run.err();
  const std::string settings = read_file(repo() / ".git/pawl/settings");
  EXPECT_THAT(settings, HasSubstr("drain-timeout=7000ms\n"));
  EXPECT_THAT(settings, HasSubstr("header-file=" + (folder_ / "headers").string() + "\n"));
  git(repo(), {"config", "gpg.program", "false"});  // so that whoever signs, fails
  EXPECT_EQ(resume({"--sign", "--budget-calls", "0"}), 3) << "--sign takes --no-sign back: " << said_;
  EXPECT_EQ(resume({"--no-sign"}), 0) << said_;
  EXPECT_EQ(lines_of(read_file(folder_ / "jobs")).size(), 3u) << "one job log, wherever one stands";
}

TEST_F(PawlAgain, RecordsBelowAnInputFolderAreNoTasks) {
  server_ = serve();
  const fs::path all = folder_ / "all";
  fs::create_directory(all);
  write_file(all / "question", "what?");
  for (int i = 0; i < 2; ++i) {
    Process run(pawl({"run", all.string(), "--repo", (all / "repo").string(), "--url", server_->base_url() + "/echo"}));
    EXPECT_EQ(run.wait(), 0) << run.err();
    EXPECT_EQ(server_->stats().calls, 1u);
  }
}

}  // namespace
}  // namespace pawl::test
