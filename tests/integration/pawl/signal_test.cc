// Stopping: drain, stop at once, resume; a second run; status of a live and of a stopped run.
#include <optional>

#include "tool.h"
#include "within.h"

namespace pawl::test {
namespace {

using ::testing::HasSubstr;

class PawlSignal : public PawlTool {
 protected:
  /// A server that answers after `latency`, and a run of `count` tasks against it with `parallel` calls at once.
  void begin(const std::string& latency, unsigned count, const std::string& parallel,
             const std::vector<std::string>& more = {}) {
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse(latency);
    server_ = serve(options);
    file_ = input("in.jsonl", batch_lines(count, 5, 3, asked_));
    std::vector<std::string> words = {"--parallel-max", parallel, "--commit-every", "50ms"};
    words.insert(words.end(), more.begin(), more.end());
    run_ = std::make_unique<Process>(run_words(file_, words));
    ASSERT_TRUE(eventually([&] { return server_->stats().in_flight > 0; })) << run_->err();
  }
  /// What `pawl status --json` prints; valid until the next call.
  simdjson::dom::element status() {
    Process process(pawl({"status", repo().string(), "--json"}));
    EXPECT_EQ(process.wait(), 0) << process.err();
    const auto json = parser_.parse(process.out());
    EXPECT_EQ(json.error(), simdjson::SUCCESS) << process.out();
    return json.error() == simdjson::SUCCESS ? json.value_unsafe() : simdjson::dom::element{};
  }
  /// A number of the live run's status; nothing if the run is not live (yet).
  std::optional<std::uint64_t> live(std::string_view group, std::string_view name) {
    std::uint64_t value = 0;
    const bool there = status()[group][name].get(value) == simdjson::SUCCESS;
    return there ? std::optional(value) : std::nullopt;
  }
  Asked asked_;
  simdjson::dom::parser parser_;
  std::string file_;
  std::unique_ptr<Process> run_;
};

TEST_F(PawlSignal, FirstInterruptFinishesWhatIsCalledAndResumeDoesTheRest) {
  constexpr unsigned kMany = 1200;  // nine seconds' worth: the signal comes long before the end on a busy machine too
  begin("uniform:50ms-250ms", kMany, "20");
  ASSERT_TRUE(eventually([&] { return server_->stats().answered >= 40; }));
  run_->signal(SIGINT);
  ASSERT_EQ(run_->wait(), 7) << run_->err();
  EXPECT_THAT(run_->err(), HasSubstr("press Ctrl-C again"));
  EXPECT_THAT(run_->err(), HasSubstr("pawl resume"));
  const auto answered = server_->stats().answered;
  EXPECT_LT(answered, kMany);
  expect_sound(repo());

  Process status(pawl({"status", repo().string()}));
  EXPECT_EQ(status.wait(), 0);
  EXPECT_THAT(status.out(), HasSubstr("pawl resume"));

  Process resume(pawl({"resume", repo().string(), "--parallel-max", "200"}));
  ASSERT_EQ(resume.wait(), 0) << resume.err();
  const auto stats = server_->stats();
  EXPECT_EQ(stats.calls, stats.answered);
  Process rest(run_words(file_));  // what had not been read when the signal came
  ASSERT_EQ(rest.wait(), 0) << rest.err();
  expect_exactly_once_in_order(repo(), asked_);
  expect_sound(repo());
  EXPECT_EQ(server_->stats().calls, kMany) << "nothing was called twice";
}

TEST_F(PawlSignal, InterruptWhileWaitingForACreditLosesNoLine) {
  begin("400ms", 400, "8", {"--tasks-in-flight", "8"});
  ASSERT_TRUE(eventually([&] { return server_->stats().answered >= 16; }));
  run_->signal(SIGINT);
  ASSERT_EQ(run_->wait(), 7) << run_->err();
  Process rest(run_words(file_));
  ASSERT_EQ(rest.wait(), 0) << rest.err();
  expect_exactly_once_in_order(repo(), asked_);
}

TEST_F(PawlSignal, SecondInterruptStopsWithinASecond) {
  begin("60s", 200, "50");
  ASSERT_TRUE(eventually([&] { return live("tasks", "saved") == 200; })) << run_->err();
  run_->signal(SIGINT);
  ASSERT_TRUE(eventually([&] { return run_->err().find("press Ctrl-C again") != std::string::npos; }));
  const auto pressed = std::chrono::steady_clock::now();
  run_->signal(SIGINT);
  ASSERT_EQ(run_->wait(), 7) << run_->err();
  EXPECT_LT(std::chrono::steady_clock::now() - pressed, within(std::chrono::seconds{1}));
  const simdjson::dom::element json = status();
  EXPECT_FALSE(json["live"].get_bool().value());
  EXPECT_EQ(json["journal"]["tasks"].get_uint64().value(), 200u);
}

TEST_F(PawlSignal, DrainTimeoutStopsByItself) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("60s");
  server_ = serve(options);
  file_ = input("in.jsonl", batch_lines(20, 2, 3, asked_));
  Process run(run_words(file_, {"--drain-timeout", "200ms"}));
  ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 20; })) << run.err();
  run.signal(SIGTERM);
  EXPECT_EQ(run.wait(within(std::chrono::seconds{2})), 7) << run.err();
}

TEST_F(PawlSignal, InterruptEndsAReadThatBlocks) {
  server_ = serve();
  Process::Options piped;
  piped.pipe_input = true;
  Process run(run_words("-", {"--format", "batch"}), piped);
  run.write_input(batch_line("a", "s", "q"));
  ASSERT_TRUE(eventually([&] { return server_->stats().answered == 1; })) << run.err();
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 7) << run.err();
  expect_exactly_once_in_order(repo(), {{"s", {"a"}}});
}

TEST_F(PawlSignal, SecondRunIsRefusedWithThePidOfTheFirst) {
  begin("60s", 20, "20");
  Process second(run_words(file_));
  EXPECT_EQ(second.wait(), 3);
  EXPECT_THAT(second.err(), HasSubstr(std::to_string(run_->pid())));
}

TEST_F(PawlSignal, LiveStatusShowsWhatRuns) {
  begin("60s", 20, "15");
  ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 15; })) << run_->err();
  EXPECT_TRUE(eventually([&] { return live("now", "calling") == 15; }));
  Process text(pawl({"status", repo().string()}));
  ASSERT_EQ(text.wait(), 0) << text.err();
  EXPECT_THAT(text.out(), HasSubstr("calling 15"));
}

}  // namespace
}  // namespace pawl::test
