#include "record.h"

#include <simdjson.h>

#include <string>

#include <gtest/gtest.h>

#include "base64.h"
#include "json_text.h"
#include "random_bytes.h"

namespace pawl::git {
namespace {

Request sample_request() {
  Request request;
  request.task_id = {0x5f3e, 12};
  request.stream = "batch.jsonl";
  request.id = "request-1";
  request.position = 4711;
  request.method = "POST";
  request.url = "https://api.example.org/v1/chat/completions";
  request.content_type = "application/json";
  request.body = R"({"model":"m","n":1})";
  for (std::size_t i = 0; i < request.digest.size(); ++i) request.digest[i] = static_cast<std::uint8_t>(i * 17);
  return request;
}

Outcome sample_outcome() {
  Outcome outcome;
  outcome.kind = Outcome::Kind::answered;
  outcome.status_code = 200;
  outcome.request_id = "req_1";
  outcome.body = " {\"ok\": true}\n";
  outcome.attempts = 2;
  outcome.started = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'234'567'890'012));
  outcome.duration = std::chrono::milliseconds(1239);
  return outcome;
}

std::string rendered(const Request& request, const Outcome& outcome) {
  std::string out = "left over";
  render_record(request, outcome, out);
  return out;
}

// The body as a reader of the record gets it back.
std::string body_of(simdjson::dom::object owner) {
  const auto body = owner["body"];
  if (!body.is_string()) return simdjson::minify(body);
  const std::string text(body.get_string().value());
  if (owner["body_encoding"].error() != simdjson::SUCCESS) return text;
  EXPECT_EQ(std::string_view(owner["body_encoding"].get_string().value()), "base64");
  return decode_base64(text).value_or("not base64");
}

TEST(RenderRecord, WritesTheDocumentedBytes) {
  EXPECT_EQ(rendered(sample_request(), sample_outcome()),
            R"({
  "id": "pawl-0000000000005f3e-12",
  "custom_id": "request-1",
  "response": {"status_code": 200, "request_id": "req_1", "body": {"ok": true}},
  "error": null,
  "stream": "batch.jsonl",
  "seq": 4711,
  "attempts": 2,
  "started": "2009-02-13T23:31:30.012Z",
  "duration_ms": 1239,
  "request": {"method": "POST", "url": "https://api.example.org/v1/chat/completions", )"
            R"("content_type": "application/json", "digest": "00112233445566778899aabbccddeeff", )"
            R"("body": {"model":"m","n":1}}
}
)");
}

TEST(RenderRecord, AFailureHasAnErrorAndNoResponse) {
  Outcome outcome = sample_outcome();
  outcome.kind = Outcome::Kind::failed;
  outcome.error_code = "connect_failed";
  outcome.error_message = "could not \"connect\"";
  const std::string record = rendered(sample_request(), outcome);
  EXPECT_NE(record.find("  \"response\": null,\n"), std::string::npos) << record;
  EXPECT_NE(record.find(R"(  "error": {"code": "connect_failed", "message": "could not \"connect\""},)"),
            std::string::npos)
      << record;
}

TEST(RenderRecord, AnErrorStatusIsStillAnAnswer) {
  Outcome outcome = sample_outcome();
  outcome.status_code = 503;
  const std::string record = rendered(sample_request(), outcome);
  EXPECT_NE(record.find("\"status_code\": 503"), std::string::npos);
  EXPECT_NE(record.find("  \"error\": null,\n"), std::string::npos);
  EXPECT_FALSE(parse_record(record)->success);
}

