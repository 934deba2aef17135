// `pawl run` end to end: real files, real sockets, a real repository looked at with the git program.
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::HasSubstr;

using PawlRun = PawlTool;

TEST_F(PawlRun, CommitsEveryTaskOnceInOrderUnderLatencyAndFaults) {
  const std::uint64_t seed = seed_of_test();
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("lognormal:10ms,1.0");
  options.error_rate = 0.08;
  options.error_codes = {429, 500, 503};
  options.retry_after = std::chrono::milliseconds{5};
  options.drop_rate = 0.04;
  options.truncate_rate = 0.04;
  options.seed = seed;
  server_ = serve(options);
  Asked asked;
  const std::string file = input("tasks.jsonl", batch_lines(1500, 12, seed, asked));
  Process run(run_words(file, {"--retry", "20", "--commit-tasks", "50", "--commit-every", "50ms"}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  expect_exactly_once_in_order(repo(), asked);
  expect_sound(repo());
  EXPECT_TRUE(!std::filesystem::exists(journal()) || std::filesystem::is_empty(journal()));
  const auto stats = server_->stats();
  EXPECT_EQ(stats.keys, 1500u);
  EXPECT_EQ(stats.keys_answered_2xx_more_than_once, stats.truncated == 0 ? 0 : stats.keys_answered_2xx_more_than_once);
  EXPECT_GT(stats.calls, 1500u) << "the faults must have caused retries";
}

TEST_F(PawlRun, KeepsTheAnswerBesideItsQuestion) {
  server_ = serve();
  const std::string file = input("in.jsonl", batch_line("a", "s", "first question") + batch_line("b", "s", "second"));
  Process run(run_words(file));
  ASSERT_EQ(run.wait(), 0) << run.err();
  const auto commits = committed_records(repo());
  std::vector<CommittedRecord> records;
  for (const auto& commit : commits) records.insert(records.end(), commit.begin(), commit.end());
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].id, "a");
  EXPECT_EQ(records[0].path, "s/00/00/a.json");
  EXPECT_THAT(records[0].response_body, HasSubstr("first question"));
  EXPECT_THAT(records[0].request_body, HasSubstr("first question"));
  EXPECT_THAT(records[1].response_body, HasSubstr("second"));
}

TEST_F(PawlRun, NotesItsBeginningAndEndAtTheTipsOfTheBranchWhenAskedTo) {
  server_ = serve();
  ASSERT_EQ(Process(run_words(input("1.jsonl", batch_line("a", "s", "one")))).wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(repo() / ".git/refs/notes")) << "nobody asked";
  const auto ask = [this](std::vector<std::string> words) { return lines_of(git(repo(), std::move(words))); };
  const std::string begin = ask({"rev-parse", "main"}).front();
  const std::string file = input("2.jsonl", batch_line("b", "s", "two") + batch_line("c", "s", "three"));
  ASSERT_EQ(Process(run_words(file, {"--run-notes", "--commit-tasks", "1"})).wait(), 0);
  const std::string end = ask({"rev-parse", "main"}).front();
  const std::string run = ask({"log", "-1", "--format=%(trailers:key=Pawl-Run,valueonly)"}).front();
  EXPECT_EQ(ask({"log", "-1", "--notes=pawl", "--format=%N", begin}).front(),
            "run " + run + " began after this commit");
  EXPECT_THAT(ask({"log", "-1", "--notes=pawl", "--format=%N", end}).front(),
              ::testing::MatchesRegex("run " + run + " ended with this commit after .* s: 2 committed.*exit code 0"));
  ASSERT_EQ(Process(run_words(file, {"--run-notes"})).wait(), 0);
  EXPECT_EQ(ask({"notes", "--ref=pawl", "show", end}).size(), 3u) << "a run without a commit adds to what is there";
  expect_sound(repo());
}

