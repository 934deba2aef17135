// Streams whose calls must not overlap, over real sockets.
#include <map>
#include <set>

#include "harness.h"

namespace pawl::http {
namespace {

/// Watches the calls of each stream, which a request names in its target: "/STREAM/NUMBER".
class Watching {
 public:
  /// The first calls of `streams` different streams wait for each other. `status` chooses an answer's status by the
  /// target and the attempt, from 1.
  Watching(std::size_t streams, std::function<int(const std::string&, int)> status)
      : streams_(streams), status_(std::move(status)), server_([this](Connection& connection) {
          while (const auto request = connection.read_request())
            if (!connection.send(response(answer(request->target, connection), ""))) return;
        }) {}

  [[nodiscard]] std::string url(const std::string& target) const { return server_.url(target); }
  /// Targets in the order of their first attempts.
  [[nodiscard]] std::map<std::string, std::vector<std::string>> order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }
  [[nodiscard]] int attempts(const std::string& target) {
    const std::lock_guard lock(mutex_);
    return attempts_[target];
  }
  [[nodiscard]] bool overlapped_in_a_stream() {
    const std::lock_guard lock(mutex_);
    return overlapped_;
  }

 private:
  int answer(const std::string& target, Connection& connection) {
    const std::string stream = target.substr(0, target.rfind('/'));
    std::unique_lock lock(mutex_);
    overlapped_ = overlapped_ || !active_.insert(stream).second;
    const int attempt = ++attempts_[target];
    if (attempt == 1) order_[stream].push_back(target);
    changed_.notify_all();
    changed_.wait_for(lock, kDeadline, [this] { return order_.size() >= streams_; });
    lock.unlock();
    static_cast<void>(connection.pause(std::chrono::milliseconds(2)));  // so that calls that could overlap do
    lock.lock();
    active_.erase(stream);
    return status_(target, attempt);
  }

  const std::size_t streams_;
  std::function<int(const std::string&, int)> status_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> active_;
  bool overlapped_ = false;
  std::map<std::string, std::vector<std::string>> order_;
  std::map<std::string, int> attempts_;
  ScriptedServer server_;
};

Options serial() {
  Options options = quick();
  options.stream_calls = StreamCalls::serial;
  return options;
}

Task& add(Caller& caller, Watching& server, const std::string& stream, int number) {
  const std::string target = "/" + stream + "/" + std::to_string(number);
  Task& task = caller.task(server.url(target));
  task.request.stream = stream;
  return task;
}

TEST(CallStageSerial, OneCallOfAStreamAtATimeInOrderWhileFiftyStreamsOverlap) {
  constexpr int kStreams = 50, kTasks = 12;
  // Some are retried: the next one waits for the outcome.
  Watching server(kStreams, [](const std::string& target, int attempt) {
    return target.back() % 3 == 0 && attempt < 3 ? 503 : 200;
  });
  Options options = serial();
  options.parallel_max = 2 * kStreams;
  Caller caller(options);
  std::map<std::string, std::vector<std::string>> expected;
  for (int i = 0; i < kTasks; ++i) {
    for (int s = 0; s < kStreams; ++s) {
      const std::string stream = "s" + std::to_string(s);
      add(caller, server, stream, i);
      expected["/" + stream].push_back("/" + stream + "/" + std::to_string(i));
    }
  }
  caller.take_all();
  caller.wait();
  EXPECT_FALSE(server.overlapped_in_a_stream());
  EXPECT_EQ(server.order(), expected);
  for (const auto& task : caller.tasks()) EXPECT_EQ(task.outcome.status_code, 200);
  EXPECT_EQ(caller.stage().gauge().waiting, 0u);
}

TEST(CallStageSerial, BehindAHeldFailureNothingOfItsStreamIsCalled) {
  Watching server(1, [](const std::string& target, int) { return target == "/bad/1" ? 404 : 200; });
  Options options = serial();
  options.on_failure = OnFailure::hold;
  int told = 0;
  options.on_held_failure = [&](const Task&) { ++told; };
  Caller caller(options);
  for (int i = 0; i < 4; ++i)
    for (const char* stream : {"bad", "good"}) add(caller, server, stream, i);
  caller.take_all();
  caller.wait();
  Task& late = add(caller, server, "bad", 4);
  caller.take(late);
  caller.wait();
  for (const auto& task : caller.tasks()) {
    const bool live = task.request.stream == "good" || task.request.url.ends_with("/bad/0");
    EXPECT_EQ(task.fate, live ? Fate::live : Fate::unfinished) << task.request.url;
    if (!live) {
      EXPECT_EQ(task.error->code, ErrorCode::held);
    }
  }
  EXPECT_EQ(server.order()["/bad"], (std::vector<std::string>{"/bad/0", "/bad/1"}));
  EXPECT_EQ(server.order()["/good"].size(), 4u);
  EXPECT_EQ(told, 1) << "of the failure, not of what waits behind it";
  EXPECT_EQ(caller.stage().gauge().waiting, 0u);
}

TEST(CallStageSerial, ARecordedFailureIsAnOutcomeAndTheStreamGoesOn) {
  Watching server(1, [](const std::string& target, int) { return target == "/s/1" ? 404 : 200; });
  Caller caller(serial());
  for (int i = 0; i < 3; ++i) add(caller, server, "s", i);
  caller.take_all();
  caller.wait();
  EXPECT_EQ(caller.tasks()[1].outcome.status_code, 404);
  EXPECT_EQ(caller.tasks()[2].outcome.status_code, 200);
}

// It comes while the call before it is on its way: that one and those between are not behind it.
TEST(CallStageSerial, BehindATaskInDoubtThatIsHeldNothingIsCalledButWhatIsBeforeIt) {
  Watching server(1, [](const std::string&, int) { return 200; });
  Options options = serial();
  options.on_unknown = OnUnknown::hold;
  Caller caller(options);
  for (int i = 0; i < 5; ++i) add(caller, server, "s", i).in_doubt = i == 2;
  caller.take_all();
  caller.wait();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(caller.tasks()[i].fate, i < 2 ? Fate::live : Fate::unfinished) << i;
  EXPECT_EQ(server.order()["/s"].size(), 2u);
}

TEST(CallStageSerial, CancelGivesBackWhatWaitsInAStream) {
  std::mutex mutex;
  std::condition_variable changed;
  int seen = 0;
  bool release = false;
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest&) {
    std::unique_lock lock(mutex);
    ++seen;
    changed.notify_all();
    changed.wait_for(lock, kDeadline, [&] { return release; });
    return response(200, "done");
  }));
  Caller caller(serial());
  for (int i = 0; i < 30; ++i) caller.task(server.url()).request.stream = "s" + std::to_string(i % 3);
  caller.take_all();
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, kDeadline, [&] { return seen == 3; }));
  }
  caller.stage().cancel(Cancel::waiting);
  ASSERT_TRUE(caller.sink().wait_for(27));
  EXPECT_EQ(caller.stage().gauge().waiting, 0u);
  {
    const std::lock_guard lock(mutex);
    release = true;
    changed.notify_all();
  }
  caller.wait();
  int answered = 0;
  for (const auto& task : caller.tasks()) answered += task.fate == Fate::live;
  EXPECT_EQ(answered, 3);
  EXPECT_EQ(seen, 3);
}

}  // namespace
}  // namespace pawl::http
