#include "harness.h"

namespace pawl::http {
namespace {

Options following() {
  Options options = quick();
  options.redirects = Redirects::follow;
  options.bearer = "token";
  options.headers = {"x-api-key: secret"};
  return options;
}

std::string moved(int status, const std::string& where) {
  return response(status, "moved", "Location: " + where + "\r\n");
}

std::string credentials_of(const SeenRequest& r) {
  return r.method + " " + r.target + " [" + r.body + "] auth=" + r.header("authorization") +
         " key=" + r.header("x-api-key") + " cookie=" + r.header("cookie");
}

TEST(CallStageRedirect, IsTheAnswerUnlessFollowed) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest&) { return moved(302, "/next"); }));
  Caller caller;
  expect_answer(caller.call(server.url()), 302, "moved");
}

TEST(CallStageRedirect, KeepsCredentialsWithinTheOrigin) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& request) {
    return request.target == "/" ? moved(307, "/next?x") : response(200, credentials_of(request));
  }));
  Caller caller(following());
  const Task& task = caller.call(server.url(), "POST", "b");
  expect_answer(task, 200, "POST /next?x [b] auth=Bearer token key=secret cookie=");
  EXPECT_EQ(task.outcome.attempts, 1u);
}

TEST(CallStageRedirect, TakesNoCredentialsToAnotherOrigin) {
  ScriptedServer other(
      ScriptedServer::answering([](const SeenRequest& r) { return response(200, credentials_of(r)); }));
  ScriptedServer server(
      ScriptedServer::answering([&](const SeenRequest&) { return moved(308, other.url("/elsewhere")); }));
  Caller caller(following());
  Task& task = caller.task(server.url(), "POST", "b");
  task.request.headers = {"Cookie: c"};
  caller.take(task);
  caller.wait();
  expect_answer(task, 200, "POST /elsewhere [b] auth= key= cookie=");
  // The next task on the same handle has them again.
  ScriptedServer plain(
      ScriptedServer::answering([](const SeenRequest& r) { return response(200, credentials_of(r)); }));
  expect_answer(caller.call(plain.url()), 200, "GET / [] auth=Bearer token key=secret cookie=");
}

TEST(CallStageRedirect, TurnsAPostIntoAGetWhereTheStatusSaysSo) {
  ScriptedServer server(ScriptedServer::answering([](const SeenRequest& request) {
    if (request.target == "/end") return response(200, request.method + request.body);
    return moved(std::stoi(request.target.substr(1)), "/end");
  }));
  Caller caller(following());
  expect_answer(caller.call(server.url("/301"), "POST", "b"), 200, "GET");
  expect_answer(caller.call(server.url("/302"), "POST", "b"), 200, "GET");
  expect_answer(caller.call(server.url("/303"), "PUT", "b"), 200, "GET");
  expect_answer(caller.call(server.url("/307"), "PUT", "b"), 200, "PUTb");
  expect_answer(caller.call(server.url("/end"), "POST", "b"), 200, "POSTb");
}

TEST(CallStageRedirect, EndsALoopAndRefusesOtherSchemes) {
  std::atomic<int> requests{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    ++requests;
    return request.target == "/file" ? moved(302, "file:///etc/passwd") : moved(302, "/again");
  }));
  Caller caller(following());
  expect_failure(caller.call(server.url()), "too_many_redirects", 1);
  EXPECT_EQ(requests.load(), 11);
  expect_failure(caller.call(server.url("/file")), "bad_redirect", 1);
}

TEST(CallStageRedirect, StartsOverAtEachAttempt) {
  std::atomic<int> failures{2};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    if (request.target == "/") return moved(302, "/end");
    return failures-- > 0 ? response(503, "") : response(200, "end");
  }));
  Caller caller(following());
  const Task& task = caller.call(server.url());
  expect_answer(task, 200, "end");
  EXPECT_EQ(task.outcome.attempts, 3u);
}

}  // namespace
}  // namespace pawl::http
