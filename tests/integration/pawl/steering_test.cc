// A live run is paused, gone on with, set otherwise, drained and stopped; one that died says what is left of it.
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Said {
  int code = -1;
  std::string out, err;
};

class PawlSteering : public PawlTool {
 protected:
  void begin(const std::string& latency, unsigned count, std::vector<std::string> more) {
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse(latency);
    server_ = serve(options);
    more.insert(more.end(), {"--commit-every", "50ms"});
    run_ = std::make_unique<Process>(run_words(input("in.jsonl", batch_lines(count, 3, 7, asked_)), more));
    ASSERT_TRUE(eventually([&] { return server_->stats().calls > 0; })) << run_->err();
  }
  static Said say(std::vector<std::string> words) {
    Process process(pawl(std::move(words)));
    const int code = process.wait();
    return {code, process.out(), process.err()};
  }
  Said ctl(std::vector<std::string> words) const {
    words.insert(words.begin(), {"ctl", repo().string()});
    return say(std::move(words));
  }
  simdjson::dom::element status() {
    const Said said = say({"status", repo().string(), "--json"});
    EXPECT_EQ(said.code, 0) << said.err;
    const auto json = parser_.parse(said.out);
    EXPECT_EQ(json.error(), simdjson::SUCCESS) << said.out;
    return json.error() == simdjson::SUCCESS ? json.value_unsafe() : simdjson::dom::element{};
  }
  Asked asked_;
  simdjson::dom::parser parser_;
  std::unique_ptr<Process> run_;
};

TEST_F(PawlSteering, PausedNoCallLeavesAndThoseOnTheirWayFinish) {
  begin("100ms", 1000, {"--parallel-max", "10"});
  EXPECT_EQ(ctl({"pause"}).code, 0);
  ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 0; }));
  const auto calls = server_->stats().calls;
  EXPECT_EQ(server_->stats().answered, calls);
  const auto paused_at = status()["elapsed_ms"].get_uint64().value();
  // Time for thirty more calls.
  ASSERT_TRUE(eventually([&] { return status()["elapsed_ms"].get_uint64().value() > paused_at + 300; }));
  const auto seen = status();
  EXPECT_TRUE(seen["live"].get_bool().value());
  EXPECT_TRUE(seen["paused"].get_bool().value());
  EXPECT_EQ(seen["now"]["calling"].get_uint64().value(), 0u);
  EXPECT_EQ(server_->stats().calls, calls) << "a call left while the run was paused";

  EXPECT_EQ(ctl({"set", "parallel-max=60"}).code, 0);
  EXPECT_EQ(server_->stats().calls, calls);
  EXPECT_EQ(ctl({"resume"}).code, 0);
  ASSERT_EQ(run_->wait(), 0) << run_->err();
  EXPECT_THAT(run_->err(), AllOf(HasSubstr("paused: no new call leaves"), HasSubstr("set parallel-max=60")));
  expect_exactly_once_in_order(repo(), asked_);
}

