// Calls that are on their way when the process is killed: what is known of them afterwards, what each --on-unknown
// makes of them, and that no answer is bought twice. The real tool against a server that counts calls by key.
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr unsigned kParallel = 4;

class PawlInDoubt : public PawlTool {
 protected:
  struct Left {
    std::uint64_t tasks = 0, answers = 0, in_doubt = 0;
  };
  /// Kills a run with SIGKILL while calls are on the wire and some answers are journalled, none committed.
  void run_and_kill() {
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse("300ms");
    server_ = serve(options);
    file_ = input("in.jsonl", batch_lines(kTasks, 3, 7, asked_));
    Process run(run_words(file_, {"--parallel-max", std::to_string(kParallel), "--commit-every", "1h"}));
    ASSERT_TRUE(eventually([&] { return server_->stats().answered >= 12 && server_->stats().in_flight > 0; }))
        << run.err();
    run.signal(SIGKILL);
    ASSERT_EQ(run.wait(), -SIGKILL) << run.err();
    ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 0; }));
    before_ = server_->stats();
    left_ = left();
    ASSERT_EQ(left_.tasks, kTasks);
    ASSERT_GT(left_.in_doubt, 0u);
    // What was on the wire, and at most what stood ready to leave.
    ASSERT_LE(left_.in_doubt, 3 * kParallel);
    ASSERT_GE(left_.answers + left_.in_doubt, before_.calls) << "a call left without a mark";
  }
  Left left() {
    Process process(pawl({"status", repo().string(), "--json"}));
    EXPECT_EQ(process.wait(), 0) << process.err();
    simdjson::dom::parser parser;
    const auto json = parser.parse(process.out());
    Left left;
    EXPECT_EQ(json["journal"]["tasks"].get(left.tasks), simdjson::SUCCESS) << process.out();
    EXPECT_EQ(json["journal"]["answers"].get(left.answers), simdjson::SUCCESS);
    EXPECT_EQ(json["journal"]["in_doubt"].get(left.in_doubt), simdjson::SUCCESS);
    return left;
  }
  [[nodiscard]] std::uint64_t calls_since() const { return server_->stats().calls - before_.calls; }
  void expect_finished() {
    expect_exactly_once_in_order(repo(), asked_);
    expect_sound(repo());
    EXPECT_TRUE(!std::filesystem::exists(journal()) || std::filesystem::is_empty(journal()));
  }
  std::uint64_t records_with(const std::string& text) {
    std::uint64_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(repo()))
      if (entry.path().extension() == ".json") count += read_file(entry.path()).find(text) != std::string::npos;
    return count;
  }

  Asked asked_;
  std::string file_;
  mockapi::Stats before_;
  Left left_;
};

TEST_F(PawlInDoubt, RetryCallsAgainWithTheSameKeyAndNothingThatWasAnswered) {
  run_and_kill();
  Process resume(pawl({"resume", repo().string()}));
  ASSERT_EQ(resume.wait(), 0) << resume.err();
  expect_finished();
  EXPECT_EQ(calls_since(), kTasks - left_.answers) << "an answer in the journal costs no call";
  const auto stats = server_->stats();
  EXPECT_EQ(stats.keys, kTasks) << "calls of one task have one Idempotency-Key, whichever process makes them";
  EXPECT_EQ(stats.key_calls_max, 2u) << "once before and once after";
}

TEST_F(PawlInDoubt, HoldLeavesThemInTheJournalUntilSomebodyDecides) {
  run_and_kill();
  Process hold(pawl({"resume", repo().string(), "--on-unknown", "hold"}));
  ASSERT_EQ(hold.wait(), 7) << hold.err();
  EXPECT_THAT(hold.err(), HasSubstr("--on-unknown retry"));
  EXPECT_THAT(hold.err(), HasSubstr(fmt::format("{} held", left_.in_doubt)));
  EXPECT_EQ(server_->stats().key_calls_max, 1u) << "none of them was called again";
  EXPECT_GE(left().in_doubt, left_.in_doubt);
  Process status(pawl({"status", repo().string()}));
  EXPECT_EQ(status.wait(), 0);
  EXPECT_THAT(status.out(), HasSubstr("pawl resume " + repo().string() + " --on-unknown retry"));
  // A run of more input leaves the held streams alone, and takes up another.
  const std::string more =
      input("more.jsonl", batch_line("new", "stream-new", "q") + batch_line("late-0", "stream-0", "q") +
                              batch_line("late-1", "stream-1", "q") + batch_line("late-2", "stream-2", "q"));
  Process run(run_words(more, {"--on-unknown", "hold"}));
  ASSERT_EQ(run.wait(), 7) << run.err();
  EXPECT_TRUE(std::filesystem::exists(repo() / "stream-new/00/00/new.json"));
  EXPECT_THAT(run.err(), HasSubstr("tasks of held streams were not taken"));

  Process retry(pawl({"resume", repo().string(), "--on-unknown", "retry"}));
  ASSERT_EQ(retry.wait(), 0) << retry.err();
  Process again(run_words(more));
  ASSERT_EQ(again.wait(), 0) << again.err();
  asked_["stream-new"] = {"new"};
  for (unsigned i = 0; i < 3; ++i) asked_[fmt::format("stream-{}", i)].push_back(fmt::format("late-{}", i));
  expect_finished();
  EXPECT_EQ(server_->stats().key_calls_max, 2u);
}

