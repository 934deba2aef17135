// `pawl export` and `pawl run --failed`: what goes out comes back as the same requests.
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class PawlExport : public PawlTool {
 protected:
  std::vector<std::string> export_words(std::vector<std::string> more) {
    std::vector<std::string> words = pawl({"export", repo().string()});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_ / name).string(); }
};

TEST_F(PawlExport, WritesBatchOutputLinesByStreamInTheOrderOfItsTasks) {
  server_ = serve();
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(450, 3, 3, asked));
  ASSERT_EQ(Process(run_words(file)).wait(), 0);
  Process to_stdout(export_words({}));
  ASSERT_EQ(to_stdout.wait(), 0) << to_stdout.err();
  std::vector<std::string> expected;
  for (const auto& [stream, ids] : asked) expected.insert(expected.end(), ids.begin(), ids.end());
  std::vector<std::string> found;
  simdjson::dom::parser parser;
  for (const std::string& line : lines_of(to_stdout.out())) {
    simdjson::dom::object json;
    ASSERT_EQ(parser.parse(line).get_object().get(json), simdjson::SUCCESS) << line;
    std::vector<std::string> keys;
    for (const auto field : json) keys.emplace_back(field.key);
    EXPECT_EQ(keys, (std::vector<std::string>{"id", "custom_id", "response", "error"}));
    EXPECT_EQ(json["response"]["status_code"].get_uint64().value_unsafe(), 200u);
    EXPECT_TRUE(json["response"]["body"]["choices"].is_array());
    EXPECT_TRUE(json["error"].is_null());
    found.emplace_back(json["custom_id"].get_string().value_unsafe());
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(to_stdout.err(), "");
}

TEST_F(PawlExport, GivesFailuresBackAsTheVerySameRequests) {
  server_ = serve();
  const std::string url = server_->base_url() + "/status/404";
  const auto line = [&](const std::string& fields) { return fmt::format(R"({{{},"url":"{}"}})", fields, url) + "\n"; };
  const std::string file = input(
      "in.jsonl",
      line(R"("custom_id":"json","stream":"s","method":"POST","body":{"a": [1, 2.50,1e400] ,"b":"\u00e9é\ud800"})") +
          line(R"("custom_id":"string","stream":"s","method":"POST","body":"just \"text\"")") +
          line(R"("custom_id":"null","stream":"s","method":"PUT","body":null)") +
          line(
              R"("custom_id":"text","stream":"s","method":"POST","body":"not JSON, \u0000 and\nlines","body_encoding":"text")") +
          line(
              R"("custom_id":"space","stream":"s","method":"POST","body":"{\n \"a\": 1\r\n}","body_encoding":"text")") +
          line(R"("custom_id":"bytes","stream":"s","method":"POST","body":"/v8AgA==","body_encoding":"base64")") +
          line(R"("custom_id":"empty","stream":"s","method":"POST","body":"","body_encoding":"text")") +
          line(
              R"("custom_id":"typed","stream":"s","method":"POST","body":[],"headers":{"Content-Type":"x/y; z=\"é\"","X-A":"b: c"})") +
          line(R"("custom_id":"get","stream":"s","method":"GET")") +
          line(R"("custom_id":"delete","stream":"s","method":"DELETE","body":{"d":true})") +
          line(R"("custom_id":"../.git/\"ключ\" %41\u0001","stream":"..","method":"POST","body":0)") +
          line(
              R"("custom_id":"/w==","custom_id_encoding":"base64","stream":"gC8=","stream_encoding":"base64","method":"POST","body":1)"));
  const std::vector<std::string> words = pawl({"run", file, "--repo", repo().string(), "--retry", "0"});
  Process first(words);
  ASSERT_EQ(first.wait(), 1) << first.err();
  constexpr unsigned kFailing = 12;
  ASSERT_EQ(server_->stats().calls, kFailing);
  Process exported(export_words({"-o", path("out"), "--failures", path("errors"), "--failed-input", path("again")}));
  ASSERT_EQ(exported.wait(), 0) << exported.err();
  EXPECT_EQ(exported.out() + exported.err(), "");
  EXPECT_EQ(read_file(folder_ / "out"), "");
  EXPECT_EQ(lines_of(read_file(folder_ / "errors")).size(), kFailing);
  EXPECT_THAT(read_file(folder_ / "errors"), HasSubstr(R"("status_code":404)"));
  EXPECT_EQ(lines_of(read_file(folder_ / "again")).size(), kFailing);

  Process same(pawl({"run", path("again"), "--repo", repo().string(), "--retry", "0"}));
  EXPECT_EQ(same.wait(), 1) << same.err();
  EXPECT_EQ(server_->stats().calls, kFailing) << "same keys and same requests: skipped, and still failures";
  Process again(pawl({"run", path("again"), "--repo", repo().string(), "--retry", "0", "--retry-failed"}));
  EXPECT_EQ(again.wait(), 1) << again.err();
  EXPECT_EQ(server_->stats().calls, 2 * kFailing);
  EXPECT_EQ(Process(pawl({"verify", repo().string()})).wait(), 0);
  expect_sound(repo());
}

