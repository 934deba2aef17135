// Endpoints and HTTP as clients see them.
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "raw_client.h"

namespace pawl::mockapi::test {
namespace {

using testing::HasSubstr;

std::string string_at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  std::string_view value;
  const auto error = parser.parse(json).at_pointer(pointer).get_string().get(value);
  EXPECT_EQ(error, simdjson::SUCCESS) << pointer << " in " << json;
  return std::string(value);
}

std::uint64_t number_at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  std::uint64_t value = 0;
  const auto error = parser.parse(json).at_pointer(pointer).get_uint64().get(value);
  EXPECT_EQ(error, simdjson::SUCCESS) << pointer << " in " << json;
  return value;
}

TEST(MockApiChat, EchoesLastContentAndModel) {
  const auto server = start();
  RawClient client(server->port());
  const std::string body =
      R"({"model":"gpt-\"x\"","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"a \u00e9\n\ud83d\ude00 b"}]})";
  const auto reply = client.call(post("/v1/chat/completions", body));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->header("content-type"), "application/json");
  EXPECT_EQ(reply->header("x-request-id").substr(0, 4), "req-");
  EXPECT_EQ(string_at(reply->body, "/object"), "chat.completion");
  EXPECT_EQ(string_at(reply->body, "/model"), "gpt-\"x\"");
  EXPECT_EQ(string_at(reply->body, "/choices/0/message/content"), "a \u00e9\n\U0001f600 b");
  EXPECT_EQ(number_at(reply->body, "/usage/total_tokens"),
            number_at(reply->body, "/usage/prompt_tokens") + number_at(reply->body, "/usage/completion_tokens"));
}

TEST(MockApiChat, SameRequestSameAnswerWhenTimeIsFixed) {
  Options options;
  options.created = 1234;
  const auto server = start(options);
  RawClient client(server->port());
  const auto first = client.call(chat("one"));
  const auto second = client.call(chat("one"));
  const auto other = client.call(chat("two"));
  ASSERT_TRUE(first && second && other);
  EXPECT_EQ(first->body, second->body);
  EXPECT_NE(string_at(first->body, "/id"), string_at(other->body, "/id"));
  EXPECT_EQ(number_at(first->body, "/created"), 1234u);
  EXPECT_NE(first->header("x-request-id"), second->header("x-request-id"));
}

