#include "wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "scripted_server.h"

namespace pawl::http {
namespace {

using Clock = std::chrono::steady_clock;

sockaddr_in at(const char* host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  EXPECT_EQ(::inet_pton(AF_INET, host, &address.sin_addr), 1);
  return address;
}

// Neither takes nor refuses connections until it is closed: then the client's next attempt is refused.
class ClosedDoor {
 public:
  explicit ClosedDoor(const sockaddr_in& address) : listener_(socket()) {
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    // The first fills the line; the second finds it full, as the client will.
    for (const Fd& waiting : waiting_)
      ::connect(waiting.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  void close() {
    const int fd = listener_.get();
    EXPECT_EQ(::dup3(waiting_[1].get(), fd, O_CLOEXEC), fd);
  }

 private:
  static Fd socket() { return Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

  Fd listener_;
  std::array<Fd, 2> waiting_{socket(), socket()};
};

TEST(Wire, GoesToTheNextAddressAtOnceWhenTheFirstRefuses) {
  pawl::test::ScriptedServer server([](pawl::test::Connection& connection) {
    while (connection.read_request()) connection.send(pawl::test::response(200, "here"));
  });
  ClosedDoor door(at("127.0.0.2", server.port()));
  auto made = Wire::make({});
  ASSERT_TRUE(made);
  Wire& wire = **made;
  const std::string port = std::to_string(server.port());
  const StringList addresses(curl_slist_append(nullptr, ("two.test:" + port + ":127.0.0.2,127.0.0.1").c_str()));
  const EasyHandle easy(curl_easy_init());
  wire.attach(easy.get());
  curl_easy_setopt(easy.get(), CURLOPT_RESOLVE, addresses.get());
  curl_easy_setopt(easy.get(), CURLOPT_URL, ("http://two.test:" + port + "/").c_str());
  curl_easy_setopt(easy.get(), CURLOPT_PROXY, "");
  curl_easy_setopt(easy.get(), CURLOPT_NOBODY, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_CONNECTTIMEOUT_MS, 240'000L);  // half of it is the first address's
  ASSERT_TRUE(wire.add(easy.get(), 0));

  bool tried = false, done = false;
  CURLcode code = CURLE_OK;
  const auto begin = Clock::now();
  while (!done && Clock::now() < begin + std::chrono::seconds(60)) {
    wire.run_timers();
    wire.collect([&](CURL*, CURLcode result) {
      done = true;
      code = result;
    });
    if (wire.opened() == 1 && !std::exchange(tried, true)) door.close();
    wire.poll(Clock::now() + std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(tried);
  EXPECT_TRUE(done);
  EXPECT_EQ(code, CURLE_OK);
  EXPECT_EQ(wire.opened(), 2u);
  EXPECT_EQ(wire.closed(), 1u);
  wire.remove(easy.get(), 0);
}

}  // namespace
}  // namespace pawl::http