TEST_F(PawlInDoubt, FailRecordsThemWithoutACall) {
  run_and_kill();
  Process resume(pawl({"resume", repo().string(), "--on-unknown", "fail"}));
  ASSERT_EQ(resume.wait(), 1) << resume.err();
  expect_finished();
  EXPECT_EQ(records_with("unknown_outcome"), left_.in_doubt);
  EXPECT_EQ(calls_since(), kTasks - left_.answers - left_.in_doubt);
  EXPECT_EQ(server_->stats().key_calls_max, 1u);
}

TEST_F(PawlInDoubt, ACleanStopLeavesNothingInDoubt) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("300ms");
  server_ = serve(options);
  const std::string file = input("in.jsonl", batch_lines(kTasks, 3, 7, asked_));
  for (const char* durability : {"sync", "flush", "none"}) {
    std::filesystem::remove_all(repo());
    Process run(run_words(file, {"--parallel-max", "4", "--durability", durability}));
    ASSERT_TRUE(eventually([&] { return server_->stats().in_flight > 0; })) << run.err();
    run.signal(SIGINT);
    ASSERT_EQ(run.wait(), 7) << run.err();
    EXPECT_EQ(left().in_doubt, 0u) << durability;
    EXPECT_THAT(read_file(repo() / ".git/pawl/settings"), HasSubstr(fmt::format("durability={}\n", durability)));
  }
}

TEST_F(PawlInDoubt, RunningAgainOnRequestIsANewCallForTheServer) {
  server_ = serve();
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  Process again(run_words(file, {"--again"}));
  ASSERT_EQ(again.wait(), 0) << again.err();
  EXPECT_EQ(server_->stats().calls, 2u);
  EXPECT_EQ(server_->stats().keys, 2u);
}

class PawlOnFailure : public PawlTool {
 protected:
  /// Of two streams; the third task of `bad` fails.
  std::string lines() const {
    std::string text;
    for (unsigned i = 0; i < 6; ++i)
      for (const char* stream : {"good", "bad"})
        text += fmt::format(
            R"({{"custom_id":"{}-{}","stream":"{}","method":"POST","url":"{}/status/{}","body":{{"n":{}}}}})"
            "\n",
            stream, i, stream, server_->base_url(), i == 2 && std::string(stream) == "bad" ? 404 : 200, i);
    return text;
  }
  [[nodiscard]] std::uint64_t committed(const std::string& stream) const {
    const auto folder = repo() / stream / "00" / "00";
    if (!std::filesystem::exists(folder)) return 0;
    return static_cast<std::uint64_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
  }
};

TEST_F(PawlOnFailure, HoldKeepsTheTaskAndItsStreamAndResumeTriesAgain) {
  server_ = serve();
  const std::string file = input("in.jsonl", lines());
  Process run(run_words(file, {"--on-failure", "hold"}));
  ASSERT_EQ(run.wait(), 7) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("stream bad, id bad-2: status 404"));
  EXPECT_EQ(committed("good"), 6u);
  EXPECT_EQ(committed("bad"), 2u) << "nothing behind it overtakes it";
  const auto calls = server_->stats().calls;
  Process same(pawl({"resume", repo().string()}));
  ASSERT_EQ(same.wait(), 7) << same.err();
  EXPECT_EQ(server_->stats().calls, calls + 1) << "it alone is called again: the setting is remembered";
  Process record(pawl({"resume", repo().string(), "--on-failure", "record"}));
  ASSERT_EQ(record.wait(), 1) << record.err();
  const int rest = Process(run_words(file)).wait();
  EXPECT_EQ(rest, 1) << "a recorded failure is among what is skipped";
  EXPECT_EQ(committed("bad"), 6u);
  expect_sound(repo());
}

TEST_F(PawlOnFailure, HaltCallsNoMore) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("50ms");
  server_ = serve(options);
  std::string text = lines();
  for (unsigned i = 0; i < 400; ++i)
    text += fmt::format(R"({{"custom_id":"more-{}","stream":"more","method":"POST","url":"{}/status/200","body":{{}}}})"
                        "\n",
                        i, server_->base_url());
  const std::string file = input("in.jsonl", text);
  Process run(run_words(file, {"--on-failure", "halt", "--parallel-max", "2"}));
  ASSERT_EQ(run.wait(), 7) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("--on-failure halt"));
  EXPECT_LT(server_->stats().calls, 200u);
  Process record(pawl({"resume", repo().string(), "--on-failure", "record", "--parallel-max", "100"}));
  ASSERT_EQ(record.wait(), 1) << record.err();
  const int rest = Process(run_words(file, {"--parallel-max", "100"})).wait();
  EXPECT_EQ(rest, 1) << "a recorded failure is among what is skipped";
  EXPECT_EQ(server_->stats().calls, 412u + 1u) << "only the failed one is called twice";
}

}  // namespace
}  // namespace pawl::test
