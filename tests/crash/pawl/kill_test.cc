// A kill of the tool with the API server in this process; pawl_crash has the many kills.
#include "../../integration/pawl/tool.h"

namespace pawl::test {
namespace {

using PawlKill = PawlTool;

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
