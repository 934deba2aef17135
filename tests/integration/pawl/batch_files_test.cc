// Batch files as services take and give them (samples in data/, in our own words): what pawl takes, what it sends, and
// that what it exports has the shape that readers of those services' files expect.
#include <map>
#include <mutex>

#include "scripted_server.h"
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

namespace dom = simdjson::dom;

std::string sample(const std::string& name) { return std::string(PAWL_BATCH_SAMPLES) + "/" + name; }

std::string kind_of(dom::element value) {
  if (value.is_null()) return "null";
  if (value.is_string()) return "string";
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  return value.is_bool() ? "boolean" : "number";
}

/// Names and kinds of the fields of an output line, of its response and of its error: what a reader relies on.
std::string shape_of(const std::string& line) {
  dom::parser parser;
  dom::object object;
  EXPECT_EQ(parser.parse(line).get_object().get(object), simdjson::SUCCESS) << line;
  std::string shape;
  for (const auto field : object) {
    shape += fmt::format("{}:{} ", field.key, kind_of(field.value));
    if (!field.value.is_object()) continue;
    const dom::object inside = field.value.get_object().value_unsafe();
    for (const auto inner : inside) shape += fmt::format("{}.{}:{} ", field.key, inner.key, kind_of(inner.value));
  }
  return shape;
}

std::string field_of(const std::string& line, const std::string& pointer) {
  dom::parser parser;
  const auto found = parser.parse(line).at_pointer(pointer);
  return found.error() != simdjson::SUCCESS ? "nothing" : simdjson::minify(found.value_unsafe());
}

class PawlBatchFiles : public PawlTool {
 protected:
  struct Seen {
    std::string target, body;
  };
  std::string answer(const SeenRequest& request) {
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back({request.method + " " + request.target, request.body});
    }
    EXPECT_EQ(request.header("content-type"), "application/json");
    const std::string id = "X-Request-ID: req-7\r\nContent-Type: application/json\r\n";
    if (request.body.find("no-such-model") != std::string::npos)
      return response(404, R"({"error":{"message":"There is no such model.","type":"invalid_request_error"}})", id);
    return response(200, R"({"object":"some.answer","usage":{"total_tokens":3}})", id);
  }
  std::vector<Seen> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::map<std::string, std::string> bodies_by_target() {
    std::map<std::string, std::string> bodies;
    for (const auto& one : seen()) bodies[one.target] += one.body;
    return bodies;
  }
  /// A run on a sample; what is called goes to the server here, one call at a time.
  Process& run(const std::string& name, const std::string& base, std::vector<std::string> more = {}) {
    std::vector<std::string> words =
        pawl({"run", sample(name), "--repo", repo().string(), "--retry", "0", "--parallel-max", "1"});
    if (!base.empty()) words.insert(words.end(), {"--base-url", scripted_.url(base)});
    words.insert(words.end(), more.begin(), more.end());
    process_ = std::make_unique<Process>(words);
    return *process_;
  }
  std::vector<std::string> exported(const std::string& which, std::vector<std::string> more = {}) {
    const std::string file = (folder_ / "exported").string();
    std::vector<std::string> words = pawl({"export", repo().string(), which, file});
    if (which != "--output") words.insert(words.end(), {"--output", "/dev/null"});
    words.insert(words.end(), more.begin(), more.end());
    Process process(words);
    EXPECT_EQ(process.wait(), 0) << process.err();
    return lines_of(read_file(file));
  }

  std::mutex mutex_;
  std::vector<Seen> seen_;
  std::unique_ptr<Process> process_;
  ScriptedServer scripted_{ScriptedServer::answering([this](const SeenRequest& request) { return answer(request); })};
};

TEST_F(PawlBatchFiles, EveryEndpointOfOpenAisFilesIsCalledWithTheBodyAsItStands) {
  EXPECT_EQ(run("openai_input.jsonl", "/v1").wait(), 1) << process_->err();
  const auto asked = lines_of(read_file(sample("openai_input.jsonl")));
  const auto called = seen();
  ASSERT_EQ(called.size(), asked.size());
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const std::string url = field_of(asked[i], "/url");
    EXPECT_EQ(called[i].target, "POST " + url.substr(1, url.size() - 2));
    EXPECT_THAT(asked[i], HasSubstr(called[i].body)) << "byte for byte";
    EXPECT_EQ(field_of(asked[i], "/body"), field_of(called[i].body, ""));
  }
  const auto results = exported("--output");
  ASSERT_EQ(results.size(), 6u);
  const std::string shape = shape_of(lines_of(read_file(sample("openai_output.jsonl")))[0]);
  for (const auto& line : results) {
    EXPECT_EQ(shape_of(line), shape);
    EXPECT_EQ(field_of(line, "/response/request_id"), "\"req-7\"");
  }
  const auto failures = exported("--failures");
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(shape_of(failures[0]), shape_of(lines_of(read_file(sample("openai_errors.jsonl")))[0]));
  EXPECT_EQ(field_of(failures[0], "/custom_id"), "\"wrong-1\"");
  EXPECT_EQ(field_of(failures[0], "/response/status_code"), "404");
}