TEST(RenderRecord, WritesBodiesByWhatTheyAre) {
  const auto body_field = [](std::string body) {
    Outcome outcome = sample_outcome();
    outcome.body = std::move(body);
    const std::string record = rendered(sample_request(), outcome);
    const std::size_t begin = record.find("\"body\": ");
    return record.substr(begin, record.find("},\n", begin) - begin);
  };
  EXPECT_EQ(body_field(""), R"("body": "")");
  EXPECT_EQ(body_field("plain\ntext"), R"("body": "plain\ntext")");
  EXPECT_EQ(body_field("\t[1, 2] \r\n"), R"("body": [1, 2])");
  EXPECT_EQ(body_field("12345678901234567890123"), R"("body": 12345678901234567890123)");
  EXPECT_EQ(body_field("true"), R"("body": true)");
  EXPECT_EQ(body_field("null"), R"("body": "null")");
  EXPECT_EQ(body_field(R"("quoted")"), R"("body": "\"quoted\"")");
  EXPECT_EQ(body_field("{\"cut\": "), R"("body": "{\"cut\": ")");
  EXPECT_EQ(body_field("{} {}"), R"("body": "{} {}")");
  EXPECT_EQ(body_field("\xff\xfe"), R"("body": "//4=", "body_encoding": "base64")");
  EXPECT_EQ(body_field("{\"a\": \"\xff\"}"), R"("body": "eyJhIjogIv8ifQ==", "body_encoding": "base64")");
  const std::string deep = std::string(kMaxJsonDepth + 1, '[') + std::string(kMaxJsonDepth + 1, ']');
  EXPECT_EQ(body_field(deep), "\"body\": \"" + deep + "\"");
}

TEST(RenderRecord, TakesAHugeBodyAsItIs) {
  Outcome outcome = sample_outcome();
  outcome.body = "[";
  while (outcome.body.size() < 8u << 20) outcome.body += R"({"text":"some text that goes on","n":123},)";
  outcome.body += "null]";
  const std::string record = rendered(sample_request(), outcome);
  EXPECT_NE(record.find("\"body\": " + outcome.body + "},"), std::string::npos);
  EXPECT_EQ(parse_record(record)->custom_id, "request-1");
}

TEST(RenderRecord, ARequestWithoutABodyHasNullAndNoContentType) {
  Request request = sample_request();
  request.method = "GET";
  request.body.clear();
  request.content_type.clear();
  request.headers = {"X-One: 1", "X-Two: \"2\""};
  const std::string record = rendered(request, sample_outcome());
  EXPECT_NE(record.find(R"("headers": ["X-One: 1", "X-Two: \"2\""], "digest": "00112233445566778899aabbccddeeff", )"
                        R"("body": null})"),
            std::string::npos)
      << record;
  EXPECT_EQ(record.find("content_type"), std::string::npos);
}

TEST(Record, KeepsAnyBytesAndIsAlwaysJson) {
  test::Random random;
  simdjson::dom::parser parser;
  for (int i = 0; i < 20'000; ++i) {
    Request request;
    request.task_id = {random.below(~0ull), random.below(~0ull)};
    request.stream = "s" + random.bytes(20);
    request.id = random.bytes(20) + "i";
    request.position = random.below(1ull << 48);
    request.method = random.bytes(6);
    request.url = random.bytes(30);
    request.content_type = random.bytes(10);
    for (std::uint64_t n = random.below(3); n > 0; --n) request.headers.push_back(random.bytes(12));
    request.body = random.bytes(60);
    for (auto& byte : request.digest) byte = static_cast<std::uint8_t>(random.below(256));
    Outcome outcome;
    outcome.kind = random.one_in(3) ? Outcome::Kind::failed : Outcome::Kind::answered;
    outcome.status_code = static_cast<int>(random.below(500)) + 100;
    outcome.request_id = random.bytes(10);
    outcome.body = random.bytes(60);
    outcome.error_code = random.bytes(10);
    outcome.error_message = random.bytes(10);
    outcome.started += std::chrono::milliseconds(random.below(4'000'000'000'000));

    const std::string record = rendered(request, outcome);
    simdjson::dom::object object;
    ASSERT_EQ(parser.parse(record).get(object), simdjson::SUCCESS) << record;
    const auto parsed = parse_record(record);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().context << "\n" << record;
    ASSERT_EQ(parsed->task_id, request.task_id);
    ASSERT_EQ(parsed->custom_id, request.id);
    ASSERT_EQ(parsed->stream, request.stream);
    ASSERT_EQ(parsed->position, request.position);
    ASSERT_EQ(parsed->digest, request.digest);
    ASSERT_EQ(parsed->success, outcome.success());
    if (outcome.kind == Outcome::Kind::answered && !is_json(trimmed(outcome.body))) {
      ASSERT_EQ(body_of(object["response"]), outcome.body);
    }
    ASSERT_EQ(rendered(request, outcome), record);
  }
}