TEST_F(PawlSteering, CallsAtOnceAreSetAnewUpAndDown) {
  begin("50ms", 10'000, {"--parallel-max", "4", "--log", (folder_ / "log").string()});
  EXPECT_EQ(ctl({"set", "parallel-max=64"}).code, 0);
  ASSERT_TRUE(eventually([&] { return server_->stats().in_flight > 32; })) << run_->err();
  EXPECT_EQ(ctl({"set", "parallel-max=2", "log-level=debug"}).code, 0);
  ASSERT_TRUE(eventually([&] { return server_->stats().in_flight <= 2; }));
  const auto answered = server_->stats().answered;
  ASSERT_TRUE(eventually([&] {
    EXPECT_LE(server_->stats().in_flight, 2u);
    return server_->stats().answered > answered + 6;
  }));
  EXPECT_TRUE(eventually([&] { return read_file(folder_ / "log").find(" debug ") != std::string::npos; }));
  EXPECT_EQ(ctl({"stop"}).code, 0);
  EXPECT_EQ(run_->wait(), 7) << run_->err();
}

TEST_F(PawlSteering, ARateThatIsLiftedHoldsNobodyBackAnyMore) {
  begin("1ms", 100, {"--rate", "6/h"});  // a day's work
  EXPECT_EQ(ctl({"set", "rate=0"}).code, 0);
  ASSERT_EQ(run_->wait(), 0) << run_->err();
  expect_exactly_once_in_order(repo(), asked_);
}

// Killed at once after the answer: what was set is what a resume begins with, and what is said to that one goes before.
TEST_F(PawlSteering, WhatWasSetSurvivesAKillAndIsWhatAResumeBeginsWith) {
  const auto log = folder_ / "log";
  begin("120s", 40, {"--parallel-max", "4", "--rate-tokens", "9/s", "--tokens-by", "/n", "--log", log.string()});
  ASSERT_TRUE(eventually([&] { return status()["tasks"]["saved"].get_uint64().value() == 40; })) << run_->err();
  EXPECT_EQ(ctl({"set", "parallel-max=7", "rate=6000/m,50", "rate-tokens=0", "log-level=debug"}).code, 0);
  run_->signal(SIGKILL);
  run_->wait();
  const auto resumed_with = [&](std::vector<std::string> more, unsigned calls) {
    more.insert(more.begin(), {"resume", repo().string()});
    std::filesystem::remove(log);
    run_ = std::make_unique<Process>(pawl(std::move(more)));
    EXPECT_TRUE(eventually([&] {
      const Said now = say({"status", repo().string(), "--json"});
      const auto seen = parser_.parse(now.out);
      return seen["live"].get_bool().value() && seen["now"]["calling"].get_uint64().value() == calls;
    })) << run_->err();
    std::string text;
    EXPECT_TRUE(eventually([&] { return (text = read_file(log)).find("run_started") != std::string::npos; }));
    return text;
  };
  EXPECT_THAT(resumed_with({}, 7), AllOf(HasSubstr("parallel_max=7"), HasSubstr("rate=6000/m,50")));
  // What cannot be remembered is said, and what no run could begin with is refused.
  std::filesystem::create_directory(repo() / ".git" / "pawl" / "settings.tmp");
  const Said forgotten = ctl({"set", "parallel-max=9"});
  EXPECT_EQ(forgotten.code, 3);
  EXPECT_THAT(forgotten.err, HasSubstr("set, but pawl resume will not know it: cannot write "));
  std::filesystem::remove(repo() / ".git" / "pawl" / "settings.tmp");
  EXPECT_THAT(ctl({"set", "parallel-max=60000"}).err, HasSubstr("--tasks-in-flight (8192) must not be smaller"));
  EXPECT_EQ(ctl({"set", "rate=0"}).code, 0);
  run_->signal(SIGKILL);
  run_->wait();
  EXPECT_THAT(resumed_with({"--parallel-max", "3"}, 3), AllOf(HasSubstr("parallel_max=3"), HasSubstr("rate=0")));
  run_->signal(SIGKILL);
  run_->wait();
  EXPECT_THAT(read_file(repo() / ".git" / "pawl" / "settings"),
              AllOf(HasSubstr("\nlog-level=debug\n"), HasSubstr("\nrate-tokens=0\n")));
  server_.reset();
}

TEST_F(PawlSteering, DrainEndsARunAndStatusSaysHowToGoOn) {
  begin("200ms", 2000, {"--parallel-max", "8"});
  Process watch(pawl({"status", repo().string(), "--watch"}));
  ASSERT_TRUE(eventually([&] { return watch.out().find("running for") != std::string::npos; })) << watch.err();
  EXPECT_EQ(ctl({"drain"}).code, 0);
  ASSERT_EQ(run_->wait(), 7) << run_->err();
  EXPECT_THAT(run_->err(), HasSubstr("taking no more"));
  EXPECT_EQ(watch.wait(), 0);
  EXPECT_THAT(watch.out(), AllOf(HasSubstr("the run has ended"), HasSubstr("pawl resume " + repo().string())));
}

TEST_F(PawlSteering, SaysWhatIsWrongWithARequest) {
  begin("60s", 8, {"--parallel-max", "8"});
  const Said unknown = ctl({"set", "colour=red"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("colour"), HasSubstr("parallel-max, rate, rate-tokens, log-level")));
  const Said wrong = ctl({"set", "parallel-max=many"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("parallel-max=many: expected a whole number"));
  EXPECT_THAT(ctl({"set", "rate=5"}).err, HasSubstr("rate=5: expected a rate"));
  EXPECT_EQ(ctl({"set"}).code, 2);
  EXPECT_THAT(ctl({"set", "="}).err, HasSubstr("set =: expected KEY=VALUE"));
  EXPECT_EQ(ctl({"set", "parallel-max=3", "colour=red"}).code, 2);
  EXPECT_THAT(run_->err(), Not(HasSubstr("set parallel-max=3"))) << "all or none";
  EXPECT_THAT(ctl({"set", "log-level=loud"}).err, HasSubstr("log-level=loud: expected error, warn, info or debug"));
  EXPECT_THAT(ctl({"set", "log-level=debug"}).err, HasSubstr("has no log"));
  EXPECT_EQ(ctl({"pause", "rate=5/s"}).code, 2);
  EXPECT_EQ(ctl({"halt"}).code, 2);
  EXPECT_EQ(ctl({"stop"}).code, 0);
  EXPECT_EQ(run_->wait(), 7) << run_->err();
  const Said nobody = ctl({"pause"});
  EXPECT_EQ(nobody.code, 2);
  EXPECT_THAT(nobody.err, HasSubstr("no run is live"));
}

TEST_F(PawlSteering, AKilledRunsStateIsReadFromGitAndJournal) {
  server_ = serve();
  std::string lines = batch_lines(10, 2, 3, asked_);
  for (const int status : {404, 404, 410})
    lines += fmt::format(R"({{"custom_id":"bad-{}","stream":"bad","method":"GET","url":"{}/status/{}"}})"
                         "\n",
                         lines.size(), server_->base_url(), status);
  Process first(run_words(input("first.jsonl", lines)));
  ASSERT_EQ(first.wait(), 1) << first.err();
  server_.reset();

  begin("60s", 40, {"--parallel-max", "8"});
  ASSERT_TRUE(eventually(
      [&] { return status()["tasks"]["saved"].get_uint64().value() == 40 && server_->stats().in_flight == 8; }));
  run_->signal(SIGKILL);
  run_->wait();
  const auto seen = status();
  EXPECT_FALSE(seen["live"].get_bool().value());
  EXPECT_EQ(seen["phase"].get_string().value(), "done");
  const auto tasks = seen["tasks"];
  EXPECT_EQ(tasks["committed"].get_uint64().value(), 13u);
  EXPECT_EQ(tasks["failed"].get_uint64().value(), 3u);
  EXPECT_EQ(tasks["unfinished"].get_uint64().value(), 40u);
  EXPECT_GE(tasks["in_doubt"].get_uint64().value(), 8u);
  EXPECT_EQ(seen["errors"].at(0)["text"].get_string().value(), "status 404");
  EXPECT_EQ(seen["errors"].at(0)["count"].get_uint64().value(), 2u);
  const Said text = say({"status", repo().string()});
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("committed   13 on "), HasSubstr("3 of them failures"),
                              HasSubstr("40 accepted and not committed: 0 answered"),
                              HasSubstr("pawl resume " + repo().string())));
}

}  // namespace
}  // namespace pawl::test
