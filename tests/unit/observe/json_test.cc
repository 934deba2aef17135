#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "json_writer.h"
#include "view_fixture.h"

namespace pawl::observe {
namespace {

TEST(ToJson, HoldsEveryFieldOfTheFormat) {
  RunView view = busy_view();
  view.bytes_read = 5;
  view.note = "host down";
  view.paused = true;
  view.lanes = {{.origin = "https://a.example:443",
                 .model = "m",
                 .in_flight = 200,
                 .waiting = 7,
                 .limit = 256,
                 .breaker = "half_open",
                 .paused = std::chrono::milliseconds{1500}},
                {.origin = "http://b.example:80", .model = "", .paused = {}}};
  view.errors = {{.text = "a.example:443: status 503", .count = 12, .last_ago = std::chrono::milliseconds{40}}};
  view.streams = {{.stream = "s/1", .id = "t-9", .waits_for = "calling", .waiting = std::chrono::milliseconds{3100}}};
  EXPECT_EQ(
      to_json(view),
      R"({"version":1,"phase":"running","elapsed_ms":2100,)"
      R"("tasks":{"total":8396,"read":5297,"recovered":0,"in_doubt":0,"skipped":100,"skipped_failed":0,"bad_lines":0,"admitted":5197,"saved":5195,)"
      R"("called":4129,"ordered":4101,"retired":4098,"committed":4096,"failed":2,"unchanged":0,"unfinished":2,"held":0},)"
      R"("now":{"in_flight":1099,"bytes_in_flight":1228800,"waiting":812,"calling":256,"ordering":31,"saving":2,)"
      R"("delayed":3,"committing":3},"retried":17,"rate_per_s":1930.4,"eta_s":41,"eta_low_s":38,"eta_high_s":null,"paused":true,)"
      R"("latency_ms":{"p50":52.1,"p90":110.4,"p99":240,"p999":301.4,"max":412.7},"input_bytes":{"read":5,"total":null},)"
      R"("note":"host down",)"
      R"("stages":[{"name":"save","depth":2,"rate_per_s":1950,"latency_ms":{"p50":0,"p90":0,"p99":0,"p999":0,"max":0}},)"
      R"({"name":"call","depth":1066,"rate_per_s":1940.5,"latency_ms":{"p50":52.1,"p90":110.4,"p99":240,"p999":301.4,"max":412.7}},)"
      R"({"name":"commit","depth":31,"rate_per_s":1930.4,"latency_ms":{"p50":0,"p90":0,"p99":0,"p999":0,"max":0}}],)"
      R"("lanes":[{"origin":"https://a.example:443","model":"m","in_flight":200,"waiting":7,"limit":256,)"
      R"("breaker":"half_open","paused_ms":1500},{"origin":"http://b.example:80","model":"","in_flight":0,)"
      R"("waiting":0,"limit":0,"breaker":"closed","paused_ms":0}],)"
      R"("errors":[{"text":"a.example:443: status 503","count":12,"last_ms_ago":40}],)"
      R"("streams":[{"stream":"s/1","id":"t-9","waits_for":"calling","waiting_ms":3100}],)"
      R"("budget":{"calls":4200,"calls_max":10000,"tokens":0,"tokens_max":0,"time_ms":1900,"time_max_ms":0}})");
}

TEST(ToJson, WritesNullForWhatIsUnknown) {
  const std::string json = to_json(RunView{});
  EXPECT_NE(json.find(R"("total":null)"), std::string::npos);
  EXPECT_NE(json.find(R"("eta_s":null)"), std::string::npos);
}

TEST(JsonWriter, EscapesWhatJsonCannotHold) {
  JsonWriter json;
  json.field("text", std::string_view("a\"b\\c\nd\x01\xFF\xC3\xA9"));
  json.field("number", std::numeric_limits<double>::infinity());
  EXPECT_EQ(json.take(), "{\"text\":\"a\\\"b\\\\c\\nd\\u0001\\ufffd\xC3\xA9\",\"number\":null}");
}

TEST(MessageToJson, IsAnObject) {
  EXPECT_EQ(message_to_json("press Ctrl-C again"), R"({"version":1,"message":"press Ctrl-C again"})");
}

}  // namespace
}  // namespace pawl::observe
