// The call stage under the contract of every stage.
#include "harness.h"
#include "stage_contract.h"

namespace pawl::http {
namespace {

test::StageSetup against(ScriptedServer::Script script, unsigned threads = 1) {
  auto server = std::make_shared<ScriptedServer>(std::move(script));
  Options options = quick();
  options.call_threads = threads;
  auto made = make_call_stage(options);
  if (!made) return {};
  const std::string url = server->url();
  return {server, std::move(*made), [url](Task& task, std::size_t i) {
            task.request.task_id.ordinal = i;
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

test::StageSetup make_dealt() {
  return against(ScriptedServer::answering([](const SeenRequest& request) { return response(200, request.body); }), 3);
}

test::StageSetup make_dealt_stuck() {
  return against([](Connection& connection) { connection.hang(); }, 3);
}

}  // namespace
}  // namespace pawl::http

namespace pawl::test {
INSTANTIATE_TEST_SUITE_P(Http, StageContract,
                         testing::Values(StageCase{.name = "http",
                                                   .duty = StageDuty::call,
                                                   .make = http::make_answered,
                                                   .make_stuck = http::make_stuck},
                                         StageCase{.name = "http_threads",
                                                   .duty = StageDuty::call,
                                                   .make = http::make_dealt,
                                                   .make_stuck = http::make_dealt_stuck}),
                         stage_case_name);
}  // namespace pawl::test
