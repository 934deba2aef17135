// The two programs, run as programs.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "raw_client.h"
#include "temp_dir.h"
#include "tool_process.h"

namespace pawl::mockapi::test {
namespace {

using testing::HasSubstr;

std::string load(const TempDir& dir, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {PAWL_LOAD_TOOL, "tasks"});
  EXPECT_EQ(wait_for(spawn(dir, arguments)), 0) << contents(dir / "err");
  return contents(dir / "out");
}

struct Line {
  std::string id, stream, body;
};

std::vector<Line> parse(const std::string& text) {
  std::vector<Line> lines;
  simdjson::dom::parser parser;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    const auto json = parser.parse(line);
    EXPECT_EQ(json.error(), simdjson::SUCCESS) << line;
    EXPECT_EQ(json["method"].get_string().value(), "POST");
    EXPECT_EQ(json["url"].get_string().value(), "/v1/chat/completions");
    EXPECT_EQ(json["body"]["messages"].at_pointer("/0/role").get_string().value(), "user");
    const std::size_t body = line.find("\"body\":") + std::string_view("\"body\":").size();
    lines.push_back({std::string(json["custom_id"].get_string().value()),
                     std::string(json["stream"].get_string().value()), line.substr(body, line.size() - body - 1)});
  }
  return lines;
}

TEST(LoadTool, MakesLinesThatParseAndCount) {
  const TempDir dir;
  const auto lines = parse(load(dir, {"--count", "1000", "--streams", "20", "--body-bytes", "300"}));
  ASSERT_EQ(lines.size(), 1000u);
  EXPECT_EQ(lines[0].id, "task-000001");
  EXPECT_EQ(lines[0].stream, "stream-01");
  EXPECT_EQ(lines[26].stream, "stream-07");
  std::set<std::string> ids;
  std::set<std::string> bodies;
  for (const Line& line : lines) {
    EXPECT_EQ(line.body.size(), 300u);
    ids.insert(line.id);
    bodies.insert(line.body);
  }
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_EQ(bodies.size(), 1000u);
}

TEST(LoadTool, MakesTheSameFromTheSameSeed) {
  const TempDir dir;
  const std::vector<std::string> arguments = {"--count", "500", "--interleave", "random", "--seed", "7"};
  const std::string first = load(dir, arguments);
  auto to_file = arguments;
  to_file.insert(to_file.end(), {"-o", (dir / "tasks.jsonl").string()});
  EXPECT_EQ(load(dir, to_file), "");
  EXPECT_EQ(contents(dir / "tasks.jsonl"), first);
  EXPECT_NE(load(dir, {"--count", "500", "--interleave", "random", "--seed", "8"}), first);
}

TEST(LoadTool, InterleavesAsAsked) {
  const TempDir dir;
  const auto blocks = parse(load(dir, {"--count", "10", "--streams", "3", "--interleave", "blocks"}));
  ASSERT_EQ(blocks.size(), 10u);
  EXPECT_EQ(blocks[0].stream, "stream-01");
  EXPECT_EQ(blocks[3].stream, "stream-01");
  EXPECT_EQ(blocks[4].stream, "stream-02");
  EXPECT_EQ(blocks[9].stream, "stream-03");
  std::set<std::string> streams;
  for (const Line& line : parse(load(dir, {"--count", "200", "--streams", "3", "--interleave", "random"})))
    streams.insert(line.stream);
  EXPECT_EQ(streams, (std::set<std::string>{"stream-01", "stream-02", "stream-03"}));
}

TEST(LoadTool, RefusesWrongUsageAndFullDisks) {
  const TempDir dir;
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_LOAD_TOOL})), 2);
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_LOAD_TOOL, "tasks", "--count", "0"})), 2);
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_LOAD_TOOL, "tasks", "--interleave", "sideways"})), 2);
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_LOAD_TOOL, "tasks", "-o", "/dev/full"})), 3);
  EXPECT_THAT(contents(dir / "err"), HasSubstr("No space left"));
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_LOAD_TOOL, "tasks", "--help"})), 0);
  EXPECT_THAT(contents(dir / "out"), HasSubstr("--interleave"));
}

TEST(MockApiTool, ServesUntilASignalAndSaysWhatItDid) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TempDir dir;
    const std::string port_file = (dir / "port").string();
    const pid_t pid = spawn(dir, {PAWL_MOCKAPI_TOOL, "--port", "0", "--port-file", port_file, "--latency", "1ms"});
    const std::string port = await_contents(port_file);
    ASSERT_FALSE(port.empty());
    {
      RawClient client(static_cast<std::uint16_t>(std::stoi(port)));
      EXPECT_EQ(client.call(chat("hello"))->status, 200);
    }
    ::kill(pid, signal);
    EXPECT_EQ(wait_for(pid), 0);
    const std::string out = contents(dir / "out");
    EXPECT_THAT(out, HasSubstr("listens on http://127.0.0.1:" + port.substr(0, port.find('\n'))));
    EXPECT_THAT(out, HasSubstr("calls 1 · answered 1 (200: 1)"));
  }
}

TEST(MockApiTool, PrintsOnlyThePortWhenAsked) {
  const TempDir dir;
  const std::string port_file = (dir / "port").string();
  const pid_t pid = spawn(dir, {PAWL_MOCKAPI_TOOL, "--port", "0", "--print-port", "--port-file", port_file});
  EXPECT_NE(await_contents(dir / "out"), "");
  ::kill(pid, SIGTERM);
  EXPECT_EQ(wait_for(pid), 0);
  EXPECT_EQ(contents(dir / "out"), contents(port_file));
}

TEST(MockApiTool, RefusesWrongUsage) {
  const TempDir dir;
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_MOCKAPI_TOOL, "--latency", "soon"})), 2);
  EXPECT_THAT(contents(dir / "err"), HasSubstr("'soon'"));
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_MOCKAPI_TOOL, "--error-rate", "2"})), 2);
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_MOCKAPI_TOOL, "--port", "70000"})), 2);
  const auto server = start();
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_MOCKAPI_TOOL, "--port", std::to_string(server->port())})), 3);
  EXPECT_THAT(contents(dir / "err"), HasSubstr("Address already in use"));
  EXPECT_EQ(wait_for(spawn(dir, {PAWL_MOCKAPI_TOOL, "--help"})), 0);
  EXPECT_THAT(contents(dir / "out"), HasSubstr("Examples:"));
}

}  // namespace
}  // namespace pawl::mockapi::test
