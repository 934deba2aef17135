// --metrics: the metrics, the status and the page of a real run, and who may steer it.
#include <sys/wait.h>
#include <unistd.h>

#include "../mockapi/raw_client.h"
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using mockapi::test::RawClient;
using mockapi::test::Reply;

bool is_installed(const std::string& program) {
  Process which({"sh", "-c", "command -v " + program});
  return which.wait() == 0;
}

class PawlWeb : public PawlTool {
 protected:
  /// 20 tasks that are not answered, 15 of them called.
  void begin() {
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse("600s");
    server_ = serve(options);
    run_ = std::make_unique<Process>(run_words(input("in.jsonl", batch_lines(20, 5, 3, asked_)),
                                               {"--parallel-max", "15", "--metrics", "127.0.0.1:0"}));
    const std::string mark = "metrics and page: http://127.0.0.1:";
    ASSERT_TRUE(eventually([&] {
      const std::string said = run_->err();
      const auto at = said.find(mark);
      if (at == std::string::npos || said.find('\n', at) == std::string::npos) return false;
      port_ = static_cast<std::uint16_t>(std::stoi(said.substr(at + mark.size())));
      return true;
    })) << run_->err();
    ASSERT_TRUE(eventually([&] { return server_->stats().in_flight == 15; })) << run_->err();
  }
  /// `first`: "GET /metrics"; `headers` each with its line's end.
  [[nodiscard]] Reply ask(const std::string& first, const std::string& headers) const {
    RawClient client(port_);
    EXPECT_TRUE(client.connected());
    client.send(first + " HTTP/1.1\r\n" + headers + "\r\n");
    return client.read().value_or(Reply{});
  }
  [[nodiscard]] std::string own() const { return fmt::format("Host: 127.0.0.1:{}\r\n", port_); }
  [[nodiscard]] Reply get(const std::string& path) const { return ask("GET " + path, own()); }
  /// As the page's script sends it.
  [[nodiscard]] std::string pressing() const {
    const std::string page = get("/").body;
    const std::string mark = "name=\"pawl-token\" content=\"";
    const auto at = page.find(mark);
    EXPECT_NE(at, std::string::npos);
    return fmt::format(
        "Host: 127.0.0.1:{0}\r\nOrigin: http://127.0.0.1:{0}\r\nX-Pawl-Token: {1}\r\nContent-Length: 0\r\n", port_,
        at == std::string::npos ? "" : page.substr(at + mark.size(), 32));
  }

  Asked asked_;
  std::unique_ptr<Process> run_;
  std::uint16_t port_ = 0;
};