TEST_F(PawlRun, SkipsWhatIsCommittedRerunsWhatWasEditedAndRunsWhatWasAppended) {
  server_ = serve();
  const std::string a = batch_line("a", "s", "one"), b = batch_line("b", "s", "two"), c = batch_line("c", "t", "three");
  const std::string file = input("in.jsonl", a + b);
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  EXPECT_EQ(server_->stats().calls, 2u);

  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  EXPECT_EQ(server_->stats().calls, 2u) << "a second run of the same input calls nothing";

  const std::string head = git(repo(), {"rev-parse", "HEAD"});
  input("in.jsonl", b + a);
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  EXPECT_EQ(server_->stats().calls, 2u) << "order of lines is no part of a key";
  EXPECT_EQ(git(repo(), {"rev-parse", "HEAD"}), head);

  input("in.jsonl", a + batch_line("b", "s", "two, edited") + c);
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  EXPECT_EQ(server_->stats().calls, 4u);
  EXPECT_THAT(read_file(repo() / "s/00/00/b.json"), HasSubstr("two, edited"));
  EXPECT_THAT(read_file(repo() / "t/00/00/c.json"), HasSubstr("three"));

  ASSERT_EQ(Process(run_words(file, {"--again"})).wait(), 0);
  EXPECT_EQ(server_->stats().calls, 7u);
  expect_sound(repo());
}

TEST_F(PawlRun, SkipsAfterTheCacheOfKeysIsGone) {
  server_ = serve();
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(300, 3, 1, asked));
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  std::filesystem::remove_all(repo() / ".git" / "pawl");
  Process again(run_words(file));
  ASSERT_EQ(again.wait(), 0) << again.err();
  EXPECT_EQ(server_->stats().calls, 300u);
}

TEST_F(PawlRun, RecordsFailuresAndRunsThemAgainOnRequest) {
  server_ = serve();
  const std::string line = R"({"custom_id":"x","stream":"s","method":"POST","url":"/status/404","body":{}})";
  const std::string file = input("in.jsonl", line + "\n");
  std::vector<std::string> words = run_words(file);
  words.insert(words.end(), {"--base-url", server_->base_url()});
  words.erase(std::find(words.begin(), words.end(), "--base-url"),
              std::find(words.begin(), words.end(), "--base-url") + 2);
  Process first(words);
  ASSERT_EQ(first.wait(), 1) << first.err();
  EXPECT_THAT(read_file(repo() / "s/00/00/x.json"), HasSubstr("\"status_code\": 404"));
  ASSERT_EQ(Process(words).wait(), 0) << "recorded, so skipped";
  EXPECT_EQ(server_->stats().calls, 1u);
  words.push_back("--retry-failed");
  ASSERT_EQ(Process(words).wait(), 1);
  EXPECT_EQ(server_->stats().calls, 2u);
}

TEST_F(PawlRun, RecordsAServerThatIsNotThere) {
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  Process run(run_words(file, {"--base-url", "http://127.0.0.1:9", "--retry", "1"}));
  ASSERT_EQ(run.wait(), 1) << run.err();
  EXPECT_THAT(read_file(repo() / "s/00/00/a.json"), HasSubstr("connect_failed"));
  expect_sound(repo());
}

