// Budgets of calls and tokens, over real sockets.
#include <atomic>

#include "harness.h"

namespace pawl::http {
namespace {

struct Told {
  std::vector<Spent> spent;  // the stage's thread, until all tasks are back
  int unknown = 0;
};

Options with_budget(Told& told, std::uint64_t calls, std::uint64_t tokens) {
  Options options = quick();
  options.budget_calls = calls;
  options.budget_tokens = tokens;
  options.on_spent = [&](const Spent& spent) { told.spent.push_back(spent); };
  options.on_tokens_unknown = [&](const Task&) { ++told.unknown; };
  return options;
}

std::size_t answered(Caller& caller) {
  std::size_t count = 0;
  for (const auto& task : caller.tasks()) {
    count += task.fate == Fate::live && task.outcome.kind == Outcome::Kind::answered;
    if (task.fate == Fate::unfinished) {
      EXPECT_EQ(task.error->code, ErrorCode::cancelled);
    }
  }
  return count;
}

TEST(CallStageBudget, NotOneCallLeavesMoreThanTheBudgetAllows) {
  std::atomic<int> calls{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest&) {
    ++calls;
    return response(200, "x");
  }));
  Told told;
  Options options = with_budget(told, 37, 0);
  options.parallel_max = 16;
  Caller caller(options);
  for (int i = 0; i < 200; ++i) caller.task(server.url());
  caller.take_all();
  caller.wait();
  EXPECT_EQ(calls.load(), 37);
  EXPECT_EQ(answered(caller), 37u);
  ASSERT_EQ(told.spent.size(), 1u);
  EXPECT_EQ(told.spent[0].what, Spent::What::calls);
  EXPECT_EQ(told.spent[0].calls, 37u);
  EXPECT_EQ(caller.stage().stats().attempts_sent, 37u);
}

TEST(CallStageBudget, ABudgetThatIsJustEnoughIsNotSpent) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest&) { return response(200, "x"); }));
  Told told;
  Caller caller(with_budget(told, 20, 0));
  for (int i = 0; i < 20; ++i) caller.task(server.url());
  caller.take_all();
  caller.wait();
  EXPECT_EQ(answered(caller), 20u);
  EXPECT_TRUE(told.spent.empty());
}

TEST(CallStageBudget, RetriesCountAndALongBackOffIsNotWaitedFor) {
  std::atomic<int> calls{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest&) {
    ++calls;
    return response(503, "", calls == 5 ? "Retry-After: 300\r\n" : "");
  }));
  Told told;
  Options options = with_budget(told, 5, 0);
  options.retry_max = 100;
  Caller caller(options);
  caller.task(server.url());
  caller.take_all();
  caller.wait();
  EXPECT_EQ(calls.load(), 5);
  EXPECT_EQ(answered(caller), 0u);
  EXPECT_EQ(told.spent.size(), 1u);
}

TEST(CallStageBudget, WhatDoesNotLeaveIsGivenBackToTheBudget) {
  std::atomic<int> calls{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest&) {
    ++calls;
    return response(200, "x");
  }));
  const std::string refused = "http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port()) + "/";
  Told told;
  Options options = with_budget(told, 4, 0);
  options.retry_max = 3;
  Caller caller(options);
  for (int i = 0; i < 5; ++i) caller.task(refused);
  for (int i = 0; i < 6; ++i) caller.task(server.url());
  caller.take_all();
  caller.wait();
  EXPECT_EQ(calls.load(), 4) << "refused connections cost nothing";
  EXPECT_EQ(answered(caller), 4u);
}

TEST(CallStageBudget, TokensPassTheirBoundByWhatWasOnTheWireOnly) {
  std::atomic<int> calls{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    ++calls;
    return request.target == "/silent" ? response(200, "{}") : response(200, R"({"usage":{"total_tokens":100}})");
  }));
  Told told;
  Options options = with_budget(told, 0, 1000);
  options.parallel_max = 4;
  Caller caller(options);
  caller.task(server.url("/silent"));
  caller.task(server.url("/silent"));
  for (int i = 0; i < 100; ++i) caller.task(server.url());
  caller.take_all();
  caller.wait();
  EXPECT_GE(calls.load(), 12);
  EXPECT_LE(calls.load(), 12 + 3);
  EXPECT_EQ(answered(caller), static_cast<std::size_t>(calls.load()));
  EXPECT_EQ(caller.stage().stats().tokens, 100u * static_cast<unsigned>(calls.load() - 2));
  ASSERT_EQ(told.spent.size(), 1u);
  EXPECT_EQ(told.spent[0].what, Spent::What::tokens);
  EXPECT_EQ(told.unknown, 1) << "said once";
}

TEST(CallStageBudget, RefusesAPointerThatIsNone) {
  Options options = quick();
  options.budget_tokens_at = "usage.total_tokens";
  const auto valid = options.validate();
  ASSERT_FALSE(valid);
  EXPECT_EQ(valid.error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace pawl::http
