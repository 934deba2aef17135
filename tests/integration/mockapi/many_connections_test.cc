// Thousands of clients at once.
#include <signal.h>
#include <sys/resource.h>

#include <vector>

#include <gtest/gtest.h>

#include "raw_client.h"
#include "tool_process.h"

namespace pawl::mockapi::test {
namespace {

constexpr int kRounds = 3;

/// Connects `clients` and lets each make `kRounds` calls, all at once in each round.
void call_from_many(std::uint16_t port, std::size_t count, std::vector<RawClient>& clients) {
  clients.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    clients.emplace_back(port);
    ASSERT_TRUE(clients.back().connected()) << i;
  }
  for (int round = 0; round < kRounds; ++round) {
    for (RawClient& client : clients) ASSERT_TRUE(client.send(chat("one of many")));
    for (RawClient& client : clients) {
      const auto reply = client.read();
      ASSERT_TRUE(reply);
      ASSERT_EQ(reply->status, 200);
    }
  }
}

TEST(MockApiConnections, TwoThousandAtOnce) {
  constexpr std::size_t kClients = 2'000;
  Options options;
  options.latency = {Latency::Kind::uniform, 20, 20};
  const auto server = start(options);  // raises the limit of open files
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2 * kClients + 100) GTEST_SKIP() << "needs 4100 open files, the limit is " << limit.rlim_cur;
  std::vector<RawClient> clients;
  call_from_many(server->port(), kClients, clients);
  const Stats stats = server->stats();
  EXPECT_EQ(stats.connections_open, kClients);
  EXPECT_EQ(stats.answered, kClients * kRounds);
  EXPECT_GT(stats.in_flight_peak, 1u);
  clients.clear();
  while (server->stats().connections_open != 0) ::poll(nullptr, 0, 1);
}

TEST(MockApiConnections, TenThousandAtOnceToAServerOfItsOwn) {
  constexpr std::size_t kClients = 10'000;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  if (limit.rlim_max < kClients + 100 || ::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    GTEST_SKIP() << "needs 10100 open files, the limit is " << limit.rlim_max;
  const TempDir dir;
  const std::string port_file = (dir / "port").string();
  const pid_t pid =
      spawn(dir, {PAWL_MOCKAPI_TOOL, "--port", "0", "--port-file", port_file, "--latency", "uniform:0-40ms"});
  const std::string port = await_contents(port_file);
  ASSERT_FALSE(port.empty()) << contents(dir / "err");
  std::vector<RawClient> clients;
  call_from_many(static_cast<std::uint16_t>(std::stoi(port)), kClients, clients);
  if (!clients.empty()) {
    const auto stats = clients[0].call(get("/stats"));
    EXPECT_TRUE(stats);
    EXPECT_NE(stats.value_or(Reply{}).body.find("\"answered\":30000"), std::string::npos);
    EXPECT_NE(stats.value_or(Reply{}).body.find("\"connections_open\":10000"), std::string::npos);
  }
  clients.clear();
  ::kill(pid, SIGTERM);
  EXPECT_EQ(wait_for(pid), 0);
}

TEST(MockApiConnections, AcceptsAgainAfterDescriptorsRanOut) {
  const auto server = start();
  RawClient first(server->port());
  ASSERT_EQ(first.call(get("/echo"))->status, 200);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  // Fill the table up to a low limit, so that accept() fails while connect() here has had its descriptor already.
  std::vector<RawClient> waiting;
  const int highest = ::dup(first.fd());
  ASSERT_GE(highest, 0);
  ::close(highest);
  for (int i = 0; i < 4; ++i) waiting.emplace_back(0);  // descriptors to hand on below
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(highest) + 4;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{120, 0};
  for (RawClient& client : waiting) {
    ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(client.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_TRUE(client.send(get("/echo")));
  }
  EXPECT_EQ(first.call(get("/echo"))->status, 200);  // served while nobody can be let in
  EXPECT_EQ(server->stats().connections_open, 1u);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (RawClient& client : waiting) {
    const auto reply = client.read();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
  }
}

}  // namespace
}  // namespace pawl::mockapi::test