TEST_F(PawlWeb, ShowsARunAndLetsItsPageAloneSteerIt) {
  begin();
  EXPECT_TRUE(
      eventually([&] { return get("/metrics").body.find("\npawl_calls_in_flight 15\n") != std::string::npos; }));
  const Reply metrics = get("/metrics");
  EXPECT_EQ(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(metrics.body, HasSubstr("\npawl_tasks_total{stage=\"save\"} 20\n"));
  simdjson::dom::parser parser;
  EXPECT_EQ(parser.parse(get("/status.json").body)["now"]["calling"].get_uint64().value(), 15u);
  EXPECT_GE(parser.parse(get("/history.json").body)["points"].get_array().size(), 1u);
  const Reply page = get("/");
  EXPECT_THAT(page.header("content-security-policy"), HasSubstr("default-src 'none'; script-src 'nonce-"));
  EXPECT_THAT(page.body, Not(HasSubstr("{nonce}")));
  EXPECT_EQ(get("/../../etc/passwd").status / 100, 4);
  EXPECT_EQ(get("/nothing").status, 404);

  // Another site: its own name for this address, its page's form, its script. Nothing of that changes the run.
  const std::string port = std::to_string(port_);
  EXPECT_EQ(ask("GET /status.json", "Host: evil.example:" + port + "\r\n").status, 403);
  EXPECT_EQ(ask("POST /drain", own() + "Origin: http://evil.example\r\nContent-Length: 0\r\n").status, 403);
  EXPECT_EQ(ask("POST /drain", own() + "Content-Length: 0\r\n").status, 403);
  EXPECT_EQ(ask("POST /drain", own() + "Origin: http://127.0.0.1:" + port + "\r\nContent-Length: 0\r\n").status, 403);
  EXPECT_EQ(ask("POST /drain", pressing() + "Sec-Fetch-Site: cross-site\r\n").status, 403);
  const Reply preflight =
      ask("OPTIONS /drain", own() +
                                "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n"
                                "Access-Control-Request-Headers: X-Pawl-Token\r\n");
  EXPECT_EQ(preflight.header("access-control-allow-origin"), "");
  EXPECT_EQ(parser.parse(get("/status.json").body)["phase"].get_string().value(), "running");

  EXPECT_EQ(ask("POST /drain", pressing()).status, 204);
  EXPECT_TRUE(
      eventually([&] { return parser.parse(get("/status.json").body)["phase"].get_string().value() == "draining"; }));
  run_->signal(SIGINT);
  EXPECT_EQ(run_->wait(), 7) << run_->err();
}

TEST_F(PawlWeb, IsSteeredByNoOtherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  begin();
  const std::string request = "POST /drain HTTP/1.1\r\n" + pressing() + "\r\n";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
    RawClient client(port_);
    client.send(request);
    const auto reply = client.read();
    ::_exit(reply && reply->status == 403 ? 0 : 2);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(PawlWeb, APortInUseIsToldBeforeAnythingIsDone) {
  server_ = serve();
  const std::string taken = "127.0.0.1:" + std::to_string(server_->port());
  Process run(run_words(input("in.jsonl", batch_lines(20, 5, 3, asked_)), {"--metrics", taken}));
  EXPECT_EQ(run.wait(), 2);
  EXPECT_THAT(run.err(), HasSubstr("--metrics: cannot serve metrics at " + taken));
  EXPECT_THAT(run.err(), HasSubstr("in use"));
  EXPECT_EQ(server_->stats().calls, 0u);
  EXPECT_FALSE(std::filesystem::exists(repo()));
}

TEST_F(PawlWeb, ALiveRunIsNamedRatherThanItsPort) {
  begin();
  Process resume(pawl({"resume", repo().string()}));  // --metrics is remembered
  EXPECT_EQ(resume.wait(), 3);
  EXPECT_THAT(resume.err(), HasSubstr(fmt::format("in use by pawl process {}", run_->pid())));
}

TEST_F(PawlWeb, IsScrapedByPrometheus) {
  if (!is_installed("prometheus")) GTEST_SKIP() << "there is no prometheus (Debian: prometheus)";
  begin();
  write_file(folder_ / "prometheus.yml",
             fmt::format("scrape_configs:\n  - job_name: pawl\n    scrape_interval: 200ms\n    scrape_timeout: 200ms\n"
                         "    static_configs:\n      - targets: ['127.0.0.1:{}']\n",
                         port_));
  Process prometheus({"prometheus", "--config.file=" + (folder_ / "prometheus.yml").string(),
                      "--storage.tsdb.path=" + (folder_ / "tsdb").string(), "--web.listen-address=127.0.0.1:0"});
  std::uint16_t api = 0;
  const std::string mark = "msg=\"Listening on\" address=127.0.0.1:";
  ASSERT_TRUE(eventually([&] {
    const std::string said = prometheus.err();
    const auto at = said.find(mark);
    if (at == std::string::npos || said.find('\n', at) == std::string::npos) return false;
    api = static_cast<std::uint16_t>(std::stoi(said.substr(at + mark.size())));
    return true;
  })) << prometheus.err();
  simdjson::dom::parser parser;
  const auto value_of = [&](const std::string& query) -> std::string {
    RawClient client(api);
    client.send("GET /api/v1/query?query=" + query + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    const auto reply = client.read();
    std::string_view value;
    if (!reply || parser.parse(reply->body)["data"]["result"].at(0)["value"].at(1).get(value) != simdjson::SUCCESS)
      return {};
    return std::string(value);
  };
  EXPECT_TRUE(eventually([&] { return value_of("pawl_tasks_total%7Bstage%3D%22save%22%7D") == "20"; }))
      << get("/metrics").body << prometheus.err();
  EXPECT_EQ(value_of("pawl_calls_in_flight"), "15");
  EXPECT_EQ(value_of("pawl_lane_calls_in_flight"), "15") << "not those that are about to leave";
  Process::Options piped;
  piped.pipe_input = true;
  Process lint({"promtool", "check", "metrics"}, piped);
  lint.write_input(get("/metrics").body);
  lint.close_input();
  EXPECT_EQ(lint.wait(), 0) << lint.out() << lint.err();
  EXPECT_EQ(lint.out() + lint.err(), "");
}

}  // namespace
}  // namespace pawl::test
