// What is not HTTP, too much of it, or broken on purpose.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "json_scan.h"
#include "raw_client.h"
#include "request_parser.h"

namespace pawl::mockapi::test {
namespace {

struct Refusal {
  const char* request;
  int status;
};

TEST(MockApiMalformed, IsRefusedWithTheRightStatusAndClosed) {
  const auto server = start();
  const std::vector<Refusal> refusals = {
      {"hello\r\n\r\n", 400},
      {"GET /echo\r\n\r\n", 400},
      {"GET  /echo HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"GET echo HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"GET /echo HTTP/2.0\r\nHost: t\r\n\r\n", 505},
      {"GET /echo HTTX/1.1\r\nHost: t\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\nHost: t\n\n", 400},
      {"G@T /echo HTTP/1.1\r\nHost: t\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\nHost : t\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\nHost: t\r\n folded\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\nHost: t\r\nA: b\rc\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1, 1\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 134217729\r\n\r\n", 413},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n", 413},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413},
      {"POST /echo HTTP/1.1\r\nHost: t\r\nExpect: miracles\r\n\r\n", 417},
  };
  for (const Refusal& refusal : refusals) {
    RawClient client(server->port());
    const auto reply = client.call(refusal.request);
    ASSERT_TRUE(reply) << refusal.request;
    EXPECT_EQ(reply->status, refusal.status) << refusal.request;
    EXPECT_EQ(reply->header("connection"), "close") << refusal.request;
    EXPECT_EQ(reply->header("x-request-id").substr(0, 4), "req-");
    client.half_close();
    EXPECT_TRUE(client.ended()) << refusal.request;
  }
  EXPECT_EQ(server->stats().malformed, refusals.size());
  EXPECT_EQ(server->stats().calls, 0u);
}

TEST(MockApiMalformed, LimitsTheHeaderSection) {
  const auto server = start();
  RawClient fits(server->port());
  EXPECT_EQ(fits.call(get("/echo", "X: " + std::string(60 * 1024, 'x') + "\r\n"))->status, 200);
  RawClient client(server->port());
  EXPECT_EQ(client.call(get("/echo", "X: " + std::string(64 * 1024, 'x') + "\r\n"))->status, 431);
  RawClient endless(server->port());
  EXPECT_EQ(endless.call(std::string(70 * 1024, 'G'))->status, 431);
}

TEST(MockApiMalformed, ClientThatSendsOnGetsItsAnswerAll) {
  Options options;
  options.max_body_bytes = 1000;
  const auto server = start(options);
  RawClient client(server->port());
  // The server refuses after the header section; without lingering, the body still under way would reset it all.
  const auto reply = client.call(post("/echo", std::string(4u << 20, 'x')));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 413);
  EXPECT_TRUE(reply->whole);
}

TEST(MockApiMalformed, IgnoresAnEmptyLineBeforeARequest) {
  const auto server = start();
  RawClient client(server->port());
  EXPECT_EQ(client.call("\r\n" + get("/echo"))->status, 200);
}

std::vector<std::string> fuzz_seeds() {
  return {chat("fuzz me", "Idempotency-Key: k\r\n"),
          get("/echo?a=b"),
          get("/stats"),
          get("/stats/keys"),
          "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
          "POST /v1/embeddings HTTP/1.0\r\nContent-Length: 13\r\n\r\n{\"input\":\"x\"}",
          "POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"};
}

std::string mutated(std::string text, std::mt19937_64& random) {
  const auto any = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  const std::size_t changes = 1 + any(4);
  for (std::size_t i = 0; i < changes && !text.empty(); ++i) {
    const std::size_t at = any(text.size());
    switch (any(5)) {
      case 0: text[at] = static_cast<char>(random()); break;
      case 1: text.erase(at, 1 + any(8)); break;
      case 2: text.insert(at, text.substr(any(text.size()), any(20))); break;
      case 3: text.insert(at, 1, "\r\n :;0{\"\\"[any(9)]); break;
      default: text.resize(at); break;
    }
  }
  return text;
}

TEST(RequestParser, IsTheSameInPiecesAsWhole) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto seeds = fuzz_seeds();
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = mutated(seeds[random() % seeds.size()] + seeds[random() % seeds.size()], random);
    RequestParser whole(1000);
    RequestParser pieces(1000);
    const std::size_t used = whole.consume(text);
    std::size_t at = 0;
    while (at < text.size() && !pieces.complete() && !pieces.failed()) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 9, text.size() - at);
      // A piece of its own on the heap, so that a read beyond its end is seen by the sanitizers.
      const std::vector<char> piece(text.begin() + static_cast<std::ptrdiff_t>(at),
                                    text.begin() + static_cast<std::ptrdiff_t>(at + size));
      const std::size_t taken = pieces.consume({piece.data(), piece.size()});
      ASSERT_TRUE(taken == size || pieces.complete() || pieces.failed());
      at += taken;
    }
    ASSERT_EQ(whole.complete(), pieces.complete()) << text;
    ASSERT_EQ(whole.failed(), pieces.failed()) << text;
    if (whole.failed()) {
      ASSERT_EQ(whole.failure_status(), pieces.failure_status()) << text;
    } else {
      ASSERT_EQ(used, at) << text;
      ASSERT_EQ(whole.request().body, pieces.request().body) << text;
      ASSERT_EQ(whole.request().path, pieces.request().path) << text;
    }
  }
}

