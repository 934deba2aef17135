// Proxies that refuse, fail, or are none: with plain requests their answer is the answer, with a tunnel it is a
// failure.
#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;

/// What becomes of a call to `url` through a proxy that sends `bytes` to each request and then hangs or closes.
std::string through(const std::string& bytes, const std::string& url, unsigned attempts, bool hang = false) {
  ScriptedServer proxy([&](Connection& connection) {
    while (connection.read_request()) {
      if (!connection.send(bytes)) return;
      if (hang) return connection.hang();
      if (!bytes.starts_with("HTTP/1.1 407")) return;
    }
  });
  Options options = quick();
  options.proxy = proxy.url();
  options.retry_max = 1;
  if (hang) options.connect_timeout = milliseconds(100);
  Caller caller(options);
  const Task& task = caller.call(url);
  EXPECT_EQ(task.outcome.attempts, attempts) << task.outcome.error_message;
  if (task.outcome.kind == Outcome::Kind::failed) return task.outcome.error_code;
  return std::to_string(task.outcome.status_code) + " " + task.outcome.body;
}

TEST(Proxy, ItsAnswerIsTheAnswer) {
  const std::string refusal = response(407, "who?", "Proxy-Authenticate: Basic realm=x\r\n");
  EXPECT_EQ(through(refusal, "http://pawl.invalid/", 1), "407 who?");
  EXPECT_EQ(through(response(502, "down"), "http://pawl.invalid/", 2), "502 down");
}

TEST(Proxy, ThatRefusesATunnelForGoodIsNotAskedAgain) {
  const std::string refusal = response(407, "who?", "Proxy-Authenticate: Basic realm=x\r\n");
  EXPECT_EQ(through(refusal, "https://pawl.invalid/", 1), "proxy_refused");
  EXPECT_EQ(through(response(403, "no"), "https://pawl.invalid/", 1), "proxy_refused");
}

TEST(Proxy, ThatFailsToMakeATunnelIsAskedAgain) {
  EXPECT_EQ(through(response(503, "down"), "https://pawl.invalid/", 2), "proxy_failed");
  EXPECT_EQ(through(response(429, "slow"), "https://pawl.invalid/", 2), "proxy_failed");
}

TEST(Proxy, ThatIsNoneFailsInOneWayOrAnother) {
  EXPECT_EQ(through("", "https://pawl.invalid/", 2, true), "timeout");
  const std::vector<std::string> none = {"nonsense\r\n\r\n", "", "HTTP/1.1 200 X\r\n\r\nnot TLS",
                                         "HTTP/1.1 200 X\r\nX-Long: " + std::string(200'000, 'x')};
  for (const std::string& bytes : none) {
    const std::string became = through(bytes, "https://pawl.invalid/", 2);
    EXPECT_TRUE(became == "connection_reset" || became == "tls_failed" || became == "proxy_failed") << became;
  }
}

}  // namespace
}  // namespace pawl::http
