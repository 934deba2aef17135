// `pawl top` and `pawl shell` on a real terminal: what a person sees, types and gets back.
#include <sys/stat.h>

#include "terminal_process.h"
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PawlTerminal : public PawlTool {
 protected:
  std::unique_ptr<mockapi::Server> serve_in(const std::string& latency) {
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse(latency);
    return serve(options);
  }
  /// A run that goes on until it is told to stop.
  std::unique_ptr<Process> long_run() {
    server_ = serve_in("200ms");
    Asked asked;
    const std::string file = input("in.jsonl", batch_lines(20'000, 5, 3, asked));
    auto run = std::make_unique<Process>(run_words(file, {"--parallel-max", "4", "--budget-calls", "100000"}));
    EXPECT_TRUE(eventually([&] { return server_->stats().answered > 0; })) << run->err();
    return run;
  }
  std::vector<std::string> shell_words(std::vector<std::string> more = {}) {
    std::vector<std::string> words =
        pawl({"shell", "--repo", repo().string(), "--url", server_->base_url() + "/echo", "--commit-every", "20ms"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  /// A shell whose history is in the test's folder.
  std::vector<std::string> state() const { return {"XDG_STATE_HOME=" + (folder_ / "state").string()}; }
  std::filesystem::path history() const { return folder_ / "state" / "pawl" / "history"; }
};

TEST_F(PawlTerminal, TopFollowsTheSizeAndGivesTheTerminalBack) {
  const auto run = long_run();
  TerminalProcess top(pawl({"top", repo().string()}), {});
  // All in one: what is read may be half of what is being drawn.
  ASSERT_TRUE(top.until([&](const TerminalScreen& screen) {
    const std::string text = screen.text();
    const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
    const auto measured = [&](std::string_view stage) {
      for (std::size_t row = 0; row < 24; ++row)
        if (screen.line(row).starts_with(stage)) return screen.line(row).find(" -") == std::string::npos;
      return false;
    };
    return screen.alternate() && screen.line(0).starts_with("pawl " + repo().string().substr(0, 8)) && has("STAGE") &&
           has("LANE") && has("of 100,000") && measured("save ") && measured("call ") && measured("commit ") &&
           has(server_->base_url()) && screen.line(23).starts_with("q leaves");
  })) << top.screen().text();
  EXPECT_FALSE(top.screen().cursor_shown());

  const auto began = std::chrono::steady_clock::now();
  const auto cleared = top.screen().times_cleared();
  const std::vector<std::pair<std::size_t, std::size_t>> sizes = {{40, 8}, {132, 50}, {20, 5}, {80, 24}};
  for (const auto& [columns, rows] : sizes) {
    top.resize(columns, rows);
    ASSERT_TRUE(top.until([last = rows - 1](const TerminalScreen& screen) {
      return screen.line(0).starts_with("pawl") && screen.line(last).starts_with("q leaves");
    })) << columns
        << " x " << rows << "\n"
        << top.screen().text();
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  EXPECT_LE(static_cast<double>(top.screen().times_cleared() - cleared), took * 10 + 2) << "redraws a second";

  top.type("q");
  EXPECT_EQ(top.wait(), 0);
  EXPECT_FALSE(top.screen().alternate());
  EXPECT_TRUE(top.screen().cursor_shown());
  EXPECT_TRUE(top.restored());
  EXPECT_EQ(top.screen().line(0), "") << "what was on the terminal is there again";
  EXPECT_EQ(top.screen().unknown(), "");
  EXPECT_FALSE(run->ended());

  TerminalProcess terminated(pawl({"top", repo().string()}), {"NO_COLOR=1"});
  ASSERT_TRUE(terminated.shows("STAGE"));
  terminated.signal(SIGTERM);
  EXPECT_EQ(terminated.wait(), -SIGTERM);
  EXPECT_FALSE(terminated.screen().alternate());
  EXPECT_TRUE(terminated.restored());

  TerminalProcess till_the_end(pawl({"top", repo().string()}), {});
  ASSERT_TRUE(till_the_end.shows("STAGE"));
  Process plain(pawl({"top", repo().string()}));  // no terminal
  ASSERT_TRUE(eventually([&] { return !plain.out().empty(); }));
  run->signal(SIGINT);
  EXPECT_EQ(till_the_end.wait(), 0);
  EXPECT_FALSE(till_the_end.screen().alternate());
  EXPECT_THAT(till_the_end.screen().text(), HasSubstr("the run has ended"));
  EXPECT_EQ(plain.wait(), 0);
  EXPECT_THAT(plain.out(), Not(HasSubstr("\x1b[")));
  EXPECT_THAT(plain.out(), HasSubstr("the run has ended"));
  EXPECT_EQ(run->wait(), 7);
}

TEST_F(PawlTerminal, ShellAnnouncesAboveThePromptAndKeepsWhatIsTyped) {
  server_ = serve_in("3s");
  TerminalProcess shell(shell_words(), state());
  ASSERT_TRUE(shell.shows("pawl 1>")) << shell.screen().text();
  shell.type("hello\r");
  ASSERT_TRUE(shell.shows("pawl 2 (1 calling)>")) << shell.screen().text();
  shell.type("half a line");
  ASSERT_TRUE(shell.until([](const TerminalScreen& screen) {
    return screen.text().find("[1] 200 in ") != std::string::npos && screen.before_cursor() == "pawl 2> half a line";
  })) << shell.screen().text();

  shell.type("\x03");  // Ctrl-C
  ASSERT_TRUE(shell.until([](const TerminalScreen& screen) { return screen.before_cursor() == "pawl 2> "; }))
      << shell.screen().text();
  shell.type("/status\r");
  ASSERT_TRUE(shell.shows("running for")) << shell.screen().text();
  shell.type("/nonsense\r");
  ASSERT_TRUE(shell.shows("no such command: /nonsense")) << shell.screen().text();
  shell.type("\x1b[A\x1b[A\x1b[A");  // arrow up: /nonsense, /status, hello
  ASSERT_TRUE(shell.until([](const TerminalScreen& screen) { return screen.before_cursor() == "pawl 2> hello"; }))
      << shell.screen().text();
  shell.type(" again\r");
  ASSERT_TRUE(shell.shows("[2] 200 in ")) << shell.screen().text();
  shell.type("/quit\r");
  EXPECT_EQ(shell.wait(), 0) << shell.screen().text();
  EXPECT_TRUE(shell.restored());
  EXPECT_THAT(shell.screen().text(), HasSubstr("committed 2"));

  struct stat info{};
  ASSERT_EQ(::stat(history().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_THAT(read_file(history()), HasSubstr("hello"));
  EXPECT_EQ(server_->stats().answered, 2u);
  EXPECT_THAT(git(repo(), {"log", "--format=%s"}), HasSubstr("200 in"));
  expect_sound(repo());
}

TEST_F(PawlTerminal, ShellSaysWhatIsLeftAndTheSecondQuitStops) {
  server_ = serve_in("600s");
  TerminalProcess shell(shell_words(), state());
  ASSERT_TRUE(shell.shows("pawl 1>"));
  shell.type("one\r");
  ASSERT_TRUE(shell.shows("pawl 2 (1 calling)>")) << shell.screen().text();
  shell.type("/pause\r");
  ASSERT_TRUE(shell.shows("paused: no new call leaves")) << shell.screen().text();
  shell.type("two\r");
  ASSERT_TRUE(shell.shows("pawl 3 (paused, 1 calling, 1 waiting)>")) << shell.screen().text();
  shell.type("\x03");
  ASSERT_TRUE(shell.shows("Ctrl-C again, or /quit, leaves")) << shell.screen().text();
  shell.type("\x04");  // Ctrl-D
  ASSERT_TRUE(shell.shows("2 tasks left (1 calling, 1 waiting)")) << shell.screen().text();
  shell.type("three\r");
  ASSERT_TRUE(shell.shows("not taken")) << shell.screen().text();
  shell.type("/quit\r");
  EXPECT_EQ(shell.wait(), 7) << shell.screen().text();
  EXPECT_TRUE(shell.restored());
  EXPECT_THAT(shell.screen().text(), HasSubstr("pawl resume"));
}

TEST_F(PawlTerminal, ShellWithoutATerminalTakesTheSameLines) {
  server_ = serve_in("5ms");
  Process::Options options;
  options.pipe_input = true;
  Process shell(shell_words(), options);
  shell.write_input("one\n\n//two\n/streams\n/set\nlast without its end");
  shell.close_input();
  EXPECT_EQ(shell.wait(), 0) << shell.err();
  EXPECT_THAT(shell.err(), HasSubstr("[1] 200 in "));
  EXPECT_THAT(shell.err(), HasSubstr("/two"));
  EXPECT_THAT(shell.err(), Not(HasSubstr("//two")));
  EXPECT_THAT(shell.err(), HasSubstr("[3] 200 in "));
  EXPECT_THAT(shell.err(), HasSubstr("usage: /set KEY=VALUE"));
  EXPECT_EQ(shell.out(), "");
  EXPECT_EQ(server_->stats().answered, 3u);
}

}  // namespace
}  // namespace pawl::test
