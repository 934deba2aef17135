// Progress on a real pseudo terminal and on a real pipe.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "unique_fd.h"
#include "view_fixture.h"
#include "within.h"

namespace pawl::observe {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The other end of what Progress writes to.
class Reader {
 public:
  explicit Reader(int fd) : fd_(fd) {}

  // Reads until `wanted` has been seen `times` more often than before; false after a minute.
  bool sees(const std::string& wanted, int times = 1) {
    const auto deadline = steady_clock::now() + std::chrono::seconds{60};
    for (int seen = 0; seen < times;) {
      const auto at = text_.find(wanted, seen_up_to_);
      if (at != std::string::npos) {
        seen_up_to_ = at + wanted.size();
        ++seen;
      } else if (!read_more(deadline)) {
        return false;
      }
    }
    return true;
  }

  // Everything there is, without waiting for more.
  const std::string& drained() {
    while (read_more(steady_clock::now())) {
    }
    return text_;
  }

 private:
  bool read_more(steady_clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    pollfd polled{fd_, POLLIN, 0};
    if (::poll(&polled, 1, std::max(0, static_cast<int>(left.count()))) <= 0) return false;
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
    if (got <= 0) return false;
    text_.append(buffer.data(), static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  std::string text_;
  std::size_t seen_up_to_ = 0;
};

class TerminalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TERM", "xterm", 1);
    master_ = UniqueFd(::posix_openpt(O_RDWR | O_NOCTTY));
    ASSERT_TRUE(master_.valid());
    ASSERT_EQ(::grantpt(master_.get()), 0);
    ASSERT_EQ(::unlockpt(master_.get()), 0);
    slave_ = UniqueFd(::open(::ptsname(master_.get()), O_RDWR | O_NOCTTY));
    ASSERT_TRUE(slave_.valid());
    resize(120);
  }

  void resize(unsigned short columns) const {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = columns;
    ASSERT_EQ(::ioctl(master_.get(), TIOCSWINSZ, &size), 0);
  }

  ProgressOptions options() const {
    ProgressOptions options;
    options.fd = slave_.get();
    options.style = Style{.utf8 = true};
    options.redraw_every = milliseconds{10};
    return options;
  }

  UniqueFd master_;
  UniqueFd slave_;
};

TEST_F(TerminalTest, RedrawsOneLineAndClearsIt) {
  Progress progress(options(), busy_view);
  Reader screen(master_.get());
  progress.start();
  EXPECT_TRUE(screen.sees("waiting 812 · calling 256 · ordering 31 · committed 4,096", 3));
  progress.stop();
  const std::string& all = screen.drained();
  EXPECT_EQ(all.find('\n'), std::string::npos) << "a live line never scrolls";
  EXPECT_TRUE(all.ends_with("\r\x1b[J")) << "what is left is an empty line";
}

TEST_F(TerminalTest, FollowsTheWidthOfTheTerminal) {
  resize(31);
  Progress progress(options(), busy_view);
  Reader screen(master_.get());
  progress.start();
  EXPECT_TRUE(screen.sees("\rcommitted 4,096 · failed 2\x1b[K"));
  resize(120);
  EXPECT_TRUE(screen.sees("ordering 31"));
}

TEST_F(TerminalTest, ShowsANoteBelowAndClearsBothLines) {
  Progress progress(options(), [] {
    RunView view = busy_view();
    view.note = "host refuses connections, retrying";
    return view;
  });
  Reader screen(master_.get());
  progress.start();
  // The terminal makes CR LF of the LF.
  EXPECT_TRUE(screen.sees("\x1b[K\r\r\nhost refuses connections, retrying\x1b[K\x1b[J", 1));
  EXPECT_TRUE(screen.sees("\r\x1b[1A[█", 1)) << "the next frame starts at the upper line";
  progress.stop();
  EXPECT_TRUE(screen.drained().ends_with("\r\x1b[1A\x1b[J"));
}

TEST_F(TerminalTest, PutsMessagesAboveTheLine) {
  Progress progress(options(), busy_view);
  Reader screen(master_.get());
  progress.start();
  EXPECT_TRUE(screen.sees("ETA"));
  progress.message("press Ctrl-C again to stop now");
  EXPECT_TRUE(screen.sees("\r\x1b[Jpress Ctrl-C again to stop now\r\n"));
  EXPECT_TRUE(screen.sees("waiting 812"));
  progress.stop();
  progress.message("after the end");
  EXPECT_TRUE(screen.sees("after the end\r\n"));
}

TEST_F(TerminalTest, AStoppedTerminalDoesNotHoldTheEndUp) {
  Progress progress(options(), busy_view);
  Reader screen(master_.get());
  progress.start();
  EXPECT_TRUE(screen.sees("waiting"));
  ASSERT_EQ(::tcflow(slave_.get(), TCOOFF), 0);
  progress.message("nobody reads this");
  const auto begin = steady_clock::now();
  progress.stop();
  EXPECT_LT(steady_clock::now() - begin, test::within(std::chrono::seconds{1}));
  ::tcflow(slave_.get(), TCOON);
}

TEST_F(TerminalTest, QuietShowsMessagesOnly) {
  ProgressOptions quiet = options();
  quiet.mode = ProgressMode::quiet;
  Progress progress(quiet, [] {
    ADD_FAILURE() << "a quiet progress samples nothing";
    return busy_view();
  });
  Reader screen(master_.get());
  progress.start();
  progress.message("hello");
  progress.stop();
  EXPECT_EQ(screen.drained(), "hello\r\n");
}

TEST_F(TerminalTest, ADumbTerminalGetsPlainLines) {
  ::setenv("TERM", "dumb", 1);
  ProgressOptions plain = options();
  plain.plain_every = milliseconds{10};
  Progress progress(plain, busy_view);
  Reader screen(master_.get());
  progress.start();
  EXPECT_TRUE(screen.sees("ETA 0:0"));
  progress.stop();
  EXPECT_EQ(screen.drained().find('\x1b'), std::string::npos);
}

class PipeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    out_ = UniqueFd(ends[0]);
    in_ = UniqueFd(ends[1]);
  }

  ProgressOptions options(ProgressMode mode) const {
    ProgressOptions options;
    options.fd = in_.get();
    options.mode = mode;
    options.style = Style{};
    options.plain_every = milliseconds{10};
    options.json_every = milliseconds{10};
    return options;
  }

  UniqueFd out_;
  UniqueFd in_;
};

