#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include <pawl/control.h>

#include "temp_dir.h"

namespace pawl::observe {
namespace {

constexpr std::chrono::seconds kLong{60};  // longer than a busy machine lets one wait

class NotingSteering final : public Steering {
 public:
  void pause() override { asked += "pause "; }
  void resume() override { asked += "resume "; }
  void drain() override { asked += "drain "; }
  void stop() override { asked += "stop "; }
  Result<void> set(std::string_view key, std::string_view value) override {
    if (key != "rate") return failure(ErrorCode::usage, std::string(key) + ": expected\nrate");
    asked.append(key).append("=").append(value).append(" ");
    return {};
  }
  std::string asked;  // written by the socket's thread before it answers
};

TEST(ControlSocket, SteersAndSaysWhatIsWrong) {
  const test::TempDir dir;
  NotingSteering steering;
  {
    const auto socket = ControlSocket::open(dir.path(), steering);
    ASSERT_TRUE(socket.has_value()) << socket.error().context;
    struct stat found{};
    ASSERT_EQ(::lstat((dir / "control.sock").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777u, 0600u);
    for (const char* request : {"pause", "resume", "drain", "set rate=5/s,2", "stop"}) {
      const auto done = ask_control(dir.path(), request, kLong);
      EXPECT_TRUE(done.has_value()) << request << ": " << done.error().context;
    }
    const auto unknown = ask_control(dir.path(), "set colour=red", kLong);
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().code, ErrorCode::usage);
    EXPECT_EQ(unknown.error().context, "colour: expected rate");
    for (const char* request : {"set", "pause now", "halt", "two\nlines"}) {
      const auto done = ask_control(dir.path(), request, kLong);
      ASSERT_FALSE(done.has_value()) << request;
      EXPECT_EQ(done.error().code, ErrorCode::usage) << request;
    }
  }
  EXPECT_EQ(steering.asked, "pause resume drain rate=5/s,2 stop ");
  const auto gone = ask_control(dir.path(), "pause", kLong);
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().sys_errno, ENOENT);
}

TEST(ControlSocket, RefusesAnotherUserEvenIfTheModeLetsHimIn) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to be another user";
  const test::TempDir dir;
  NotingSteering steering;
  const auto socket = ControlSocket::open(dir.path(), steering);
  ASSERT_TRUE(socket.has_value()) << socket.error().context;
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  Result<void> closed, open;
  // The bare system call is for the calling thread alone.
  std::thread([&] {
    constexpr long kNobody = 65534;
    ASSERT_EQ(::syscall(SYS_setresuid, kNobody, kNobody, kNobody), 0);
    closed = ask_control(dir.path(), "stop", kLong);
  }).join();
  ASSERT_EQ(::chmod((dir / "control.sock").c_str(), 0666), 0);
  std::thread([&] {
    constexpr long kNobody = 65534;
    ASSERT_EQ(::syscall(SYS_setresuid, kNobody, kNobody, kNobody), 0);
    open = ask_control(dir.path(), "stop", kLong);
  }).join();
  ASSERT_FALSE(closed.has_value());
  EXPECT_EQ(closed.error().sys_errno, EACCES);  // the mode
  ASSERT_FALSE(open.has_value());
  EXPECT_EQ(open.error().sys_errno, EACCES);
  EXPECT_EQ(open.error().context, "the run belongs to another user");
  EXPECT_TRUE(ask_control(dir.path(), "pause", kLong).has_value()) << "goes on for its own user";
  EXPECT_EQ(steering.asked, "pause ");
}

}  // namespace
}  // namespace pawl::observe