TEST_F(PawlExport, LeavesAFileAloneUnlessItCanBeWrittenWhole) {
  write_file(folder_ / "out", "before");
  EXPECT_EQ(Process(export_words({"-o", path("out")})).wait(), 3) << "there is no repository";
  EXPECT_EQ(read_file(folder_ / "out"), "before");
  server_ = serve();
  ASSERT_EQ(Process(run_words(input("in.jsonl", batch_line("a", "s", "q")))).wait(), 0);
  EXPECT_EQ(Process(export_words({"-o", path("out"), "--failures", path("no/such/folder")})).wait(), 3);
  EXPECT_EQ(read_file(folder_ / "out"), "before");
  EXPECT_EQ(Process(export_words({"--failures", "-"})).wait(), 2);
  ASSERT_EQ(Process(export_words({"-o", path("out")})).wait(), 0);
  EXPECT_THAT(read_file(folder_ / "out"), HasSubstr(R"("custom_id":"a")"));
  unsigned files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
    files += entry.path().filename().string().starts_with("out");
  EXPECT_EQ(files, 1u) << "nothing half-written is left";
}

TEST_F(PawlExport, RunFailedReplacesFailuresInTheirPlaceWithTheOptionsOfTheRunBefore) {
  server_ = serve();
  mockapi::Options port;
  port.port = server_->port();
  Asked asked;
  const std::string half = input("half.jsonl", batch_lines(150, 3, 5, asked));
  ASSERT_EQ(Process(run_words(half)).wait(), 0);
  const std::string rest =
      input("rest.jsonl", batch_line("late-1", "stream-0", "q") + batch_line("late-2", "stream-1", "q") +
                              batch_line("late-3", "stream-0", "q"));
  std::vector<std::string> words = run_words(rest, {"--retry", "0", "-H", "X-Kept: yes"});
  server_.reset();
  Process broken(words);
  ASSERT_EQ(broken.wait(), 1) << broken.err();
  EXPECT_THAT(broken.err(), HasSubstr("pawl run --failed"));
  Process left_out(export_words({"-o", path("out")}));
  EXPECT_EQ(left_out.wait(), 0);
  EXPECT_THAT(left_out.err(), HasSubstr("3 failures left out"));

  server_ = serve(port);
  Process again(pawl({"run", "--failed", repo().string()}));
  ASSERT_EQ(again.wait(), 0) << again.err();
  EXPECT_EQ(server_->stats().calls, 3u);
  EXPECT_THAT(read_file(repo() / ".git/pawl/settings"), HasSubstr("X-Kept"));
  Process exported(export_words({"-o", path("out")}));
  ASSERT_EQ(exported.wait(), 0);
  EXPECT_EQ(exported.err(), "");
  EXPECT_EQ(lines_of(read_file(folder_ / "out")).size(), 153u);
  Process nothing(pawl({"run", "--failed", repo().string()}));
  EXPECT_EQ(nothing.wait(), 0) << nothing.err();
  EXPECT_EQ(Process(run_words(rest)).wait(), 0);
  EXPECT_EQ(server_->stats().calls, 3u) << "what succeeded is skipped, also from its input";
  Process verified(pawl({"verify", repo().string()}));
  EXPECT_EQ(verified.wait(), 0);
  EXPECT_EQ(verified.out(), "");
  expect_sound(repo());
}

TEST_F(PawlExport, RefusesWrongUsesOfFailed) {
  const auto refused = [&](std::vector<std::string> words, const std::string& why) {
    Process process(pawl(std::move(words)));
    EXPECT_EQ(process.wait(), 2);
    EXPECT_THAT(process.err(), HasSubstr(why));
  };
  refused({"run", "in.jsonl", "--failed", repo().string()}, "INPUT");
  refused({"run", "--failed", repo().string(), "--repo", "x"}, "--repo");
  refused({"run", "--failed", repo().string(), "--again"}, "--again");
  refused({"run", "--failed"}, "--failed");
  refused({"run", "--repo", repo().string()}, "INPUT");
  refused({"run", "in.jsonl"}, "--repo");
  EXPECT_EQ(Process(pawl({"run", "--failed", path("nothing")})).wait(), 3);
}

}  // namespace
}  // namespace pawl::test
