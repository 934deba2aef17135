// SIGKILL at random instants, then resume: every key committed once, order kept, no journal left.
#include "../../integration/pawl/tool.h"

namespace pawl::test {
namespace {

using PawlKill = PawlTool;

TEST_F(PawlKill, LosesNothingAndCommitsNothingTwice) {
  const std::uint64_t seed = seed_of_test();
  std::mt19937_64 random(seed);
  const char* kills_text = std::getenv("PAWL_KILLS");
  const unsigned rounds = kills_text != nullptr ? static_cast<unsigned>(std::atoi(kills_text)) / 3 : 4;
  std::uint64_t kills = 0, calls = 0, tasks = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    SCOPED_TRACE(fmt::format("round {} of seed {}", round, seed));
    std::filesystem::remove_all(repo());
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse("lognormal:30ms,1.0");
    options.error_rate = 0.05;
    options.error_codes = {500};
    options.drop_rate = 0.02;
    options.seed = random();
    server_ = serve(options);
    Asked asked;
    const unsigned count = 1500;
    const std::string file = input("in.jsonl", batch_lines(count, 7, random(), asked));
    for (unsigned attempt = 0; attempt < 3; ++attempt) {
      // Kill after a random number of answers rather than at a random time, so that a slow machine is hit as well.
      const std::uint64_t so_far = server_->stats().answered;
      const std::uint64_t until = so_far + random() % (count / 3);
      Process run(
          run_words(file, {"--parallel-max", "40", "--retry", "20", "--commit-every", "30ms", "--commit-tasks", "20"}));
      const bool reached = eventually([&] { return server_->stats().answered >= until || run.ended(); });
      ASSERT_TRUE(reached) << run.err();
      run.signal(SIGKILL);
      const int end = run.wait();  // 0: there was too little left to do, it came to its end
      ASSERT_TRUE(end == -SIGKILL || end == 0) << end << run.err();
      kills += end == -SIGKILL;
      if (std::filesystem::exists(repo() / ".git" / "refs" / "heads"))
        git(repo(), {"fsck", "--strict", "--no-dangling", "--no-progress"});
      if (random() % 2 == 0 && std::filesystem::exists(repo() / ".git" / "pawl")) {
        Process resume(pawl({"resume", repo().string(), "--retry-delay", "10ms"}));
        const int code = resume.wait();
        ASSERT_EQ(code, 0) << resume.err();
      }
    }
    Process last(run_words(file, {"--retry", "20"}));
    ASSERT_EQ(last.wait(), 0) << last.err();
    expect_exactly_once_in_order(repo(), asked);
    expect_sound(repo());
    EXPECT_TRUE(!std::filesystem::exists(journal()) || std::filesystem::is_empty(journal()));
    calls += server_->stats().calls;
    tasks += count;
  }
  fmt::print("{} kills, {} tasks, {} calls\n", kills, tasks, calls);
}

TEST_F(PawlKill, CommittedFailuresStayFailuresForALaterRetry) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("20ms");
  options.error_rate = 1;
  options.error_codes = {400};
  server_ = serve(options);
  constexpr unsigned kTasks = 600;  // twelve seconds' worth: the kill comes long before the end on a busy machine too
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(kTasks, 3, 5, asked));
  Process run(run_words(file, {"--parallel-max", "1", "--commit-every", "20ms", "--commit-tasks", "10"}));
  ASSERT_TRUE(eventually([&] { return server_->stats().answered >= 50; })) << run.err();
  run.signal(SIGKILL);
  ASSERT_EQ(run.wait(), -SIGKILL);
  Process resume(pawl({"resume", repo().string(), "--parallel-max", "100"}));
  ASSERT_EQ(resume.wait(), 1) << resume.err();
  const std::uint64_t before = server_->stats().calls;
  Process retry(run_words(file, {"--retry-failed"}));
  ASSERT_EQ(retry.wait(), 1) << retry.err();
  EXPECT_EQ(server_->stats().calls - before, kTasks) << "each recorded failure is called again";
  expect_sound(repo());
}

}  // namespace
}  // namespace pawl::test