TEST_F(PawlBatchFiles, FailuresGoBackInAsTheyWere) {
  EXPECT_EQ(run("openai_input.jsonl", "/v1").wait(), 1);
  const auto again = exported("--failed-input");
  ASSERT_EQ(again.size(), 1u);
  const auto asked = lines_of(read_file(sample("openai_input.jsonl"))).back();
  for (const char* field : {"/custom_id", "/method", "/body"})
    EXPECT_EQ(field_of(again[0], field), field_of(asked, field));
  const auto calls = seen().size();
  Process rerun(
      pawl({"run", (folder_ / "exported").string(), "--repo", repo().string(), "--retry", "0", "--retry-failed"}));
  EXPECT_EQ(rerun.wait(), 1) << rerun.err();
  ASSERT_EQ(seen().size(), calls + 1);
  EXPECT_EQ(seen().back().target, "POST /v1/chat/completions");
  EXPECT_EQ(seen().back().body, seen()[calls - 1].body);
}

TEST_F(PawlBatchFiles, WhatTheBudgetLeavesIsExportedAsExpiredAndAsInput) {
  EXPECT_EQ(run("openai_input.jsonl", "/v1", {"--budget-calls", "2"}).wait(), 7) << process_->err();
  const auto expired = exported("--failures", {"--unfinished"});
  ASSERT_EQ(expired.size(), 5u);
  const std::string shape = shape_of(lines_of(read_file(sample("openai_errors.jsonl")))[1]);
  std::vector<std::string> ids;
  for (const auto& line : expired) {
    EXPECT_EQ(shape_of(line), shape);
    EXPECT_EQ(field_of(line, "/error/code"), "\"batch_expired\"");
    ids.push_back(field_of(line, "/custom_id"));
  }
  EXPECT_THAT(ids,
              ElementsAre("\"responses-1\"", "\"embedding-1\"", "\"completion-1\"", "\"moderation-1\"", "\"wrong-1\""));
  EXPECT_EQ(exported("--failures").size(), 0u) << "only if asked for";
  // Elsewhere they are a run of their own.
  ASSERT_EQ(exported("--failed-input", {"--unfinished"}).size(), 5u);
  Process elsewhere(
      pawl({"run", (folder_ / "exported").string(), "--repo", (folder_ / "other").string(), "--retry", "0"}));
  EXPECT_EQ(elsewhere.wait(), 1) << elsewhere.err();
  EXPECT_EQ(seen().size(), 7u);
  EXPECT_EQ(Process(pawl({"resume", repo().string(), "--budget-calls", "0"})).wait(), 1);
  EXPECT_EQ(exported("--failures", {"--unfinished"}).size(), 1u) << "nothing waits any more, one failed";
  Process nowhere(pawl({"export", repo().string(), "--unfinished"}));
  EXPECT_EQ(nowhere.wait(), 2);
}

TEST_F(PawlBatchFiles, VllmsFilesWithFieldsOfItsOwnAreTaken) {
  EXPECT_EQ(run("vllm_input.jsonl", "/v1").wait(), 1) << "one names a server that is not there: " << process_->err();
  const auto bodies = bodies_by_target();
  EXPECT_THAT(bodies.at("POST /v1/chat/completions"), AllOf(HasSubstr("guided_choice"), HasSubstr("\"priority\": -1")));
  EXPECT_THAT(bodies.at("POST /v1/chat/completions"), Not(HasSubstr("\"priority\": 3"))) << "not of the body";
  EXPECT_TRUE(bodies.contains("POST /v1/embeddings"));
  EXPECT_TRUE(bodies.contains("POST /v1/score"));
  const auto results = exported("--output");
  ASSERT_EQ(results.size(), 3u);
  const auto theirs = lines_of(read_file(sample("vllm_output.jsonl")));
  EXPECT_EQ(shape_of(results[0]), shape_of(theirs[0]));
}

TEST_F(PawlBatchFiles, BasesWithAPathOfTheirOwnMeetLinesThatRepeatTheEndOfIt) {
  EXPECT_EQ(run("groq_input.jsonl", "/openai/v1").wait(), 0) << process_->err();
  EXPECT_EQ(run("azure_input.jsonl", "/openai/v1").wait(), 0) << process_->err();
  const auto called = seen();
  ASSERT_EQ(called.size(), 3u);
  EXPECT_EQ(called[0].target, "POST /openai/v1/chat/completions");
  EXPECT_EQ(called[1].target, "POST /openai/v1/chat/completions");
  EXPECT_EQ(called[2].target, "POST /openai/v1/responses");
}

TEST_F(PawlBatchFiles, LinesThatAreOnlyIdAndBodyGoWhereTheOptionSays) {
  EXPECT_EQ(run("mistral_input.jsonl", "/v1").wait(), 4);
  EXPECT_THAT(process_->err(), HasSubstr("field \"method\": expected a string, got nothing"));
  EXPECT_EQ(run("mistral_input.jsonl", "/v1", {"--url", "/v1/chat/completions"}).wait(), 0) << process_->err();
  const auto called = seen();
  ASSERT_EQ(called.size(), 2u);
  EXPECT_EQ(called[0].target, "POST /v1/chat/completions");
  EXPECT_THAT(called[0].body, HasSubstr("holes"));
  EXPECT_TRUE(std::filesystem::exists(repo() / "mistral_input.jsonl/00/00/1.json"));
}

TEST_F(PawlBatchFiles, OutputFilesGivenAsInputAreToldFromInput) {
  for (const char* name : {"openai_output.jsonl", "openai_errors.jsonl", "vllm_output.jsonl"}) {
    EXPECT_EQ(run(name, "/v1").wait(), 4);
    EXPECT_THAT(process_->err(), HasSubstr("expected a batch input line, got an output line"));
  }
  EXPECT_TRUE(seen().empty());
}

}  // namespace
}  // namespace pawl::test