TEST(MockApiChat, RefusesWhatIsNotJson) {
  const auto server = start();
  RawClient client(server->port());
  for (const char* body : {"", "{", "[]", "{\"a\":01}", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{\"a\":1}x",
                           "{\"a\" 1}", "{\"a\":\"\t\"}", "{\"a\":1,}", "nul", "{\"a\":[1 2]}"}) {
    const auto reply = client.call(post("/v1/chat/completions", body));
    ASSERT_TRUE(reply) << body;
    EXPECT_EQ(reply->status, 400) << body;
    EXPECT_EQ(string_at(reply->body, "/error/code"), "invalid_json") << body;
  }
  EXPECT_EQ(client.call(post("/v1/chat/completions", std::string(100'000, '[')))->status, 400);
}

TEST(MockApiCompletions, EchoesPrompt) {
  const auto server = start();
  RawClient client(server->port());
  const auto reply = client.call(post("/v1/completions", R"({"prompt":"say this"})"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(string_at(reply->body, "/choices/0/text"), "say this");
}

TEST(MockApiEmbeddings, GivesOneVectorPerInput) {
  const auto server = start();
  RawClient client(server->port());
  const auto reply = client.call(post("/v1/embeddings", R"({"model":"e","input":["a","b","a"]})"));
  ASSERT_TRUE(reply);
  simdjson::dom::parser parser;
  const auto answer = parser.parse(reply->body);
  EXPECT_EQ(number_at(reply->body, "/data/2/index"), 2u);
  const auto vector = [&](const char* pointer) { return simdjson::minify(answer.at_pointer(pointer).value()); };
  EXPECT_EQ(vector("/data/0/embedding"), vector("/data/2/embedding"));
  EXPECT_NE(vector("/data/0/embedding"), vector("/data/1/embedding"));
}

TEST(MockApiPadding, MakesAnswersAsLongAsAsked) {
  Options options;
  options.body_bytes = 5000;
  const auto server = start(options);
  RawClient client(server->port());
  const auto reply = client.call(chat("short"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body.size(), 5000u);
  EXPECT_EQ(string_at(reply->body, "/choices/0/message/content"), "short");
}

TEST(MockApiEcho, ReturnsBodyAndItsType) {
  const auto server = start();
  RawClient client(server->port());
  const std::string body("\0\xff raw", 6);
  const auto reply =
      client.call("PUT /echo?x=1 HTTP/1.1\r\nHost: t\r\nContent-Type: image/x\r\nContent-Length: 6\r\n\r\n" + body);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, body);
  EXPECT_EQ(reply->header("content-type"), "image/x");
  const auto described = client.call(get("/echo?x=1", "X-Odd: \xe9\"\r\n"));
  ASSERT_TRUE(described);
  EXPECT_EQ(string_at(described->body, "/method"), "GET");
  EXPECT_EQ(string_at(described->body, "/path"), "/echo");
  EXPECT_EQ(string_at(described->body, "/headers/1/value"), "\u00e9\"");
}

TEST(MockApiStatus, AnswersTheStatusInThePath) {
  const auto server = start();
  RawClient client(server->port());
  for (const int status : {200, 204, 301, 304, 404, 429, 500, 599}) {
    const auto reply = client.call(get("/status/" + std::to_string(status)));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, status);
  }
  for (const char* path : {"/status/", "/status/199", "/status/600", "/status/2x", "/status/99999999999"}) {
    EXPECT_EQ(client.call(get(path))->status, 400) << path;
  }
}

TEST(MockApiRouting, RefusesUnknownPathsAndWrongMethods) {
  const auto server = start();
  RawClient client(server->port());
  EXPECT_EQ(client.call(get("/nothing"))->status, 404);
  const auto wrong = client.call(get("/v1/chat/completions"));
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->header("allow"), "post");
  EXPECT_EQ(client.call(get("/stats/reset"))->status, 405);
}

TEST(MockApiHttp, HeadHasLengthAndNoBody) {
  const auto server = start();
  RawClient client(server->port());
  const auto reply = client.call("HEAD /status/200 HTTP/1.1\r\nHost: t\r\n\r\n", true);
  ASSERT_TRUE(reply);
  EXPECT_GT(std::stoi(reply->header("content-length")), 0);
  const auto next = client.call(get("/status/200"));  // would start with the body if one had been sent
  ASSERT_TRUE(next);
  EXPECT_EQ(next->status, 200);
}

TEST(MockApiHttp, TakesChunkedBodies) {
  const auto server = start();
  RawClient client(server->port());
  const std::string request =
      "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n1;name=value\r\n \r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  EXPECT_EQ(client.call(request)->body, "hello 0123456789");
  EXPECT_EQ(client.call(request)->body, "hello 0123456789");
}

TEST(MockApiHttp, TakesRequestsInPiecesOfAnySize) {
  const auto server = start();
  RawClient client(server->port());
  const std::string request = chat("piece by piece");
  for (const char byte : request) ASSERT_TRUE(client.send(std::string_view(&byte, 1)));
  const auto reply = client.read();
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->body, HasSubstr("piece by piece"));
}

TEST(MockApiHttp, AnswersPipelinedRequestsInOrder) {
  Options options;
  options.latency = Latency{Latency::Kind::uniform, 1, 1};
  const auto server = start(options);
  RawClient client(server->port());
  std::string all;
  constexpr int kRequests = 200;
  for (int i = 0; i < kRequests; ++i) all += chat("number " + std::to_string(i));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < kRequests; ++i) {
    const auto reply = client.read();
    ASSERT_TRUE(reply) << i;
    EXPECT_EQ(string_at(reply->body, "/choices/0/message/content"), "number " + std::to_string(i));
  }
}

TEST(MockApiHttp, SendsContinueWhenAsked) {
  const auto server = start();
  RawClient client(server->port());
  const auto go = client.call("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  ASSERT_TRUE(go);
  EXPECT_EQ(go->status, 100);
  EXPECT_EQ(client.call("body")->body, "body");
}

TEST(MockApiHttp, ClosesWhenAsked) {
  const auto server = start();
  RawClient client(server->port());
  const auto reply = client.call(get("/echo", "Connection: close\r\n"));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header("connection"), "close");
  EXPECT_TRUE(client.ended());
  RawClient old(server->port());
  EXPECT_EQ(old.call("GET /echo HTTP/1.0\r\n\r\n")->status, 200);
  EXPECT_TRUE(old.ended());
  RawClient kept(server->port());
  EXPECT_EQ(kept.call("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")->header("connection"), "keep-alive");
  EXPECT_EQ(kept.call(get("/echo"))->status, 200);
}

TEST(MockApiHttp, ClosesAfterSoManyAnswers) {
  Options options;
  options.close_after = 3;
  const auto server = start(options);
  RawClient client(server->port());
  EXPECT_EQ(client.call(get("/echo"))->header("connection"), "");
  EXPECT_EQ(client.call(get("/echo"))->header("connection"), "");
  EXPECT_EQ(client.call(get("/echo"))->header("connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(MockApiHttp, AnswersHalfClosedPeer) {
  Options options;
  options.latency = Latency{Latency::Kind::fixed, 20, 0};
  const auto server = start(options);
  RawClient client(server->port());
  ASSERT_TRUE(client.send(chat("still listening")));
  client.half_close();
  const auto reply = client.read();
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->body, HasSubstr("still listening"));
  EXPECT_TRUE(client.ended());
}

TEST(MockApiHttp, WritesWhatTheSocketCannotTakeAtOnce) {
  const auto server = start();
  RawClient client(server->port());
  const std::string body(24u << 20, 'b');
  // The sender must be able to finish while the answer is read: both directions fill up.
  std::thread sender([&] { EXPECT_TRUE(client.send(post("/echo", body))); });
  const auto reply = client.read();
  sender.join();
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->whole);
  EXPECT_EQ(reply->body, body);
}

TEST(MockApiServer, StopsWithCallsInFlightAndKeepsItsCounts) {
  Options options;
  options.latency = Latency{Latency::Kind::fixed, 3'600'000, 0};
  const auto server = start(options);
  RawClient client(server->port());
  RawClient observer(server->port());
  ASSERT_TRUE(client.send(chat("never answered")));
  while (server->stats().in_flight == 0) ::poll(nullptr, 0, 1);
  server->stop();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(server->stats().calls, 1u);
  EXPECT_EQ(server->stats().abandoned, 1u);
  EXPECT_EQ(server->stats().connections_open, 0u);
  server->stop();
}

TEST(MockApiServer, SaysWhyItCannotStart) {
  const auto server = start();
  Options taken;
  taken.port = server->port();
  const auto refused = Server::start(taken);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::io);
  EXPECT_EQ(refused.error().sys_errno, EADDRINUSE);
  Options nowhere;
  nowhere.address = "not an address";
  EXPECT_EQ(Server::start(nowhere).error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace pawl::mockapi::test
