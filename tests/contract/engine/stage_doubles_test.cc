// The doubles that stand in for stages in the engine's tests keep the contract of a stage.
#include "stage_doubles.h"
#include "stage_contract.h"

namespace pawl::test {
namespace {

template <class Double>
std::function<StageSetup()> maker(typename Double::Options options) {
  return [options] {
    return StageSetup{.surroundings = nullptr,
                      .stage = std::make_unique<Double>(options),
                      .prepare = [](Task& task, std::size_t) { PlainEncoder{}.encode(task); }};
  };
}

INSTANTIATE_TEST_SUITE_P(
    Doubles, StageContract,
    testing::Values(
        StageCase{.name = "save", .duty = StageDuty::save, .make = maker<MemorySave>({})},
        StageCase{.name = "save_on_caller", .duty = StageDuty::save, .make = maker<MemorySave>({.on_caller = true})},
        StageCase{.name = "call",
                  .duty = StageDuty::call,
                  .make = maker<DelayedCall>({}),
                  .make_stuck = maker<DelayedCall>({.answer = [](const Task&) { return Answer::never; }})},
        StageCase{.name = "call_one_at_a_time", .duty = StageDuty::call, .make = maker<DelayedCall>({.window = 1})},
        StageCase{.name = "call_on_foreign_threads",
                  .duty = StageDuty::call,
                  .make = maker<DelayedCall>({.window = 300, .foreign_thread = true})},
        StageCase{.name = "commit", .duty = StageDuty::commit, .make = maker<MemoryCommit>({})},
        StageCase{
            .name = "commit_on_caller", .duty = StageDuty::commit, .make = maker<MemoryCommit>({.on_caller = true})}),
    stage_case_name);

// A double that a test configures to fail must fail in the way it says.
TEST(MemorySave, FailsFromTheGivenTaskOn) {
  CollectingSink sink;
  MemorySave save({.fail_from = 2});
  save.attach(sink);
  std::vector<Task> tasks(4);
  std::vector<Task*> pointers;
  for (Task& task : tasks) pointers.push_back(&task);
  save.take(pointers);
  ASSERT_TRUE(sink.wait_for(4, std::chrono::minutes(1)));
  save.stop();
  EXPECT_TRUE(tasks[0].saved && tasks[1].saved);
  for (const Task* task : {&tasks[2], &tasks[3]}) {
    EXPECT_FALSE(task->saved);
    ASSERT_EQ(task->fate, Fate::unfinished);
    EXPECT_EQ(task->error->code, ErrorCode::io);
  }
}

}  // namespace
}  // namespace pawl::test
