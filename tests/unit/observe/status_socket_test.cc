#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <pawl/observe.h>

#include "socket_path.h"
#include "temp_dir.h"

namespace pawl::observe {
namespace {

namespace fs = std::filesystem;

// Longer than a busy machine lets a reader wait; the default is for people.
constexpr std::chrono::seconds kPatience{60};

RunView view_with_retried(std::uint64_t retried) {
  RunView view;
  view.retried = retried;
  return view;
}

TEST(StatusSocket, AnswersEachReaderWithTheStateOfNow) {
  const test::TempDir dir;
  std::atomic<std::uint64_t> retried{1};
  const auto socket = StatusSocket::open(dir.path(), [&] { return view_with_retried(retried.load()); });
  ASSERT_TRUE(socket.has_value()) << socket.error().context;
  EXPECT_EQ(read_status(dir.path(), kPatience).value_or(""), to_json(view_with_retried(1)));
  retried = 2;
  EXPECT_EQ(read_status(dir.path(), kPatience).value_or(""), to_json(view_with_retried(2)));
}

TEST(StatusSocket, IsForItsOwnerOnlyAndGoesWithTheRun) {
  const test::TempDir dir;
  {
    const auto socket = StatusSocket::open(dir.path(), [] { return RunView{}; });
    ASSERT_TRUE(socket.has_value());
    struct stat found{};
    ASSERT_EQ(::lstat((dir / "status.sock").c_str(), &found), 0);
    EXPECT_TRUE(S_ISSOCK(found.st_mode));
    EXPECT_EQ(found.st_mode & 0777u, 0600u);
  }
  EXPECT_FALSE(fs::exists(fs::symlink_status(dir / "status.sock")));
  const auto status = read_status(dir.path(), kPatience);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().sys_errno, ENOENT);
}

TEST(StatusSocket, ReplacesWhatADeadRunLeft) {
  const test::TempDir dir;
  {
    const auto address = address_in(dir.path(), "status.sock");
    ASSERT_TRUE(address.has_value());
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::bind(dead.get(), address->get(), address->length), 0);
  }
  const auto before = read_status(dir.path(), kPatience);
  ASSERT_FALSE(before.has_value());
  EXPECT_EQ(before.error().sys_errno, ECONNREFUSED);
  const auto socket = StatusSocket::open(dir.path(), [] { return RunView{}; });
  ASSERT_TRUE(socket.has_value()) << socket.error().context;
  EXPECT_TRUE(read_status(dir.path(), kPatience).has_value());
}

TEST(StatusSocket, LeavesALiveRunAlone) {
  const test::TempDir dir;
  const auto first = StatusSocket::open(dir.path(), [] { return view_with_retried(1); });
  ASSERT_TRUE(first.has_value());
  const auto second = StatusSocket::open(dir.path(), [] { return view_with_retried(2); });
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::locked);
  EXPECT_EQ(read_status(dir.path(), kPatience).value_or(""), to_json(view_with_retried(1)));
}

TEST(StatusSocket, NeverRemovesAFileThatIsNoSocket) {
  const test::TempDir dir;
  std::ofstream(dir / "status.sock") << "precious";
  const auto socket = StatusSocket::open(dir.path(), [] { return RunView{}; });
  ASSERT_FALSE(socket.has_value());
  EXPECT_EQ(socket.error().code, ErrorCode::io);
  EXPECT_EQ(fs::file_size(dir / "status.sock"), 8u);
}

TEST(StatusSocket, ReportsAFolderThatIsMissing) {
  const test::TempDir dir;
  const auto socket = StatusSocket::open(dir / "missing", [] { return RunView{}; });
  ASSERT_FALSE(socket.has_value());
  EXPECT_EQ(socket.error().code, ErrorCode::io);
  EXPECT_EQ(socket.error().sys_errno, ENOENT);
  EXPECT_FALSE(read_status(dir / "missing").has_value());
}

TEST(StatusSocket, WorksInFoldersLongerThanASocketAddress) {
  const test::TempDir dir;
  const fs::path deep = dir / std::string(100, 'a') / std::string(100, 'b');
  fs::create_directories(deep);
  {
    const auto socket = StatusSocket::open(deep, [] { return view_with_retried(3); });
    ASSERT_TRUE(socket.has_value()) << socket.error().context;
    EXPECT_TRUE(fs::is_socket(deep / "status.sock"));
    EXPECT_EQ(read_status(deep, kPatience).value_or(""), to_json(view_with_retried(3)));
  }
  EXPECT_FALSE(fs::exists(deep / "status.sock"));
}

TEST(StatusSocket, ServesManyReadersAtOnce) {
  constexpr int kReaders = 8;
  constexpr int kReads = 50;
  const test::TempDir dir;
  std::atomic<std::uint64_t> samples{0};
  const auto socket = StatusSocket::open(dir.path(), [&] { return view_with_retried(samples.fetch_add(1) * 0); });
  ASSERT_TRUE(socket.has_value());
  const std::string expected = to_json(RunView{});
  std::atomic<int> good{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([&] {
      for (int read = 0; read < kReads; ++read)
        good += read_status(dir.path(), kPatience).value_or("") == expected ? 1 : 0;
    });
  }
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(good, kReaders * kReads);
  EXPECT_GE(samples, static_cast<std::uint64_t>(kReaders * kReads));
}

TEST(StatusSocket, SurvivesReadersThatLeaveWithoutReading) {
  const test::TempDir dir;
  const auto socket = StatusSocket::open(dir.path(), [] { return RunView{}; });
  ASSERT_TRUE(socket.has_value());
  const auto address = address_in(dir.path(), "status.sock");
  ASSERT_TRUE(address.has_value());
  for (int i = 0; i < 20; ++i) {
    const UniqueFd rude(::socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(::connect(rude.get(), address->get(), address->length), 0);
  }
  EXPECT_TRUE(read_status(dir.path(), kPatience).has_value());
}

TEST(ReadStatus, GivesUpOnAServerThatSaysNothing) {
  const test::TempDir dir;
  const auto address = address_in(dir.path(), "status.sock");
  ASSERT_TRUE(address.has_value());
  const UniqueFd mute(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(mute.get(), address->get(), address->length), 0);
  ASSERT_EQ(::listen(mute.get(), 1), 0);
  const auto status = read_status(dir.path(), std::chrono::milliseconds{50});
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::io);
  EXPECT_TRUE(status.error().sys_errno == EAGAIN || status.error().sys_errno == EWOULDBLOCK);
}

}  // namespace
}  // namespace pawl::observe