TEST_F(PawlRun, KeepsItsRateAndRemembersHowToBehave) {
  server_ = serve();
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(12, 2, 1, asked));
  const auto begin = std::chrono::steady_clock::now();
  Process run(
      run_words(file, {"--rate", "20/s,2", "--rate-tokens", "1000000/h", "--tokens-by", "/max_tokens", "--adaptive",
                       "--breaker", "7", "--max-time-first-byte", "50s", "--idle-timeout", "40s"}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_GE(std::chrono::steady_clock::now() - begin,
            std::chrono::milliseconds(500));  // two at once, ten at 20 a second
  expect_exactly_once_in_order(repo(), asked);
  const std::string settings = read_file(repo() / ".git/pawl/settings");
  for (const char* line : {"rate=20/s,2\n", "rate-tokens=1000000/h\n", "tokens-by=/max_tokens\n", "adaptive=1\n",
                           "breaker=7\n", "max-time-first-byte=50000ms\n", "idle-timeout=40000ms\n"}) {
    EXPECT_THAT(settings, HasSubstr(line));
  }
}

TEST_F(PawlRun, RefusesRatesThatAreNone) {
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  for (const char* rate : {"5", "5/", "/s", "-1/s", "5/d", "5/s,", "5/s,0", "5/s,1x", "nan/s", "5/ss", "1e99/s"}) {
    Process run(run_words(file, {"--rate", rate}));
    EXPECT_EQ(run.wait(), 2) << rate;
    EXPECT_THAT(run.err(), HasSubstr("such as 500/m")) << rate;
    EXPECT_THAT(run.err(), HasSubstr("--rate")) << rate;
  }
  Process alone(run_words(file, {"--tokens-by", "/x"}));
  EXPECT_EQ(alone.wait(), 2);
  EXPECT_THAT(alone.err(), HasSubstr("--rate-tokens"));
}

TEST_F(PawlRun, TakesSeveralInputsAtOnceAndStandardInput) {
  server_ = serve();
  Asked asked;
  std::vector<std::string> words = pawl({"run"});
  for (unsigned i = 0; i < 4; ++i) {
    std::string lines;
    for (unsigned k = 0; k < 100; ++k) {
      const std::string id = fmt::format("{}-{}", i, k);
      lines += batch_line(id, fmt::format("s{}", i), "q");
      asked[fmt::format("s{}", i)].push_back(id);
    }
    words.push_back(input(fmt::format("in{}.jsonl", i), lines));
  }
  words.insert(words.end(), {"-", "--repo", repo().string(), "--base-url", server_->base_url()});
  Process::Options piped;
  piped.pipe_input = true;
  Process run(words, piped);
  run.write_input(batch_line("from stdin", "s9", "q"));
  asked["s9"].push_back("from stdin");
  run.close_input();
  ASSERT_EQ(run.wait(), 0) << run.err();
  expect_exactly_once_in_order(repo(), asked);
  expect_sound(repo());
}

TEST_F(PawlRun, TakesLinesFilesAndStreamsByPointer) {
  server_ = serve();
  std::filesystem::create_directories(folder_ / "texts" / "deep");
  write_file(folder_ / "texts" / "one.txt", "first file");
  write_file(folder_ / "texts" / "deep" / "two.txt", "second file");
  const std::string echo = server_->base_url() + "/echo";
  Process files(run_words((folder_ / "texts").string(), {"--url", echo}));
  ASSERT_EQ(files.wait(), 0) << files.err();
  EXPECT_THAT(read_file(repo() / "texts/00/00/one.txt.json"), HasSubstr("first file"));
  EXPECT_THAT(read_file(repo() / "texts/00/00/deep%2Ftwo.txt.json"), HasSubstr("second file"));

  const std::string lines = input("words.txt", "{\"u\":{\"name\":\"ann\"}}\n{\"u\":{\"name\":\"bob\"}}\n");
  Process by(run_words(lines, {"--url", echo, "--stream-by", "/u/name", "--format", "lines"}));
  ASSERT_EQ(by.wait(), 0) << by.err();
  EXPECT_THAT(read_file(repo() / "ann/00/00/words.txt%3A1.json"), HasSubstr("ann"));
  EXPECT_THAT(read_file(repo() / "bob/00/00/words.txt%3A2.json"), HasSubstr("bob"));

  const std::string plain = input("plain.txt", "say \"hi\"\n");
  Process body(run_words(plain, {"--url", echo, "--body", R"({"prompt": {line:json}})"}));
  ASSERT_EQ(body.wait(), 0) << body.err();
  EXPECT_THAT(read_file(repo() / "plain.txt/00/00/plain.txt%3A1.json"), HasSubstr(R"({"prompt": "say \"hi\""})"));
  expect_sound(repo());
}

TEST_F(PawlRun, ScrapesUrlsIntoPlainFilesAndCommitsOnlyChanges) {
  server_ = serve();
  std::string urls = "# pages\n";
  for (int code : {200, 404}) urls += server_->base_url() + fmt::format("/status/{}\n", code);
  for (int page : {1, 2}) urls += server_->base_url() + fmt::format("/echo?page={}\n", page);
  const std::string file = input("urls.txt", urls);
  const std::vector<std::string> raw = {"--format", "urls", "--layout", "raw", "--path", "{path}{?query}"};
  Process first(run_words(file, raw));
  ASSERT_EQ(first.wait(), 1) << first.err();  // the 404
  EXPECT_TRUE(std::filesystem::exists(repo() / "echo%3Fpage%3D1")) << git(repo(), {"ls-tree", "-r", "HEAD"});
  EXPECT_FALSE(std::filesystem::exists(repo() / "status/404")) << "an error page is no content";
  const std::string head = git(repo(), {"rev-parse", "HEAD"});
  Process second(run_words(file, raw));
  ASSERT_EQ(second.wait(), 1) << second.err();
  EXPECT_EQ(git(repo(), {"rev-parse", "HEAD"}), head) << "unchanged content makes no commit";
  EXPECT_EQ(server_->stats().calls, 8u) << "scraping asks again each time";
  expect_sound(repo());
}

TEST_F(PawlRun, KeepsHostileNamesInsideTheRepository) {
  server_ = serve();
  const std::vector<std::string> names = {
      "../../etc/passwd",       ".git",        ".GIT",    ".gitmodules", "..",         ".",   "a/b",
      std::string(10'000, 'x'), "line\\nfeed", "ünïcode", "%2e",         "con space ", "-rf", "~"};
  std::string lines;
  Asked asked;
  for (const auto& name : names) lines += batch_line(name, name, "q");
  const std::string file = input("in.jsonl", lines);
  Process run(run_words(file));
  ASSERT_EQ(run.wait(), 0) << run.err();
  std::size_t found = 0;
  for (const auto& commit : committed_records(repo())) found += commit.size();
  EXPECT_EQ(found, names.size());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(repo()))
    EXPECT_LE(entry.path().filename().string().size(), 255u);
  expect_sound(repo());
  Process again(run_words(file));
  ASSERT_EQ(again.wait(), 0) << again.err();
  EXPECT_EQ(server_->stats().calls, names.size()) << "hostile keys are found again";
}

TEST_F(PawlRun, KeepsFileNamesThatAreNotUtf8) {
  server_ = serve();
  std::filesystem::create_directories(folder_ / "odd");
  write_file(folder_ / "odd" / "caf\xe9.txt", "latin");
  Process run(run_words((folder_ / "odd").string(), {"--url", server_->base_url() + "/echo"}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_THAT(read_file(repo() / "odd/00/00/caf%E9.txt.json"), HasSubstr("custom_id_encoding"));
  expect_sound(repo());
}

TEST_F(PawlRun, CommitsOneTaskPerCommitOnRequest) {
  server_ = serve();
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(40, 4, 2, asked));
  Process run(run_words(file, {"--commit-tasks", "1"}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_EQ(git(repo(), {"rev-list", "--count", "HEAD"}), "40\n");
  EXPECT_THAT(git(repo(), {"log", "-1", "--format=%s"}),
              ::testing::MatchesRegex("stream-[0-3] task-[0-9]+: 200 in .* s\n"));
  EXPECT_THAT(git(repo(), {"log", "-1", "--format=%(trailers:key=Pawl-Run)"}), HasSubstr("Pawl-Run: 20"));
  expect_exactly_once_in_order(repo(), asked);
}

TEST_F(PawlRun, DoesNotWaitForMoreWhenTheInputHasEnded) {
  server_ = serve();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  Process run(run_words(file, {"--commit-every", "1h"}));
  EXPECT_EQ(run.wait(std::chrono::seconds{30}), 0) << run.err();
}

TEST_F(PawlRun, StopsCallingWhenTheBranchCannotBeMoved) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("20ms");
  server_ = serve(options);
  git(folder_.path(), {"init", "-q", "-b", "main", repo().string()});
  git(repo(), {"commit", "-q", "--allow-empty", "-m", "start"});
  write_file(repo() / ".git" / "refs" / "heads" / "main.lock", "");
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(20'000, 3, 5, asked));
  Process run(run_words(file, {"--parallel-max", "8", "--commit-every", "20ms"}));
  ASSERT_EQ(run.wait(), 3) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("main.lock"));
  EXPECT_LT(server_->stats().calls, 20'000u);
  std::filesystem::remove(repo() / ".git" / "refs" / "heads" / "main.lock");
  Process resume(pawl({"resume", repo().string(), "--parallel-max", "1000"}));
  ASSERT_EQ(resume.wait(), 0) << resume.err();
  expect_sound(repo());
}

TEST_F(PawlRun, RefusesToFinishAnEarlierRunsTasksWithOtherOptions) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("60s");
  server_ = serve(options);
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  {
    Process run(run_words(file));
    ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 1; })) << run.err();
    run.signal(SIGKILL);
    ASSERT_EQ(run.wait(), -SIGKILL);
  }
  Process other(run_words(file, {"--layout", "raw"}));
  EXPECT_EQ(other.wait(), 2);
  EXPECT_THAT(other.err(), HasSubstr("pawl resume"));
}

TEST_F(PawlRun, CommitsAndPushesAsAskedForAlsoAfterAKillAndBesideOthers) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("500ms");
  server_ = serve(options);
  const std::string remote = (folder_ / "remote").string();
  Process({"git", "init", "-q", "--bare", "-b", "main", remote}).wait();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  {
    Process run(run_words(file, {"--message", "asked: {results} of {stream}", "--trailer", "Ticket: 7", "--trailer",
                                 "Team: a%b", "--push", remote}));
    ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 1; })) << run.err();
    run.signal(SIGKILL);
    ASSERT_EQ(run.wait(), -SIGKILL);
  }
  Process resume(pawl({"resume", repo().string()}));
  ASSERT_EQ(resume.wait(), 0) << resume.err();
  EXPECT_EQ(git(repo(), {"log", "--format=%s|%(trailers:key=Ticket,key=Team,separator=%x2C)"}),
            "asked: 1 result of s|Ticket: 7,Team: a%b\n");
  EXPECT_EQ(git(remote, {"rev-parse", "main"}), git(repo(), {"rev-parse", "main"}));

  // Somebody else pushes, too.
  const std::string copy = (folder_ / "copy").string();
  ASSERT_EQ(Process({"git", "clone", "-q", remote, copy}).wait(), 0);
  write_file(std::filesystem::path(copy) / "notes", "mine");
  git(copy, {"add", "notes"});
  git(copy, {"-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "-m", "notes"});
  git(copy, {"push", "-q"});
  const std::string more = input("more.jsonl", batch_line("b", "s", "q"));
  Process run(run_words(more, {"--push", remote}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_EQ(git(remote, {"rev-parse", "main"}), git(repo(), {"rev-parse", "main"}));
  EXPECT_EQ(git(remote, {"ls-tree", "-r", "--name-only", "main"}), "notes\ns/00/00/a.json\ns/00/00/b.json\n");
  expect_sound(repo());
  Process verify(pawl({"verify", repo().string()}));
  EXPECT_EQ(verify.wait(), 0) << verify.out() << verify.err();

  Process nowhere(run_words(input("last.jsonl", batch_line("c", "s", "q")), {"--push", (folder_ / "no").string()}));
  EXPECT_EQ(nowhere.wait(), 3);
  EXPECT_THAT(nowhere.err(), HasSubstr("is behind the branch: git push: "));
  EXPECT_TRUE(std::filesystem::exists(repo() / "s/00/00/c.json"));
}

TEST_F(PawlRun, RefusesCommitOptionsThatCannotBe) {
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  const auto refused = [&](std::vector<std::string> words) {
    Process run(run_words(file, std::move(words)));
    EXPECT_EQ(run.wait(), 2);
    return run.err();
  };
  EXPECT_THAT(refused({"--message", "{what}"}), HasSubstr("there is no field {what}"));
  EXPECT_THAT(refused({"--trailer", "Pawl-Run: 1"}), HasSubstr("keys that begin with Pawl-"));
  EXPECT_THAT(refused({"--normalise", "json"}), HasSubstr("--layout raw"));
  EXPECT_THAT(refused({"--path", "{id}"}), HasSubstr("--layout raw"));
  EXPECT_THAT(refused({"--push", "https://me:secret@example.org/x.git"}), HasSubstr("credential helpers"));
  EXPECT_THAT(refused({"--push", "https://token@example.org/x.git"}), HasSubstr("credential helpers"));
  EXPECT_THAT(refused({"--push=--force"}), HasSubstr("--push names a remote"));
}

TEST_F(PawlRun, LeavesFilesWithOnesOwnChangesAndSaysSo) {
  server_ = serve();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  write_file(repo() / "s/00/00/a.json", "my own words");
  Process again(run_words(file, {"--again"}));
  ASSERT_EQ(again.wait(), 0) << again.err();
  EXPECT_THAT(again.err(), HasSubstr("s/00/00/a.json"));
  EXPECT_EQ(read_file(repo() / "s/00/00/a.json"), "my own words");
  EXPECT_EQ(git(repo(), {"rev-list", "--count", "HEAD"}), "2\n") << "the result itself is committed";
}

TEST_F(PawlRun, TakesOverTheBranchLockOfAKilledRun) {
  server_ = serve();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  const auto lock = repo() / ".git" / "refs" / "heads" / "main.lock";
  write_file(repo() / ".git" / "pawl" / "branch-lock", "taking " + lock.string() + std::string(1, '\0'));
  write_file(lock, "");
  input("in.jsonl", batch_line("b", "s", "q"));
  Process next(run_words(file));
  ASSERT_EQ(next.wait(), 0) << next.err();
  expect_sound(repo());
}

TEST_F(PawlRun, KeepsTheTokenOutOfEverythingItWrites) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("60s");
  server_ = serve(options);
  const std::string secret = "sk-planted-0123456789";
  Process::Options environment;
  environment.environment = {"OPENAI_API_KEY=" + secret};
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  Process run(run_words(file, {"--progress", "json"}), environment);
  ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 1; })) << run.err();
  Process status(pawl({"status", repo().string(), "--json"}));
  ASSERT_EQ(status.wait(), 0);
  EXPECT_EQ(status.out().find(secret), std::string::npos);
  run.signal(SIGKILL);  // with its journal in place
  ASSERT_EQ(run.wait(), -SIGKILL);
  EXPECT_EQ((run.out() + run.err()).find(secret), std::string::npos);
  unsigned files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(repo())) {
    if (!entry.is_regular_file()) continue;
    ++files;
    EXPECT_EQ(read_file(entry.path()).find(secret), std::string::npos) << entry.path();
  }
  EXPECT_GT(files, 3u);
}

