// `--log` and `--joblog` of the real tool.
#include <set>

#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* kPlantedKey = "planted-log-key-5d20a7";

class PawlLog : public PawlTool {
 protected:
  [[nodiscard]] std::string file(const std::string& name) const { return (folder_ / name).string(); }
  static std::vector<std::string> split(const std::string& text, char at) {
    std::istringstream in(text);
    std::vector<std::string> parts;
    for (std::string part; std::getline(in, part, at);) parts.push_back(part);
    return parts;
  }
  std::string get(const std::string& id, const std::string& target) const {
    return fmt::format(R"({{"custom_id":"{}","stream":"s","method":"GET","url":"{}{}"}})"
                       "\n",
                       id, server_->base_url(), target);
  }
  /// The events of a log of JSON lines, each of which must be valid.
  static std::vector<std::string> events(const std::string& text) {
    simdjson::dom::parser parser;
    std::vector<std::string> found;
    for (const std::string& line : split(text, '\n')) {
      simdjson::dom::object json;
      EXPECT_EQ(parser.parse(line).get_object().get(json), simdjson::SUCCESS) << line;
      for (const char* name : {"time", "level", "message"}) EXPECT_TRUE(json[name].is_string()) << line;
      std::string_view event;
      EXPECT_EQ(json["event"].get_string().get(event), simdjson::SUCCESS) << line;
      found.emplace_back(event);
    }
    return found;
  }
};

TEST_F(PawlLog, TellsOfARunFromItsStartToItsEndWithoutSecrets) {
  server_ = serve();
  // Ids are a task's own, so a key in one is recorded; in a log it has no business.
  const std::string lines = get("good", "/echo") + get("gone", "/status/404?token=in-query") +
                            get(std::string("down-") + kPlantedKey, "/status/503");
  Process::Options environment;
  environment.environment = {std::string("OPENAI_API_KEY=") + kPlantedKey};
  Process run(run_words(input("in.jsonl", lines), {"--retry", "1", "--log", file("log"), "--log-format", "json",
                                                   "--log-level", "debug", "--joblog", file("jobs")}),
              environment);
  EXPECT_EQ(run.wait(), 1) << run.err();
  const std::string log = read_file(file("log"));
  const auto seen = events(log);
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.front(), "run_started");
  EXPECT_EQ(seen.back(), "run_ended");
  EXPECT_THAT(seen, AllOf(Contains("retry"), Contains("task_failed"), Contains("published")));
  EXPECT_THAT(log, AllOf(HasSubstr(R"("id":"gone","url":")"), HasSubstr("status 503"), HasSubstr("down-[secret]"),
                         Not(HasSubstr("in-query")), Not(HasSubstr(kPlantedKey))));
  EXPECT_THAT(read_file(file("jobs")), AllOf(HasSubstr("down-[secret]"), Not(HasSubstr(kPlantedKey))));
}

TEST_F(PawlLog, GoesToStandardErrorInsteadOfMessagesAndLevelsAreKept) {
  server_ = serve();
  const std::string in = input("in.jsonl", get("gone", "/status/404"));
  Process run(run_words(in, {"-q", "--log", "-", "--log-level", "warn"}));
  EXPECT_EQ(run.wait(), 1);
  EXPECT_THAT(split(run.err(), '\n'), ElementsAre(HasSubstr(" warn  task_failed status 404 stream=s id=gone")));
  Process again(pawl({"run", "--failed", repo().string(), "--log-level", "info"}));
  EXPECT_EQ(again.wait(), 1);
  EXPECT_THAT(again.err(), AllOf(HasSubstr(" info  run_started"), HasSubstr(" info  run_ended"))) << "--log is kept";
  EXPECT_EQ(Process(run_words(in, {"--log", "-", "--progress", "json"})).wait(), 2);
  Process nowhere(run_words(in, {"--log", file("no/log")}));
  EXPECT_NE(nowhere.wait(), 0);
  EXPECT_THAT(nowhere.err(), HasSubstr("no/log"));
}

