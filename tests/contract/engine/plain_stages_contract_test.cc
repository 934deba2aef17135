// The stages made from functions keep the contract of a stage.
#include <future>

#include <pawl/plain_stages.h>

#include "stage_contract.h"

namespace pawl::test {
namespace {

template <class Make>
std::function<StageSetup()> maker(Make make) {
  return [make] { return StageSetup{.surroundings = nullptr, .stage = make()}; };
}

void answer(const Request& request, Outcome& outcome) { outcome.body = request.id; }

void wait_until_stopped(const Request&, Outcome&, const std::stop_token& stop) {
  std::promise<void> stopped;
  const std::stop_callback told(stop, [&] { stopped.set_value(); });
  stopped.get_future().wait();
}

INSTANTIATE_TEST_SUITE_P(
    PlainStages, StageContract,
    testing::Values(
        StageCase{.name = "save_nothing", .duty = StageDuty::save, .make = maker([] { return save_nothing(); })},
        StageCase{
            .name = "call_with_one_thread", .duty = StageDuty::call, .make = maker([] { return call_with(answer); })},
        StageCase{.name = "call_with_eight_threads",
                  .duty = StageDuty::call,
                  .make = maker([] { return call_with(answer, {.threads = 8}); }),
                  .make_stuck = maker([] { return call_with(wait_until_stopped, {.threads = 8}); })},
        StageCase{.name = "commit_with_batches",
                  .duty = StageDuty::commit,
                  .make = maker([] { return commit_with([](std::span<Task* const>) {}); })},
        StageCase{.name = "commit_with_one_by_one", .duty = StageDuty::commit, .make = maker([] {
                                                                                 return commit_with([](Task&) {});
                                                                               })}),
    stage_case_name);

}  // namespace
}  // namespace pawl::test
