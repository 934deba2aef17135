#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <string>

#include <pawl/observe.h>

#include "socket_path.h"
#include "temp_dir.h"

namespace pawl::observe {
namespace {

class NotifyTest : public ::testing::Test {
 protected:
  void TearDown() override { ::unsetenv("NOTIFY_SOCKET"); }

  // A service manager's end at `where`, as NOTIFY_SOCKET spells it.
  void listen_at(const std::string& where) {
    const auto address = address_of(where);
    ASSERT_TRUE(address.has_value());
    manager_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(manager_.get(), address->get(), address->length), 0);
    ::setenv("NOTIFY_SOCKET", where.c_str(), 1);
  }

  std::string received() {
    pollfd polled{manager_.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&polled, 1, 5000), 1);
    std::array<char, 256> buffer;
    const ssize_t got = ::recv(manager_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return got < 0 ? std::string("nothing") : std::string(buffer.data(), static_cast<std::size_t>(got));
  }

  test::TempDir dir_;
  UniqueFd manager_;
};

TEST_F(NotifyTest, TellsNobodyIfNobodyListens) {
  ::unsetenv("NOTIFY_SOCKET");
  const auto told = notify_ready();
  ASSERT_TRUE(told.has_value());
  EXPECT_FALSE(*told);
}

TEST_F(NotifyTest, SpeaksTheProtocolOverAPath) {
  listen_at((dir_ / "notify").string());
  EXPECT_TRUE(notify_ready().value_or(false));
  EXPECT_EQ(received(), "READY=1");
  EXPECT_TRUE(notify_status("4,096 committed\nSTOPPING=1").value_or(false));
  EXPECT_EQ(received(), "STATUS=4,096 committed STOPPING=1") << "a line feed in a text starts no new assignment";
  EXPECT_TRUE(notify_stopping().value_or(false));
  EXPECT_EQ(received(), "STOPPING=1");
}

TEST_F(NotifyTest, SpeaksTheProtocolOverAnAbstractName) {
  listen_at("@pawl-notify-test-" + std::to_string(::getpid()));
  EXPECT_TRUE(notify_ready().value_or(false));
  EXPECT_EQ(received(), "READY=1");
}

TEST_F(NotifyTest, ReportsAManagerThatIsGone) {
  ::setenv("NOTIFY_SOCKET", (dir_ / "gone").c_str(), 1);
  const auto told = notify_ready();
  ASSERT_FALSE(told.has_value());
  EXPECT_EQ(told.error().code, ErrorCode::io);
  EXPECT_EQ(told.error().sys_errno, ENOENT);
}

TEST_F(NotifyTest, ReportsAnAddressItCannotUse) {
  for (const std::string& where : {std::string("vsock:2:1234"), "/" + std::string(200, 'x')}) {
    ::setenv("NOTIFY_SOCKET", where.c_str(), 1);
    const auto told = notify_ready();
    ASSERT_FALSE(told.has_value());
    EXPECT_EQ(told.error().code, ErrorCode::unsupported);
  }
}

}  // namespace
}  // namespace pawl::observe
