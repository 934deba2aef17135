#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include <pawl/log.h>

#include "temp_dir.h"

namespace pawl::observe {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

class LogTest : public ::testing::Test {
 protected:
  std::unique_ptr<Log> open(LogOptions options) const {
    if (options.fd == 2) options.file = path();
    auto log = Log::open(options);
    EXPECT_TRUE(log.has_value()) << (log ? "" : log.error().context);
    return log ? std::move(*log) : nullptr;
  }
  [[nodiscard]] std::string path() const { return (folder_ / "log").string(); }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::ifstream in(path());
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  test::TempDir folder_;
};

TEST_F(LogTest, WritesOneLineAnEventWithTimeLevelAndFields) {
  auto log = open({});
  log->write(
      LogLevel::warn, "task_failed", "timeout: too\nlate",
      {{"stream", std::string_view("a b\"c")}, {"id", std::string_view("x\x1b[2J")}, {"attempts", std::uint64_t{3}}});
  log->write(LogLevel::debug, "published", "below the level");
  log->stop();
  EXPECT_THAT(lines(), ElementsAre(AllOf(
                           MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z warn  .*"),
                           HasSubstr(R"(task_failed timeout: too late stream="a b\"c" id=)"), HasSubstr(" attempts=3"),
                           Not(HasSubstr("\x1b")))));
  log->write(LogLevel::error, "late", "after stop() nothing is written");
  EXPECT_EQ(log->stats().written, 1u);
}

TEST_F(LogTest, WritesJsonThatIsValidWhateverStrangersSend) {
  LogOptions options;
  options.format = LogFormat::json;
  auto log = open(options);
  log->write(LogLevel::info, "retry", "say \"no\"\n\xff", {{"p50_ms", 1.5}, {"id", std::string_view("\xc3\xa9")}});
  log->stop();
  EXPECT_THAT(lines(), ElementsAre(AllOf(HasSubstr(R"("level":"info","event":"retry","message":"say \"no\"\n\ufffd")"),
                                         HasSubstr("\"p50_ms\":1.5,\"id\":\"\xc3\xa9\"}"))));
}

TEST_F(LogTest, HidesSecretsBeforeItCutsOrEscapesThem) {
  const std::string secret = "key\"with\\quotes";
  for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
    LogOptions options;
    options.format = format;
    options.mask = [&](std::string& text) {
      for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret))
        text.replace(at, secret.size(), "[secret]");
    };
    auto log = open(options);
    // Where a value is cut (512 bytes), half a secret must not stay.
    log->write(LogLevel::info, "message", "it said " + secret,
               {{"id", std::string_view(std::string(505, 'x') + secret)}, {"stream", std::string_view(secret)}});
  }
  for (const std::string& line : lines())
    EXPECT_THAT(line, AllOf(HasSubstr("it said [secret]"), Not(HasSubstr("key")), HasSubstr("..."))) << line;
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(LogTest, SumsUpWhatComesTooOftenAndLosesNoCount) {
  constexpr unsigned kEvents = 1000;
  auto log = open({});
  for (unsigned i = 0; i < kEvents; ++i) log->write(LogLevel::info, "retry", "once more");
  log->write(LogLevel::info, "lane_paused", "another kind has its own share");
  log->stop();
  const std::regex more(".* info  retry ([0-9]+) more like this more=([0-9]+)");
  std::uint64_t single = 0, summed = 0, sums = 0, others = 0;
  for (const std::string& line : lines()) {
    std::smatch match;
    if (std::regex_match(line, match, more)) {
      ++sums;
      summed += std::stoull(match[2]);
    } else {
      ++(line.find("lane_paused") != std::string::npos ? others : single);
    }
  }
  EXPECT_EQ(others, 1u);
  EXPECT_EQ(single + summed, kEvents);
  EXPECT_GE(sums, 1u);
  EXPECT_LE(single, 10 * (sums + 1)) << "at most ten a second";
  EXPECT_EQ(log->stats().summed_up, summed);
}

TEST_F(LogTest, NeverWaitsForAReaderAndSaysWhatItDropped) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  LogOptions options;
  options.fd = pipe[1];
  options.lines_per_second = 1'000'000;
  options.queued_bytes_max = 64 << 10;
  auto log = open(options);
  const std::string text(1000, 'x');
  constexpr unsigned kEvents = 1000;  // a pipe takes 64 KiB, the queue as much
  for (unsigned i = 0; i < kEvents; ++i) log->write(LogLevel::info, "message", text);
  EXPECT_GT(log->stats().dropped, 0u);
  std::string got;
  std::array<char, 4096> piece;
  while (got.find("log_dropped") == std::string::npos || got.back() != '\n') {
    const ssize_t size = ::read(pipe[0], piece.data(), piece.size());
    ASSERT_GT(size, 0);
    got.append(piece.data(), static_cast<std::size_t>(size));
    log->write(LogLevel::info, "message", "still there");  // what was dropped is said with the next line
  }
  EXPECT_THAT(got, HasSubstr(" lines dropped"));
  for (unsigned i = 0; i < kEvents; ++i) log->write(LogLevel::info, "message", text);
  log->stop();  // returns although nobody reads
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(LogTest, ChangesItsLevelWhileItIsWrittenTo) {
  auto log = open({});
  EXPECT_FALSE(log->wants(LogLevel::debug));
  log->set_level(*parse_log_level("debug"));
  log->write(LogLevel::debug, "published", "seen");
  log->set_level(LogLevel::error);
  log->write(LogLevel::warn, "message", "not seen");
  log->stop();
  EXPECT_THAT(lines(), ElementsAre(HasSubstr("debug published seen")));
  EXPECT_FALSE(parse_log_level("loud").has_value());
}

TEST_F(LogTest, NamesAFileThatCannotBeWritten) {
  LogOptions options;
  options.file = (folder_ / "no" / "log").string();
  const auto log = Log::open(options);
  ASSERT_FALSE(log.has_value());
  EXPECT_EQ(log.error().code, ErrorCode::io);
  EXPECT_THAT(log.error().context, HasSubstr(options.file));
}

}  // namespace
}  // namespace pawl::observe
