// The call stage under the contract of every stage.
#include "harness.h"
#include "stage_contract.h"

namespace pawl::http {
namespace {

test::StageSetup against(ScriptedServer::Script script) {
  auto server = std::make_shared<ScriptedServer>(std::move(script));
  auto made = make_call_stage(quick());
  if (!made) return {};
  const std::string url = server->url();
  return {server, std::move(*made), [url](Task& task, std::size_t) {
            task.request.method = "POST";
            task.request.url = url;
          }};
}

test::StageSetup make_answered() {
  return against(ScriptedServer::answering([](const SeenRequest& request) { return response(200, request.body); }));
}

test::StageSetup make_stuck() {
  return against([](Connection& connection) { connection.hang(); });
}

}  // namespace
}  // namespace pawl::http

namespace pawl::test {
INSTANTIATE_TEST_SUITE_P(
    Http, StageContract,
    testing::Values(StageCase{
        .name = "http", .duty = StageDuty::call, .make = http::make_answered, .make_stuck = http::make_stuck}),
    stage_case_name);
}  // namespace pawl::test