TEST_F(PawlLog, SaysWhenSomebodyElseMovesTheBranch) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("20ms");
  server_ = serve(options);
  Asked asked;
  const std::string in = input("in.jsonl", batch_lines(100, 2, 5, asked));
  Process run(
      run_words(in, {"--parallel-max", "1", "--commit-every", "300ms", "--log", file("log"), "--log-level", "debug"}));
  ASSERT_TRUE(eventually([&] { return read_file(file("log")).find(" published ") != std::string::npos; }));
  ASSERT_TRUE(eventually([&] {
    const std::string tip = split(git(repo(), {"rev-parse", "HEAD"}), '\n')[0];
    const std::string theirs = split(git(repo(), {"-c", "user.name=n", "-c", "user.email=e", "commit-tree",
                                                  tip + "^{tree}", "-p", tip, "-m", "theirs"}),
                                     '\n')[0];
    return Process({"git", "-C", repo().string(), "update-ref", "HEAD", theirs, tip}).wait() == 0;
  }));
  EXPECT_EQ(run.wait(), 0) << run.err();
  EXPECT_THAT(read_file(file("log")), HasSubstr(" info  foreign_commit "));
}

TEST_F(PawlLog, JobLogHasTheColumnsOfGnuParallelAndIsAppendedTo) {
  server_ = serve();
  const std::string jobs = file("jobs");
  const std::string first = input("in.jsonl", get("ok", "/echo") + get("gone", "/status/404"));
  EXPECT_EQ(Process(run_words(first, {"--joblog", jobs})).wait(), 1);
  write_file(jobs, read_file(jobs) + "3\thalf a line");
  const std::string second = input("two.jsonl", fmt::format(R"({{"custom_id":"tab\tid","method":"GET","url":"{}"}})"
                                                            "\n",
                                                            "http://127.0.0.1:1/"));
  EXPECT_EQ(Process(run_words(second, {"--joblog", jobs, "--retry", "0"})).wait(), 1);
  const auto lines = split(read_file(jobs), '\n');
  ASSERT_THAT(lines, SizeIs(4)) << read_file(jobs);
  EXPECT_EQ(lines[0], "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand");
  const std::string host = server_->base_url().substr(7);
  std::map<std::string, std::vector<std::string>> by_command;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto columns = split(lines[i], '\t');
    ASSERT_THAT(columns, SizeIs(9)) << lines[i];
    EXPECT_GT(std::stod(columns[2]), 1.7e9);
    by_command[columns[8].substr(0, columns[8].find(' '))] = columns;
  }
  ASSERT_THAT(by_command, SizeIs(3));
  EXPECT_EQ(by_command["s/ok"][6], "0");
  EXPECT_EQ(by_command["s/ok"][1], host);
  EXPECT_NE(by_command["s/ok"][5], "0");
  EXPECT_EQ(by_command["s/gone"][6], "404");
  EXPECT_EQ(by_command["two.jsonl/tab\\x09id"][6], "7") << "curl: could not connect";
  EXPECT_EQ(Process(run_words(first, {"--joblog", first})).wait(), 2) << "an input is no job log";
  EXPECT_THAT(read_file(first), HasSubstr("custom_id"));
}

TEST_F(PawlLog, JobLogOfAKilledRunHasWholeLinesAndNoTaskTwice) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("5ms");
  server_ = serve(options);
  Asked asked;
  const std::string in = input("in.jsonl", batch_lines(400, 4, 7, asked));
  const std::string jobs = file("jobs");
  Process run(run_words(in, {"--parallel-max", "4", "--commit-every", "10ms", "--joblog", jobs}));
  ASSERT_TRUE(eventually([&] { return split(read_file(jobs), '\n').size() > 20; })) << run.err();
  run.signal(SIGKILL);
  run.wait();
  Process resume(pawl({"resume", repo().string()}));
  EXPECT_EQ(resume.wait(), 0) << resume.err();
  std::set<std::string> commands;
  const std::string text = read_file(jobs);
  EXPECT_TRUE(text.ends_with('\n'));
  const auto lines = split(text, '\n');
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto columns = split(lines[i], '\t');
    ASSERT_THAT(columns, SizeIs(9)) << lines[i];
    EXPECT_TRUE(commands.insert(columns[8]).second) << columns[8];
  }
  EXPECT_GT(commands.size(), 20u);
}

}  // namespace
}  // namespace pawl::test