TEST(JsonScan, AgreesWithSimdjson) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::vector<std::string> seeds = {
      R"({"model":"m","messages":[{"role":"user","content":"hello \"w\" \u00e9\ud83d\ude00"},{"content":null}],"n":[-1.5e+3,0,true]})",
      "{\"a\":{\"b\":[[],{},\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 plain text that is "
      "long\"]},\"x\":0.25E-2,\"y\":false}",
      R"([1,2,3,"input",{"input":["a","b"]}])"};
  JsonScan scan;
  simdjson::dom::parser parser;
  int valid = 0;
  for (int round = 0; round < 50'000; ++round) {
    const std::string text = mutated(seeds[random() % seeds.size()], random);
    simdjson::dom::element element;
    const auto error = parser.parse(text).get(element);
    // Ours also takes numbers of any size; theirs must fit a double or 64 bits.
    if (error == simdjson::NUMBER_ERROR) continue;
    // Theirs reads strings later, ours at once: both call the text wrong.
    ASSERT_EQ(scan.scan(text), error == simdjson::SUCCESS) << text << " " << simdjson::error_message(error);
    if (error == simdjson::SUCCESS) ++valid;
  }
  EXPECT_GT(valid, 100);
}

TEST(MockApiMalformed, NothingBreaksTheServer) {
  const std::uint64_t seed = seed_of_test();
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto server = start();
  const auto seeds = fuzz_seeds();
  for (int round = 0; round < 1500; ++round) {
    RawClient client(server->port());
    ASSERT_TRUE(client.connected());
    std::string text;
    for (std::size_t i = 0; i < 1 + random() % 3; ++i) text += mutated(seeds[random() % seeds.size()], random);
    const std::size_t cut = random() % (text.size() + 1);
    client.send(std::string_view(text).substr(0, cut));
    client.send(std::string_view(text).substr(cut));
    client.half_close();
    while (const auto reply = client.read()) {
      ASSERT_TRUE(reply->status == 100 || (reply->status >= 200 && reply->status < 600)) << text;
      if (reply->header("content-type") == "application/json" && reply->whole && !reply->body.empty() &&
          text.find("/echo") == std::string::npos && text.find("HEAD") == std::string::npos) {
        simdjson::dom::parser parser;
        ASSERT_EQ(parser.parse(reply->body).error(), simdjson::SUCCESS) << reply->body;
      }
    }
  }
  RawClient client(server->port());
  EXPECT_EQ(client.call(chat("still here"))->status, 200);
  EXPECT_EQ(server->stats().in_flight, 0u);
}

}  // namespace
}  // namespace pawl::mockapi::test
