// Every way in which a server breaks the protocol, and what becomes of it: one row each. Two attempts are allowed, so a
// row says whether the fault is retried. Afterwards the same stage calls the same server in good order: a fault must
// not reach the next call.

#include <functional>
#include <ostream>

#include "deflate.h"
#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;
using test::packed;

enum class Ending { close, reset, stay, hang };

struct Fault {
  std::string name;
  std::string bytes;  // sent once the request has been read
  Ending ending = Ending::close;
  std::string outcome;  // an error code, or status and body; '|' between those that may come
  unsigned attempts = 1;
  std::function<void(Connection&)> script{};  // instead of `bytes`
  milliseconds time_max{60'000};
  std::uint64_t bytes_max = 1'000'000;
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

std::string gzip(const std::string& bytes, const std::string& coding = "gzip") {
  return response(200, bytes, "Content-Encoding: " + coding + "\r\n");
}

// 600,000 bytes of the answer to another request.
std::string split_response() {
  const std::string evil = response(200, "evil");
  return response(200, std::string(600'000, 'b')) + evil + evil + evil;
}

const std::string kOk = "HTTP/1.1 200 X\r\n";
const std::string kChunked = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kNul(1, '\0');

void reset_before_reading(Connection& connection) { connection.reset(); }

/// Sends `begin`, then `again` for as long as it is taken.
std::function<void(Connection&)> endless(std::string begin, std::string again) {
  return [=](Connection& connection) {
    connection.send(begin);
    std::string much;
    while (much.size() < 10'000) much += again;
    while (connection.send(much)) {
    }
  };
}

/// Sends one byte of `bytes` after the other, slowly, and then begins again at `loop`.
std::function<void(Connection&)> dripping(std::string bytes, std::size_t loop) {
  return [=](Connection& connection) {
    for (std::size_t at = 0; connection.pause(milliseconds(2)) && connection.send(bytes.substr(at, 1)); ++at) {
      if (at + 1 == bytes.size()) at = loop - 1;
    }
  };
}

std::vector<Fault> connection_faults() {
  using enum Ending;
  return {
      // A reset may overtake the bytes before it.
      {"ResetBeforeTheRequestIsRead", {}, close, "connection_reset|connect_failed", 2, reset_before_reading},
      {"ClosedWithoutAnswer", "", close, "connection_reset", 2},
      {"ResetWithoutAnswer", "", reset, "connection_reset", 2},
      {"ClosedWithinTheStatusLine", "HTTP/1.1 2", close, "truncated|connection_reset", 2},
      {"ResetWithinTheStatusLine", "HTTP/1.1 2", reset, "truncated|connection_reset", 2},
      {"ClosedWithinAHeader", kOk + "Content-Le", close, "truncated", 2},
      {"ClosedBetweenHeaders", kOk + "X-A: b\r\n", close, "truncated", 2},
      {"ResetWithinHeaders", kOk + "X-A: b\r\n", reset, "truncated|connection_reset", 2},
      {"ResetAfterHeaders", kOk + "Content-Length: 9\r\n\r\n", reset, "truncated|connection_reset", 2},
      {"ResetWithinTheBody", kOk + "Content-Length: 9\r\n\r\nabc", reset, "truncated|connection_reset", 2},
      {"ResetWhereTheBodyHasNoLength", kOk + "\r\nabc", reset, "connection_reset", 2},
      {"HangsWithoutAnswer", "", hang, "timeout", 2, {}, milliseconds(50)},
      {"HangsWithinHeaders", kOk + "X-A: b\r\n", hang, "timeout", 2, {}, milliseconds(50)},
      {"HangsWithinTheBody", kOk + "Content-Length: 9\r\n\r\nabc", hang, "timeout", 2, {}, milliseconds(50)},
      {"DripsHeaders", {}, close, "timeout", 2, dripping(kOk + "X-Slow: x\r\n", kOk.size()), milliseconds(100)},
      {"DripsTheBody", {}, close, "timeout", 2, dripping(kOk + "\r\nd", kOk.size() + 2), milliseconds(100)},
  };
}

std::vector<Fault> length_faults() {
  using enum Ending;
  return {
      {"LengthTooLong", kOk + "Content-Length: 9\r\n\r\nabc", close, "truncated", 2},
      {"LengthTooShort", kOk + "Content-Length: 2\r\n\r\nabc", stay, "200 ab", 1},
      {"LengthNegative", kOk + "Content-Length: -1\r\n\r\nabc", close, "bad_response", 1},
      {"LengthIsNoNumber", kOk + "Content-Length: three\r\n\r\nabc", close, "bad_response", 1},
      {"LengthWithRubbishBehindIt", kOk + "Content-Length: 3x\r\n\r\nabc", stay, "bad_response", 1},
      {"LengthBeyondAllNumbers", kOk + "Content-Length: 99999999999999999999999\r\n\r\n", hang, "response_too_large",
       1},
      {"LengthTwice", kOk + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", stay, "200 abc", 1},
      {"LengthTwiceAndDifferent", kOk + "Content-Length: 3\r\nContent-Length: 2\r\n\r\nabc", stay, "bad_response", 1},
      {"LengthsInOneHeader", kOk + "Content-Length: 3, 2\r\n\r\nabc", stay, "bad_response", 1},
      {"LengthBesideChunks", kOk + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", stay,
       "200 abc", 1},
      {"LengthOverTheBound", kOk + "Content-Length: 1000001\r\n\r\n", hang, "response_too_large", 1},
      {"EndlessBody", {}, close, "response_too_large", 1, endless(kOk + "\r\n", std::string(10'000, 'b'))},
      {"EndlessChunks", {}, close, "response_too_large", 1, endless(kChunked, "8\r\nabcdefgh\r\n")},
      {"EndlessTrailers", {}, close, "bad_response", 1, endless(kChunked + "0\r\n", "X-A: b\r\n")},
      {"NoLengthUntilTheEnd", "HTTP/1.1 200 X\r\n\r\nabc", close, "200 abc", 1},
      {"NoLengthInHttp10", "HTTP/1.0 200 X\r\n\r\nabc", close, "200 abc", 1},
  };
}

std::vector<Fault> chunk_faults() {
  using enum Ending;
  return {
      {"ChunkSizeIsGarbage", kChunked + "zz\r\nabc\r\n0\r\n\r\n", close, "truncated", 2},
      {"ChunkSizeIsNegative", kChunked + "-3\r\nabc\r\n0\r\n\r\n", close, "truncated", 2},
      {"ChunkSizeOverflows", kChunked + "fffffffffffffffff\r\nabc\r\n", close, "truncated", 2},
      {"ChunkLongerThanItSays", kChunked + "3\r\nabcdef\r\n0\r\n\r\n", close, "truncated", 2},
      {"ChunkCutOff", kChunked + "9\r\nabc", close, "truncated", 2},
      {"LastChunkMissing", kChunked + "3\r\nabc\r\n", close, "truncated", 2},
      {"EndAfterLastChunkMissing", kChunked + "3\r\nabc\r\n0\r\n", close, "truncated", 2},
      {"ChunkedButPlain", kChunked + "{\"a\": 1}", close, "truncated", 2},
      {"UnknownTransferCoding", kOk + "Transfer-Encoding: rot13\r\n\r\nabc", close, "bad_response|200 abc", 1},
      {"TrailersAreNoHeaders", kChunked + "0\r\nRetry-After: 9\r\nContent-Length: 7\r\n\r\n", stay, "200 ", 1},
  };
}

std::vector<Fault> status_faults() {
  using enum Ending;
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n";
  return {
      {"ContinueThenAnswer", "HTTP/1.1 100 Continue\r\n\r\n" + response(200, "abc"), stay, "200 abc", 1},
      {"HintsThenAnswer", "HTTP/1.1 103 X\r\nContent-Length: 99\r\n\r\n" + response(200, "abc"), stay, "200 abc", 1},
      {"ThousandHintsThenAnswer", many + response(200, "abc"), stay, "200 abc", 1},
      {"EndlessHints", {}, close, "bad_response", 1, endless("", many)},
      {"OnlyContinue", "HTTP/1.1 100 Continue\r\n\r\n", close, "connection_reset|truncated", 2},
      {"SwitchesProtocols", "HTTP/1.1 101 X\r\nUpgrade: y\r\n\r\nabc", hang, "bad_response", 1},
      {"NoContent", "HTTP/1.1 204 X\r\n\r\n", stay, "204 ", 1},
      {"NoContentWithABody", "HTTP/1.1 204 X\r\nContent-Length: 3\r\n\r\nabc", stay, "204 ", 1},
      {"NoContentWithAnAnswerBehindIt", "HTTP/1.1 204 X\r\n\r\n" + response(200, "evil"), stay, "204 ", 1},
      {"NotModifiedWithALength", "HTTP/1.1 304 X\r\nContent-Length: 99\r\n\r\n", stay, "304 ", 1},
      {"Unauthorized", response(401, "who?", "WWW-Authenticate: Basic realm=x\r\n"), stay, "401 who?", 1},
      {"ProxyAuthenticationFromAServer", response(407, "who?", "Proxy-Authenticate: Basic\r\n"), stay, "407 who?", 1},
      {"StatusOfNoClass", response(999, "abc"), stay, "999 abc", 1},
      {"StatusTooLong", "HTTP/1.1 2000 X\r\n\r\n", close, "bad_response", 1},
      {"StatusTooShort", "HTTP/1.1 20 X\r\nContent-Length: 0\r\n\r\n", close, "bad_response", 1},
      {"StatusIsNoNumber", "HTTP/1.1 OK X\r\n\r\n", close, "bad_response", 1},
      {"StatusNegative", "HTTP/1.1 -20 X\r\n\r\n", close, "bad_response", 1},
      {"StatusMissing", "HTTP/1.1\r\n\r\n", close, "bad_response", 1},
      {"VersionTwoInText", "HTTP/2 200 X\r\nContent-Length: 3\r\n\r\nabc", close, "bad_response", 1},
      {"VersionUnknown", "HTTP/1.7 200 X\r\nContent-Length: 3\r\n\r\nabc", close, "bad_response", 1},
      {"NoVersionAtAll", "<html>hello</html>", close, "bad_response", 1},
      {"OtherProtocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n", close, "bad_response", 1},
      {"Nothing", kNul + kNul + kNul + "\r\n\r\n", close, "bad_response", 1},
  };
}

std::vector<Fault> header_faults() {
  using enum Ending;
  const std::string rest = "Content-Length: 3\r\n\r\nabc";
  return {
      {"HeaderWithoutColon", kOk + "nonsense\r\n" + rest, close, "bad_response", 1},
      {"HeaderWithNul", kOk + "X-A: b" + kNul + "c\r\n" + rest, close, "bad_response", 1},
      {"HeaderWithCarriageReturn", kOk + "X-A: b\rX-Request-Id: c\r\n" + rest, close, "bad_response", 1},
      {"HeaderFolded", kOk + "X-A: b\r\n Content-Length: 1\r\n" + rest, stay, "200 abc", 1},
      {"HeadersEndInLineFeeds", "HTTP/1.1 200 X\nContent-Length: 3\n\nabc", stay, "200 abc", 1},
      {"SecondStatusLine", kOk + "HTTP/1.1 500 Y\r\n" + rest, close, "bad_response", 1},
      {"HeaderLikeAStatusLine", kOk + "HTTP/1.1: 500 Y\r\n" + rest, stay, "200 abc", 1},
      {"HeaderLineTooLong", {}, close, "bad_response", 1, endless(kOk + "X-Long: ", std::string(8000, 'x'))},
      {"StatusLineTooLong", {}, close, "bad_response", 1, endless("HTTP/1.1 200 ", std::string(8000, 'x'))},
      {"HeadersEndless", {}, close, "bad_response", 1, endless(kOk, "X-More: " + std::string(8000, 'x') + "\r\n")},
      {"ShortHeadersEndless", {}, close, "bad_response", 1, endless(kOk, "X: y\r\n")},
  };
}

std::vector<Fault> coding_faults() {
  using enum Ending;
  const std::string plain(50'000, 'p');
  const std::string good = packed("abc");
  std::string wrong_sum = good;
  wrong_sum[wrong_sum.size() - 6] ^= 1;
  return {
      {"Gzip", gzip(good), stay, "200 abc", 1},
      {"GzipInTwoMembers", gzip(good + good), stay, "200 abcabc", 1},
      {"GzipOfNothing", gzip(""), stay, "200 ", 1},
      {"GzipTheOldName", gzip(good, "X-GZIP"), stay, "200 abc", 1},
      {"Deflate", gzip(packed("abc", test::kZlib), "deflate"), stay, "200 abc", 1},
      {"DeflateBare", gzip(packed("abc", test::kBareDeflate), "deflate"), stay, "200 abc", 1},
      {"Identity", gzip("abc", "identity"), stay, "200 abc", 1},
      {"GzipIsGarbage", gzip("nope, this is text"), stay, "bad_response", 1},
      {"GzipTruncated", gzip(packed(plain).substr(0, 40)), stay, "truncated", 2},
      {"GzipWithoutItsLastByte", gzip(good.substr(0, good.size() - 1)), stay, "truncated", 2},
      {"GzipWithAWrongChecksum", gzip(wrong_sum), stay, "bad_response", 1},
      {"GzipWithRubbishBehindIt", gzip(good + "rubbish"), stay, "bad_response", 1},
      {"GzipBomb", gzip(packed(std::string(20'000'000, '\0'))), stay, "response_too_large", 1},
      {"GzipOfExactlyTheBound", gzip(packed(plain)), stay, "200 " + plain, 1, {}, milliseconds(60'000), plain.size()},
      {"GzipOneByteOverTheBound",
       gzip(packed(plain)),
       stay,
       "response_too_large",
       1,
       {},
       milliseconds(60'000),
       plain.size() - 1},
      {"GzipTwice", gzip(packed(good), "gzip, gzip"), stay, "bad_response", 1},
      {"CodingUnknown", gzip("abc", "br"), stay, "bad_response", 1},
  };
}

std::vector<Fault> answers_of_others() {
  using enum Ending;
  return {
      {"BytesBehindTheAnswer", response(200, "abc") + "rubbish", stay, "200 abc", 1},
      {"AnotherAnswerBehindTheAnswer", response(200, "abc") + response(200, "evil"), stay, "200 abc", 1},
      {"AnotherAnswerBehindALongOne", split_response(), stay, "200 " + std::string(600'000, 'b'), 1},
      {"AnotherAnswerBehindABodyThatComesApart", "", stay, "200 abc", 1,
       [](Connection& connection) {
         connection.send("HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n");
         if (!connection.pause(milliseconds(30))) return;  // most likely the client has read that much by then
         connection.send("abc" + response(200, "evil"));
         connection.hang();
       }},
      {"AnotherAnswerBehindChunks", kChunked + "3\r\nabc\r\n0\r\n\r\n" + response(200, "evil"), stay, "200 abc", 1},
  };
}

class ServerFault : public ::testing::TestWithParam<Fault> {};

std::string what_became_of(const Task& task) {
  if (task.outcome.kind == Outcome::Kind::failed) return task.outcome.error_code;
  return std::to_string(task.outcome.status_code) + " " + task.outcome.body;
}

std::string shortened(const std::string& text) { return text.size() < 200 ? text : text.substr(0, 200) + "…"; }

TEST_P(ServerFault, EndsAsTheTableSaysAndReachesNoOtherCall) {
  const Fault& fault = GetParam();
  ScriptedServer server([&](Connection& connection) {
    if (fault.name == "ResetBeforeTheRequestIsRead" && connection.number() <= 2) return fault.script(connection);
    while (const auto request = connection.read_request()) {
      if (request->target == "/well") {
        if (!connection.send(response(200, "well"))) return;
        continue;
      }
      if (fault.script) return fault.script(connection);
      if (!connection.send(fault.bytes)) return;
      if (fault.ending == Ending::reset) return connection.reset();
      if (fault.ending == Ending::hang) return connection.hang();
      if (fault.ending == Ending::close) return;
    }
  });
  Options options = quick();
  options.parallel_max = 1;  // the next call gets the connection that the fault leaves
  options.retry_max = 1;
  options.time_max = fault.time_max;
  options.response_bytes_max = fault.bytes_max;
  Caller caller(options);
  const Task& task = caller.task(server.url("/fault"));
  // Not where the limit of time is so short that a busy machine meets it in good order, too.
  if (fault.time_max >= kDeadline / 2) {
    for (int i = 0; i < 3; ++i) caller.task(server.url("/well"));
  }
  caller.take_all();
  caller.wait();
  EXPECT_NE(("|" + fault.outcome + "|").find("|" + what_became_of(task) + "|"), std::string::npos)
      << shortened(what_became_of(task)) << ": " << task.outcome.error_message;
  EXPECT_EQ(task.outcome.attempts, fault.attempts);
  EXPECT_EQ(task.outcome.error_message.empty(), task.outcome.kind == Outcome::Kind::answered);
  for (const Task& well : caller.tasks()) {
    if (&well == &task) continue;
    expect_answer(well, 200, "well");
    EXPECT_EQ(well.outcome.attempts, 1u);
  }
  const StageGauge gauge = caller.stage().gauge();
  EXPECT_EQ(gauge.waiting + gauge.active + gauge.delayed, 0u);
}

std::string name_of_row(const ::testing::TestParamInfo<Fault>& row) { return row.param.name; }

INSTANTIATE_TEST_SUITE_P(Connection, ServerFault, ::testing::ValuesIn(connection_faults()), name_of_row);
INSTANTIATE_TEST_SUITE_P(Length, ServerFault, ::testing::ValuesIn(length_faults()), name_of_row);
INSTANTIATE_TEST_SUITE_P(Chunks, ServerFault, ::testing::ValuesIn(chunk_faults()), name_of_row);
INSTANTIATE_TEST_SUITE_P(Status, ServerFault, ::testing::ValuesIn(status_faults()), name_of_row);
INSTANTIATE_TEST_SUITE_P(Headers, ServerFault, ::testing::ValuesIn(header_faults()), name_of_row);
INSTANTIATE_TEST_SUITE_P(Coding, ServerFault, ::testing::ValuesIn(coding_faults()), name_of_row);
INSTANTIATE_TEST_SUITE_P(Others, ServerFault, ::testing::ValuesIn(answers_of_others()), name_of_row);

}  // namespace
}  // namespace pawl::http