TEST(ParseRecord, TakesWhatAPersonHasReformatted) {
  const auto record = parse_record(R"(
    {"request":{"body":{"id":"inner","seq":"x"},"digest":"00112233445566778899AABBCCDDEEFF"},"note":["mine",{"id":1}],
     "stream":"c3RyZWFt","stream_encoding":"base64","seq":3,"response":{"body":[],"status_code":204},
     "custom\u005fid":"a\u0041","id":"pawl-0000000000000001-2"})");
  ASSERT_TRUE(record.has_value()) << record.error().context;
  EXPECT_EQ(record->task_id, (TaskId{1, 2}));
  EXPECT_EQ(record->custom_id, "aA");
  EXPECT_EQ(record->stream, "stream");
  EXPECT_EQ(record->position, 3u);
  EXPECT_EQ(record->digest[15], 0xff);
  EXPECT_TRUE(record->success);
}

TEST(ParseRecord, SaysWhichFieldIsWrong) {
  const std::string good = rendered(sample_request(), sample_outcome());
  ASSERT_TRUE(parse_record(good).has_value());
  const std::vector<std::array<std::string, 3>> edits = {
      {"\"id\": \"pawl-0000000000005f3e-12\"", "\"id\": 7", "id"},
      {"pawl-0000000000005f3e-12", "batch_req_1", "id"},
      {"\"custom_id\": \"request-1\"", "\"custom_id\": null", "custom_id"},
      {"\"custom_id\": \"request-1\"", "\"custom_id\": \"\"", "custom_id"},
      {"\"custom_id\":", "\"custom_id_encoding\": \"base64\", \"custom_id\":", "custom_id"},
      {"\"custom_id\":", "\"other\":", "custom_id"},
      {"\"stream\":", "\"stream_encoding\": \"rot13\", \"stream\":", "stream"},
      {"\"seq\": 4711", "\"seq\": -1", "seq"},
      {"\"seq\": 4711", "\"seq\": \"4711\"", "seq"},
      {"\"seq\": 4711", "\"seq\": 4711.5", "seq"},
      {"\"status_code\": 200", "\"status_code\": \"200\"", "response"},
      {"\"status_code\": 200", "\"status\": 200", "response"},
      {"\"response\": {", "\"response\": [{", "response"},
      {"\"response\": {", "\"response\": nulx, \"r\": {", "response"},
      {"\"digest\": \"0011", "\"digest\": \"001", "request"},
      {"\"digest\":", "\"digests\":", "request"},
      {"\"request\":", "\"requests\":", "request"},
  };
  for (const auto& [from, to, field] : edits) {
    std::string text = good;
    ASSERT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), from.size(), to);
    const auto record = parse_record(text);
    ASSERT_FALSE(record.has_value()) << to;
    EXPECT_EQ(record.error().code, ErrorCode::repository);
    EXPECT_NE(record.error().context.find(field), std::string::npos) << record.error().context;
  }
}

TEST(ParseRecord, RefusesWhatIsNoRecord) {
  const std::string good = rendered(sample_request(), sample_outcome());
  EXPECT_FALSE(parse_record("").has_value());
  EXPECT_FALSE(parse_record("[]").has_value());
  EXPECT_FALSE(parse_record("7").has_value());
  EXPECT_FALSE(parse_record("\xff").has_value());
  EXPECT_FALSE(parse_record(good + good).has_value());
  EXPECT_FALSE(parse_record(good + "x").has_value());
  for (std::size_t size = 0; size + 2 < good.size(); ++size) {
    EXPECT_FALSE(parse_record(good.substr(0, size)).has_value()) << size;
  }
}

TEST(ParseRecord, SurvivesDamage) {
  test::Random random;
  const std::string good = rendered(sample_request(), sample_outcome());
  for (int i = 0; i < 50'000; ++i) {
    std::string text = good;
    for (std::uint64_t n = random.below(4) + 1; n > 0; --n)
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    const auto record = parse_record(text);
    if (record) {
      ASSERT_FALSE(record->custom_id.empty());
    }
  }
}

}  // namespace
}  // namespace pawl::git
