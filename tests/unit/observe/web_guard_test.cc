#include "web_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include <pawl/web.h>

#include "history.h"

namespace pawl::observe {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const WebPolicy kHere = {true, "secret", "builder"};
const WebPolicy kNetwork = {false, "secret", "builder"};

WebRequest press() { return {"POST", "/pause", "127.0.0.1:9464", "http://127.0.0.1:9464", "same-origin", "secret"}; }

TEST(WebGuard, TakesThePagesOwnButtons) {
  EXPECT_THAT(why_refused(press(), kHere), IsEmpty());
  WebRequest tunnelled = press();
  tunnelled.host = "localhost:8080";
  tunnelled.origin = "http://localhost:8080";
  tunnelled.fetch_site = "";  // browsers without it
  EXPECT_THAT(why_refused(tunnelled, kHere), IsEmpty());
}

TEST(WebGuard, RefusesWhatAnotherSiteMakesABrowserSend) {
  const auto refused = [](auto change, const WebPolicy& policy) {
    WebRequest request = press();
    change(request);
    return !why_refused(request, policy).empty();
  };
  EXPECT_TRUE(refused([](auto& r) { r.origin = "http://evil.example"; }, kHere));
  EXPECT_TRUE(refused([](auto& r) { r.origin = ""; }, kHere));
  EXPECT_TRUE(refused([](auto& r) { r.origin = "null"; }, kHere));
  EXPECT_TRUE(refused([](auto& r) { r.origin = "http://127.0.0.1:80"; }, kHere)) << "another server of this machine";
  EXPECT_TRUE(refused([](auto& r) { r.fetch_site = "cross-site"; }, kHere));
  EXPECT_TRUE(refused([](auto& r) { r.token = ""; }, kHere));
  EXPECT_TRUE(refused([](auto& r) { r.token = "secreT"; }, kHere));
  EXPECT_TRUE(refused([](auto& r) { r.host = r.origin = "evil.example:9464"; }, kHere));
  EXPECT_TRUE(refused([](auto& r) { r.method = "PUT"; }, kHere));
  EXPECT_TRUE(refused([](auto&) {}, kNetwork)) << "nobody steers over the network";
}

TEST(WebGuard, AnswersOnlyNamesThatNobodyElseCanOwn) {
  const auto read = [](std::string_view path, std::string_view host, const WebPolicy& policy) {
    return why_refused({"GET", path, host, {}, {}, {}}, policy).empty();
  };
  for (const char* host : {"127.0.0.1:9464", "localhost:9464", "[::1]:9464", "192.168.1.7"})
    EXPECT_TRUE(read("/", host, kHere)) << host;
  for (const char* host :
       {"evil.example:9464", "", "127.0.0.1.evil.example", "localhost.evil.example:9464", "[::1", "builder"})
    EXPECT_FALSE(read("/status.json", host, kHere)) << host;
  EXPECT_TRUE(read("/", "builder:9464", kNetwork));
  EXPECT_FALSE(read("/", "evil.example:9464", kNetwork));
  EXPECT_TRUE(read("/metrics", "builder.lan.example:9464", kNetwork)) << "Prometheus may know it by any name";
}

TEST(WebGuard, KnowsWhoseConnectionItIs) {
  const std::string head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
  const auto line = [](const char* state, unsigned user) {
    return std::string("  12: 0100007F:D431 0100007F:24F8 ") + state + " 00000000:00000000 00:00000000 00000000 " +
           std::to_string(user) + "        0 81234 1 0000\n";
  };
  const std::string own_side =
      "   3: 0100007F:24F8 0100007F:D431 01 00000000:00000000 00:00000000 00000000 7 0 8 1 0\n";
  const auto is_of = [&](const std::string& lines) {
    return connection_is_of(head + own_side + lines, 0xD431, 0x24F8, 1000);
  };
  EXPECT_TRUE(is_of(line("01", 1000)));
  EXPECT_TRUE(is_of(line("01", 0)));
  EXPECT_FALSE(is_of(line("01", 1001)));
  EXPECT_FALSE(is_of(line("04", 0))) << "closed: belongs to nobody, which looks like root";
  EXPECT_FALSE(is_of(line("01", 1000) + line("01", 1001)));
  EXPECT_FALSE(is_of(""));
}

TEST(ListenAddress, IsThisMachineUnlessAnotherIsNamed) {
  EXPECT_EQ(parse_listen_address("9464")->host, "127.0.0.1");
  EXPECT_EQ(parse_listen_address(":0")->port, 0);
  EXPECT_EQ(parse_listen_address("localhost:80")->host, "127.0.0.1");
  EXPECT_TRUE(parse_listen_address("[::1]:9464")->loopback);
  EXPECT_FALSE(parse_listen_address("0.0.0.0:9464")->loopback);
  EXPECT_FALSE(parse_listen_address("[::]:9464")->loopback);
  for (const char* wrong : {"", "here", "host:9464", "127.0.0.1", "127.0.0.1:", "1:70000", "::1:9464", "127.0.0.1:94x",
                            "9464,80", "9464s"}) {
    const auto address = parse_listen_address(wrong);
    ASSERT_FALSE(address.has_value()) << wrong;
    EXPECT_EQ(address.error().code, ErrorCode::usage);
    EXPECT_THAT(address.error().context, HasSubstr("127.0.0.1:9464"));
  }
}

TEST(History, OfAnyLengthIsWholeAndBounded) {
  History history(8);
  for (int second = 0; second <= 1000; ++second) {
    RunView view;
    view.elapsed = std::chrono::seconds{second};
    Status& status = view.status;
    status.admitted = status.saved = status.called = status.ordered = status.retired =
        static_cast<std::uint64_t>(second);
    history.add(view);
    ASSERT_LE(history.size(), 8u);
  }
  EXPECT_GE(history.size(), 4u);
  EXPECT_EQ(history.every(), std::chrono::seconds{128});
  EXPECT_THAT(history.to_json(), HasSubstr("\"points\":[[0,0,0,0,0,0,0,null,null],[128000,128,"));
}

TEST(History, TellsTheLatencyOfEachInterval) {
  const HistogramView before = {{{0.1, 100}, {0.2, 100}, {1, 100}}, 100, 5};
  const HistogramView after = {{{0.1, 100}, {0.2, 150}, {1, 200}}, 200, 45};
  EXPECT_DOUBLE_EQ(quantile_between(before, after, 0.25), 150);
  EXPECT_DOUBLE_EQ(quantile_between(before, after, 0.75), 600);
  EXPECT_LT(quantile_between(after, after, 0.5), 0) << "none came";
}

}  // namespace
}  // namespace pawl::observe