TEST_F(PipeTest, GetsPlainLinesWithoutEscapeSequences) {
  Progress progress(options(ProgressMode::automatic), busy_view);
  Reader log(out_.get());
  progress.start();
  EXPECT_TRUE(log.sees("pawl: 50%, waiting 812, calling 256, ordering 31, committed 4,096, failed 2, ", 2));
  progress.message("a message");
  EXPECT_TRUE(log.sees("\na message\n"));
  progress.stop();
  EXPECT_EQ(log.drained().find_first_of("\r\x1b"), std::string::npos);
}

TEST_F(PipeTest, JsonEndsWithTheLastState) {
  std::atomic<int> phase{0};
  Progress progress(options(ProgressMode::json), [&] {
    RunView view = busy_view();
    view.phase = phase.load() == 0 ? Phase::running : Phase::done;
    return view;
  });
  Reader log(out_.get());
  progress.start();
  EXPECT_TRUE(log.sees(R"("phase":"running")", 2));
  phase = 1;
  progress.stop();
  const std::string& all = log.drained();
  const auto last = all.rfind("\n{");
  ASSERT_NE(last, std::string::npos);
  EXPECT_TRUE(all.substr(last + 1).starts_with(R"({"version":1,"phase":"done",)"));
  EXPECT_TRUE(all.ends_with("}\n"));
}

TEST_F(PipeTest, LosesNoMessageOfManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kMessages = 25;
  Progress progress(options(ProgressMode::quiet), busy_view);
  progress.start();
  std::vector<std::thread> talkers;
  for (int thread = 0; thread < kThreads; ++thread) {
    talkers.emplace_back([&, thread] {
      for (int i = 0; i < kMessages; ++i) {
        progress.message("message " + std::to_string(thread) + "." + std::to_string(i) + ".");
      }
    });
  }
  for (auto& talker : talkers) talker.join();
  progress.stop();
  Reader log(out_.get());
  const std::string& all = log.drained();
  for (int thread = 0; thread < kThreads; ++thread) {
    for (int i = 0; i < kMessages; ++i) {
      EXPECT_NE(all.find("message " + std::to_string(thread) + "." + std::to_string(i) + ".\n"), std::string::npos);
    }
  }
}

TEST_F(PipeTest, StopsThoughNobodyReads) {
  ASSERT_EQ(::fcntl(in_.get(), F_SETPIPE_SZ, 4096), 4096);
  Progress progress(options(ProgressMode::quiet), busy_view);
  progress.start();
  for (int i = 0; i < 400; ++i) progress.message(std::string(100, 'x'));
  const auto begin = steady_clock::now();
  progress.stop();
  EXPECT_LT(steady_clock::now() - begin, test::within(std::chrono::seconds{1}));
}

TEST_F(PipeTest, StopWithoutStartIsHarmless) {
  Progress progress(options(ProgressMode::json), busy_view);
  progress.stop();
  progress.stop();
  Reader log(out_.get());
  EXPECT_EQ(log.drained(), "");
}

}  // namespace
}  // namespace pawl::observe
