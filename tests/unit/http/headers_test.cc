#include "headers.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::http {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

std::vector<std::string> lines_of(HeaderList& list) {
  std::vector<std::string> lines;
  for (const curl_slist* node = list.get(); node != nullptr; node = node->next) lines.emplace_back(node->data);
  return lines;
}

Request request(std::vector<std::string> headers = {}) {
  Request made;
  made.stream = "s";
  made.id = "1";
  made.headers = std::move(headers);
  return made;
}

TEST(HeaderFault, NamesTheFaultAndNeverTheValue) {
  for (const char* good : {"A: b", "A:", "X-Long_Name.1: v v", "a:b:c"}) EXPECT_THAT(header_fault(good), IsEmpty());
  for (const char* bad :
       {"no colon", "A;", ": v", "A b: v", "A: x\r\nB: y", "Content-Length: 1", "transfer-encoding: chunked"}) {
    EXPECT_THAT(header_fault(bad), Not(IsEmpty())) << bad;
  }
  EXPECT_EQ(header_fault("Authorization: secret\n").find("secret"), std::string::npos);
}

TEST(HeaderList, TasksOwnReplaceCommonOnesWhateverTheirCase) {
  CommonHeaders common{.lines = {"X-A: common", "X-B: common", "Authorization: Bearer t"}, .basic = {}};
  HeaderList list;
  list.build(common, request({"x-a: own", "Idempotency-Key: mine"}), Leg::own_origin, Payload::none);
  EXPECT_THAT(lines_of(list),
              UnorderedElementsAre("x-a: own", "Idempotency-Key: mine", "X-B: common", "Authorization: Bearer t"));
}

TEST(HeaderList, SpellsEmptyValuesSoThatTheyAreSent) {
  CommonHeaders common;
  HeaderList list;
  list.build(common, request({"X-Empty: "}), Leg::own_origin, Payload::none);
  EXPECT_THAT(lines_of(list), Contains("X-Empty;"));
}

TEST(HeaderList, TypesABodyOnlyAsAsked) {
  CommonHeaders common{.lines = {"Content-Type: text/common"}, .basic = {}};
  CommonHeaders none;
  HeaderList list;
  Request typed = request();
  typed.content_type = "application/json";
  list.build(common, typed, Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(list), Contains("Content-Type: application/json"));
  EXPECT_THAT(lines_of(list), Not(Contains("Content-Type: text/common")));
  list.build(common, request(), Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(list), Contains("Content-Type: text/common"));
  HeaderList other;
  other.build(none, request(), Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(other), Contains("Content-Type:"));
}

TEST(HeaderList, OtherOriginGetsNothingThatAuthenticates) {
  CommonHeaders common{.lines = {"x-api-key: secret", "Authorization: Bearer secret"}, .basic = {"User-Agent: u"}};
  HeaderList list;
  list.build(common, request({"Cookie: c", "authorization: a", "Host: h", "X-Trace: 1"}), Leg::other_origin,
             Payload::none);
  EXPECT_THAT(lines_of(list), UnorderedElementsAre("X-Trace: 1", "User-Agent: u"));
}

TEST(HeaderList, BasicOnesGoEverywhereUnlessTheOwnOriginHasStrongerOnes) {
  CommonHeaders common{.lines = {"user-agent: mine"}, .basic = {"User-Agent: u", "Accept-Encoding: gzip"}};
  HeaderList list;
  list.build(common, request({"Idempotency-Key: k"}), Leg::own_origin, Payload::none);
  EXPECT_THAT(lines_of(list), UnorderedElementsAre("user-agent: mine", "Accept-Encoding: gzip", "Idempotency-Key: k"));
  list.build(common, request({"accept-encoding: identity"}), Leg::other_origin, Payload::none);
  EXPECT_THAT(lines_of(list), UnorderedElementsAre("User-Agent: u", "accept-encoding: identity"));
}

TEST(HeaderList, OfTheNextRequestAreThoseOfAFreshList) {
  CommonHeaders common{.lines = {"X-A: common"}, .basic = {"User-Agent: u"}};
  std::vector<Request> requests(6, request());
  requests[1].id = "2";
  requests[2].content_type = "text/plain";
  requests[3].content_type = "text/plain";
  requests[3].headers = {"Idempotency-Key: own", "X-A: own"};
  requests[4].id = "3";
  requests[5].body.resize(HeaderList::kBodyAskedFor + 1);
  HeaderList used;
  for (unsigned i = 0; i < 500; ++i) {
    // Any order: what one leaves behind must not show in the next.
    const Request& next = requests[i * i * 7 % 11 % requests.size()];
    const Leg leg = i % 3 == 0 ? Leg::other_origin : Leg::own_origin;
    const Payload payload = i % 5 < 2 ? Payload::none : Payload::body;
    HeaderList fresh;
    used.build(common, next, leg, payload);
    fresh.build(common, next, leg, payload);
    EXPECT_EQ(lines_of(used), lines_of(fresh)) << "request " << i;
  }
}

TEST(HeaderList, OnlyALargeBodyTellsLibcurlNotToAskFirst) {
  CommonHeaders common;
  HeaderList list;
  Request large = request();
  large.body.resize(HeaderList::kBodyAskedFor);
  list.build(common, large, Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(list), Not(Contains("Expect:")));
  large.body.push_back('x');
  list.build(common, large, Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(list), Contains("Expect:"));
}

TEST(IdempotencyKey, DependsOnKeyAndRequestAlone) {
  Request a = request();
  a.digest = {0x01, 0xab};
  std::string key;
  append_idempotency_key(a, key);
  // FNV-1a 64 of "s", NUL, "1": written down, because it must never change between versions.
  EXPECT_EQ(key, "01ab0000000000000000000000000000-81bdce195c7741b5");
  Request b = a;
  b.position = 9;
  std::string same;
  append_idempotency_key(b, same);
  EXPECT_EQ(same, key);
  b.id = "2";
  std::string other;
  append_idempotency_key(b, other);
  EXPECT_NE(other, key);
}

TEST(IsToken, TakesMethodsAndRefusesSpace) {
  for (const char* good : {"GET", "M-SEARCH", "x"}) EXPECT_TRUE(is_token(good));
  for (const char* bad : {"", "G T", "GET\r", "a/b"}) EXPECT_FALSE(is_token(bad));
}

}  // namespace
}  // namespace pawl::http
