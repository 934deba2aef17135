// Bad input: what `pawl run` says about it, what it does not do, and that nothing before it is lost.
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::HasSubstr;

class PawlInputError : public PawlTool {
 protected:
  void SetUp() override { server_ = serve(); }
  /// Runs `text` as batch input behind one good line; expects exit code 4 and `says` on standard error.
  void expect_refused(const std::string& text, const std::string& says) {
    SCOPED_TRACE(text);
    const std::string file =
        input("in.jsonl", batch_line("good", "s", "q") + text + "\n" + batch_line("after", "s", "q"));
    Process run(run_words(file, {"--format", "batch"}));
    EXPECT_EQ(run.wait(), 4);
    EXPECT_THAT(run.err(), HasSubstr("in.jsonl:2"));
    EXPECT_THAT(run.err(), HasSubstr(says));
    EXPECT_TRUE(std::filesystem::exists(repo() / "s/00/00/good.json")) << "what came before it is done";
    EXPECT_FALSE(std::filesystem::exists(repo() / "s/00/00/after.json")) << "nothing after it is sent";
  }
};

TEST_F(PawlInputError, NamesFileLineAndField) {
  expect_refused(R"({"method":"POST","url":"/v1/x","body":{}})", "custom_id");
  expect_refused(R"({"custom_id":7,"method":"POST","url":"/v1/x","body":{}})", "custom_id");
  expect_refused(R"({"custom_id":"","method":"POST","url":"/v1/x","body":{}})", "custom_id");
  expect_refused(R"({"custom_id":"x","url":"/v1/x","body":{}})", "method");
  expect_refused(R"({"custom_id":"x","method":"BREW","url":"/v1/x","body":{}})", "method");
  expect_refused(R"({"custom_id":"x","method":"POST","body":{}})", "url");
  expect_refused(R"({"custom_id":"x","method":"POST","url":"ftp://h/x","body":{}})", "url");
  expect_refused(R"({"custom_id":"x","method":"POST","url":"/v1/x"})", "body");
  expect_refused(R"({"custom_id":"x","stream":3,"method":"POST","url":"/v1/x","body":{}})", "stream");
  expect_refused(R"({"custom_id":"x","headers":{"a":"b\r\nc"},"method":"POST","url":"/v1/x","body":{}})", "headers");
  expect_refused(R"({"custom_id":"x","method":"POST","url":"/v1/x","body":{})", "");
  expect_refused(R"({"custom_id":"nul\u0000","method":"POST","url":"/v1/x","body":{}})", "custom_id");
  expect_refused("[1,2,3]", "object");
  expect_refused("\xff\xfe", "");
  expect_refused(R"({"custom_id":"good","method":"POST","url":"/v1/x","body":{}})", "custom_id");
}

TEST_F(PawlInputError, SkipsOnRequestAndSaysSoInTheExitCode) {
  const std::string file = input("in.jsonl", batch_line("a", "s", "q") + "nonsense\n" + batch_line("b", "s", "q"));
  Process run(run_words(file, {"--on-bad-line", "skip", "--format", "batch"}));
  EXPECT_EQ(run.wait(), 1);
  EXPECT_THAT(run.err(), HasSubstr("in.jsonl:2"));
  expect_exactly_once_in_order(repo(), {{"s", {"a", "b"}}});
}

TEST_F(PawlInputError, LeavesNoRepositoryBehindForAFileThatIsNotThere) {
  Process run(run_words((folder_ / "missing.jsonl").string()));
  EXPECT_EQ(run.wait(), 4);
  EXPECT_THAT(run.err(), HasSubstr("missing.jsonl"));
  EXPECT_FALSE(std::filesystem::exists(repo()));
}

TEST_F(PawlInputError, RefusesOverLongLines) {
  const std::string file = input("in.jsonl", batch_line("a", "s", std::string(5000, 'x')));
  Process run(run_words(file, {"--line-bytes-max", "1000", "--format", "batch"}));
  EXPECT_EQ(run.wait(), 4);
  EXPECT_THAT(run.err(), HasSubstr("in.jsonl:1"));
}

TEST_F(PawlInputError, RefusesWrongUsageWithTwo) {
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  EXPECT_EQ(Process(pawl({})).wait(), 2);
  EXPECT_EQ(Process(pawl({"run", file})).wait(), 2);
  EXPECT_EQ(Process(run_words(file, {"--parallel-max", "0"})).wait(), 2);
  EXPECT_EQ(Process(run_words(file, {"--no-such-flag"})).wait(), 2);
  EXPECT_EQ(Process(run_words(file, {"--bearer-env", "NO_SUCH_VARIABLE"})).wait(), 2);
  EXPECT_EQ(Process(run_words(file, {"--builtin-latency", "soon", "--api", "builtin"})).wait(), 2);
  Process secret(run_words(file, {"-H", "Authorization: Bearer abc123"}));
  EXPECT_EQ(secret.wait(), 2);
  EXPECT_THAT(secret.err(), HasSubstr("--header-file"));
  EXPECT_THAT(secret.err(), ::testing::Not(HasSubstr("abc123")));
  EXPECT_FALSE(std::filesystem::exists(repo()));
}

TEST_F(PawlInputError, NamesOptionsAsTheyAreTyped) {
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  const std::string plain = input("in.txt", "one\n");
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {run_words(file, {"--max-time", "0"}), "--max-time is 0 ms"},
      {run_words(file, {"--max-time", "abc"}), "expected a time such as 500ms, 30s, 10m or 2h; got 'abc'"},
      {run_words(file, {"--stream-by", "user"}), "--stream-by: expected a JSON pointer"},
      {run_words(file, {"--body", "{line}"}), "--body: expected nothing for format batch"},
      {run_words(plain, {"--url", "http://127.0.0.1:9/", "--body", "x{foo}"}), "--body has neither {line}"},
      {run_words(file, {"--budget-tokens-by", "/a"}), "there is no --budget-tokens"},
      {run_words(file, {"--log-level", "debug"}), "there is no --log"},
      {run_words(file, {"--log", (folder_ / "x").string(), "--joblog", (folder_ / "." / "x").string()}),
       "--joblog and --log both name"},
      {run_words(file, {"--message", "  "}), "--message is blank"},
      {pawl({"frob"}), "there is no subcommand frob"},
  };
  for (const auto& [words, text] : wrong) {
    Process process(words);
    EXPECT_EQ(process.wait(), 2) << text;
    EXPECT_THAT(process.err(), HasSubstr(text));
  }
  EXPECT_FALSE(std::filesystem::exists(repo()));
  ASSERT_EQ(Process(pawl({"run", plain, "--repo", repo().string(), "--api", "builtin", "-q"})).wait(), 0);
  Process status({"sh", "-c", "exec \"$0\" status \"$1\" --json >/dev/full", PAWL_TOOL, repo().string()});
  EXPECT_EQ(status.wait(), 3);
  EXPECT_THAT(status.err(), HasSubstr("cannot write to standard output: No space left"));
}

TEST_F(PawlInputError, HelpIsHelp) {
  for (const char* command : {"run", "resume", "status"}) {
    Process help(pawl({command, "--help"}));
    EXPECT_EQ(help.wait(), 0);
    EXPECT_THAT(help.out(), HasSubstr("Example"));
  }
  Process into_nothing({"sh", "-c", "exec \"$0\" --help >/dev/full", PAWL_TOOL});
  EXPECT_EQ(into_nothing.wait(), 3);
  EXPECT_THAT(into_nothing.err(), HasSubstr("cannot write to standard output: No space left"));
}

}  // namespace
}  // namespace pawl::test
