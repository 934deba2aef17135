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
  std::vector<std::string> common = {"X-A: common", "X-B: common", "Authorization: Bearer t"};
  HeaderList list;
  list.build(common, request({"x-a: own", "Idempotency-Key: mine"}), Leg::own_origin, Payload::none);
  EXPECT_THAT(lines_of(list), UnorderedElementsAre("x-a: own", "Idempotency-Key: mine", "X-B: common",
                                                   "Authorization: Bearer t", "Expect:"));
}

TEST(HeaderList, SpellsEmptyValuesSoThatTheyAreSent) {
  std::vector<std::string> common;
  HeaderList list;
  list.build(common, request({"X-Empty: "}), Leg::own_origin, Payload::none);
  EXPECT_THAT(lines_of(list), Contains("X-Empty;"));
}

TEST(HeaderList, TypesABodyOnlyAsAsked) {
  std::vector<std::string> common = {"Content-Type: text/common"};
  std::vector<std::string> none;
  HeaderList list;
  Request typed = request();
  typed.content_type = "application/json";
  list.build(common, typed, Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(list), Contains("Content-Type: application/json"));
  EXPECT_THAT(lines_of(list), Not(Contains("Content-Type: text/common")));
  list.build(common, request(), Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(list), Contains("Content-Type: text/common"));
  list.build(none, request(), Leg::own_origin, Payload::body);
  EXPECT_THAT(lines_of(list), Contains("Content-Type:"));
}

TEST(HeaderList, OtherOriginGetsNothingThatAuthenticates) {
  std::vector<std::string> common = {"x-api-key: secret", "Authorization: Bearer secret"};
  HeaderList list;
  list.build(common, request({"Cookie: c", "authorization: a", "Host: h", "X-Trace: 1"}), Leg::other_origin,
             Payload::none);
  EXPECT_THAT(lines_of(list), UnorderedElementsAre("X-Trace: 1", "Expect:"));
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