TEST_F(PawlRun, WorksOnABareRepository) {
  server_ = serve();
  git(folder_.path(), {"init", "-q", "--bare", "-b", "main", repo().string()});
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  Process run(run_words(file));
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_EQ(git(repo(), {"ls-tree", "-r", "--name-only", "main"}), "s/00/00/a.json\n");
}

TEST_F(PawlRun, TriesOutWithNothingButTheBuiltInServer) {
  Process::Options piped;
  piped.pipe_input = true;
  Process run(pawl({"run", "-", "--repo", repo().string(), "--api", "builtin", "--builtin-latency", "1ms"}), piped);
  run.write_input("one\ntwo\n");
  run.close_input();
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("lines"));
  EXPECT_EQ(run.out(), "");
  EXPECT_THAT(read_file(repo() / "stdin/00/00/stdin%3A2.json"), HasSubstr("two"));
}

TEST_F(PawlRun, PrintsNothingWhenQuietAndObjectsWhenAskedForJson) {
  server_ = serve();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  Process quiet(run_words(file, {"--quiet"}));
  ASSERT_EQ(quiet.wait(), 0);
  EXPECT_EQ(quiet.err(), "");
  Process json(run_words(file, {"--progress", "json", "--again", "--format", "batch"}));
  ASSERT_EQ(json.wait(), 0);
  simdjson::dom::parser parser;
  std::istringstream lines(json.err());
  unsigned objects = 0;
  for (std::string line; std::getline(lines, line); ++objects)
    EXPECT_EQ(parser.parse(line).error(), simdjson::SUCCESS) << line;
  EXPECT_GE(objects, 1u);
}

}  // namespace
}  // namespace pawl::test
