// A call leaves only after the send log has marked it; what is marked and does not leave is settled; and what becomes
// of tasks in doubt and of failures. Over real sockets, with a log whose every answer the test decides.
#include <algorithm>
#include <thread>

#include "harness.h"

namespace pawl::http {
namespace {

using std::chrono::milliseconds;

/// Marks when it is told to; remembers what it was told.
class ManualLog : public SendLog {
 public:
  virtual ~ManualLog() = default;
  void attach_sender(SendSink& sender) noexcept override { sender_ = &sender; }
  void give_room(std::uint64_t calls) noexcept override {
    const std::lock_guard lock(mutex_);
    room_ += calls;
    changed_.notify_all();
  }
  void note_sending(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    for (const Task* task : tasks) EXPECT_FALSE(task->sent);
    asked_.insert(asked_.end(), tasks.begin(), tasks.end());
    asked_ever_ += tasks.size();
    changed_.notify_all();
  }
  void note_settled(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    for (Task* task : tasks) {
      EXPECT_TRUE(task->sent);
      task->sent = false;
      marked_.erase(task->request.id);
    }
    settled_ += tasks.size();
    changed_.notify_all();
  }
  /// Marks what has been asked for, the first `most`; how many that were.
  std::size_t mark(std::size_t most = static_cast<std::size_t>(-1)) {
    std::vector<Task*> tasks;
    {
      const std::lock_guard lock(mutex_);
      const auto count = static_cast<std::ptrdiff_t>(std::min(most, asked_.size()));
      tasks.assign(asked_.begin(), asked_.begin() + count);
      asked_.erase(asked_.begin(), asked_.begin() + count);
      for (Task* task : tasks) {
        task->sent = true;
        marked_.insert(task->request.id);
      }
    }
    if (!tasks.empty()) sender_->may_send(tasks);
    return tasks.size();
  }
  void refuse_all() {
    std::vector<Task*> tasks;
    {
      const std::lock_guard lock(mutex_);
      tasks.swap(asked_);
    }
    for (Task* task : tasks) task->give_up({ErrorCode::io, "no space left", 28});
    sender_->may_send(tasks);
  }
  template <class Condition>
  [[nodiscard]] bool wait_until(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return condition(*this); });
  }
  [[nodiscard]] bool is_marked(const std::string& id) {
    const std::lock_guard lock(mutex_);
    return marked_.contains(id);
  }
  // Guarded by the mutex: inside wait_until(), or when nothing moves any more.
  std::vector<Task*> asked_;
  std::size_t asked_ever_ = 0, settled_ = 0;
  std::uint64_t room_ = 0;

 private:
  SendSink* sender_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> marked_;
};

/// Marks on a thread of its own, a few at a time.
class BusyLog final : public ManualLog {
 public:
  ~BusyLog() override { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  void attach_sender(SendSink& sender) noexcept override {
    ManualLog::attach_sender(sender);
    thread_ = std::thread([this] {
      for (std::size_t round = 0; !stopping_; ++round)
        if (mark(1 + round % 7) == 0) std::this_thread::yield();
    });
  }

 private:
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

Options with(OnUnknown unknown, OnFailure failure = OnFailure::record) {
  Options options = quick();
  options.on_unknown = unknown;
  options.on_failure = failure;
  return options;
}

TEST(SendLog, NoCallLeavesBeforeItsMark) {
  std::atomic<int> requests{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest&) {
    ++requests;
    return response(200, "ok");
  }));
  ManualLog log;
  Caller caller(quick(), &log);
  Task& first = caller.task(server.url());
  caller.take(first);
  ASSERT_TRUE(log.wait_until([](auto& it) { return it.asked_.size() == 1; }));
  // Another that is marked already (with its save) goes ahead: the loop has run, and the first has still not left.
  Task& marked = caller.task(server.url("/marked"));
  marked.sent = true;
  caller.take(marked);
  // The first host is cold until one call has ended, so this waits for a place; the mark of the first opens it.
  EXPECT_EQ(requests, 0);
  EXPECT_EQ(caller.stage().stats().attempts_started, 0u);
  EXPECT_EQ(log.mark(), 1u);
  caller.wait();
  expect_answer(first, 200, "ok");
  expect_answer(marked, 200, "ok");
  EXPECT_EQ(log.asked_ever_, 1u) << "what is marked is not asked for again";
  EXPECT_EQ(log.settled_, 0u);
}

TEST(SendLog, ThousandsOfCallsWithRetriesAreAllMarkedWhenTheyArrive) {
  std::atomic<int> unmarked{0};
  std::atomic<int> requests{0};
  BusyLog log;
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    unmarked += !log.is_marked(request.target.substr(1));
    return response(++requests % 5 == 0 ? 503 : 200, "ok");
  }));
  Options options = quick();
  options.parallel_max = 16;
  options.retry_max = 50;
  Caller caller(options, &log);
  for (int i = 1; i <= 3000; ++i) caller.task(server.url("/" + std::to_string(i)));
  caller.take_all();
  caller.wait();
  log.stop();
  EXPECT_EQ(unmarked, 0);
  for (const Task& task : caller.tasks()) expect_answer(task, 200, "ok");
  EXPECT_GT(log.settled_, 500u) << "an answer that is retried settles its call";
  EXPECT_EQ(log.asked_ever_, 3000 + log.settled_);
}

TEST(SendLog, SeveralLoopsShareOneAndEachGetsItsTasksBack) {
  std::atomic<int> unmarked{0};
  std::atomic<int> requests{0};
  BusyLog log;
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    unmarked += !log.is_marked(request.target.substr(1));
    return response(++requests % 5 == 0 ? 503 : 200, request.target);
  }));
  Options options = quick();
  options.parallel_max = 16;
  options.call_threads = 3;
  options.retry_max = 50;
  Caller caller(options, &log);
  for (unsigned i = 1; i <= 2000; ++i) {
    caller.task(server.url("/" + std::to_string(i))).request.task_id.ordinal = i;
  }
  caller.take_all();
  caller.wait();
  log.stop();
  EXPECT_EQ(unmarked, 0);
  int i = 0;
  for (const Task& task : caller.tasks()) expect_answer(task, 200, "/" + std::to_string(++i));
  EXPECT_EQ(log.asked_ever_, 2000 + log.settled_);
}

TEST(SendLog, RoomIsGivenForWhatCanLeaveAtOnce) {
  ScriptedServer server([](Connection& connection) { connection.hang(); });
  Options options = quick();
  options.parallel_max = 8;
  ManualLog log;
  Caller caller(options, &log);
  Task& call = caller.task(server.url());
  call.sent = true;
  caller.take(call);
  std::uint64_t room = 0;
  ASSERT_TRUE(log.wait_until([&](auto& it) { return (room = it.room_) >= 7; }));
  EXPECT_LE(room, 8u);
}

TEST(SendLog, ADrainSettlesWhatIsMarkedAndHasNotLeft) {
  ScriptedServer server([](Connection& connection) { connection.hang(); });
  Options options = quick();
  options.parallel_max = 1;
  ManualLog log;
  Caller caller(options, &log);
  for (int i = 0; i < 3; ++i) caller.task(server.url()).sent = true;
  for (int i = 0; i < 2; ++i) caller.task(server.url());
  caller.take_all();
  while (caller.stage().gauge().active != 1) std::this_thread::yield();
  while (server.connections() != 1) std::this_thread::yield();
  caller.stage().cancel(Cancel::waiting);
  while (caller.sink().order().size() < 4) {
    log.mark();  // what was lent comes back, too
    std::this_thread::yield();
  }
  caller.stage().cancel(Cancel::all);
  caller.wait();
  unsigned in_doubt = 0;
  for (const Task& task : caller.tasks()) {
    EXPECT_EQ(task.error->code, ErrorCode::cancelled);
    in_doubt += task.sent;
  }
  EXPECT_LE(in_doubt, 1u) << "only the one on the wire";
}

TEST(SendLog, AConnectionThatIsRefusedIsSettledAndOneThatBreaksIsNot) {
  ManualLog log;
  Options options = quick();
  options.retry_max = 1;
  options.on_failure = OnFailure::hold;
  {
    Caller caller(options, &log);
    Task& refused = caller.task("http://127.0.0.1:" + std::to_string(ScriptedServer::closed_port()) + "/");
    refused.sent = true;
    caller.take(refused);
    ASSERT_TRUE(log.wait_until([](auto& it) { return it.asked_.size() == 1; })) << "not sent, so marked again";
    log.mark();
    caller.wait();
    EXPECT_FALSE(refused.sent);
    EXPECT_EQ(log.settled_, 2u);
  }
  ScriptedServer server([](Connection& connection) {
    if (connection.read_request()) connection.reset();
  });
  ManualLog second;
  Caller caller(options, &second);
  Task& broken = caller.task(server.url());
  broken.sent = true;
  caller.take(broken);
  caller.wait();
  EXPECT_EQ(broken.error->code, ErrorCode::held);
  EXPECT_TRUE(broken.sent) << "nobody knows what became of it";
  EXPECT_EQ(second.asked_ever_ + second.settled_, 0u) << "one mark holds for all attempts";
}

TEST(SendLog, ALogThatFailsGivesItsTasksUpUncalled) {
  std::atomic<int> requests{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest&) {
    ++requests;
    return response(200);
  }));
  ManualLog log;
  Caller caller(quick(), &log);
  Task& task = caller.task(server.url());
  caller.take(task);
  ASSERT_TRUE(log.wait_until([](auto& it) { return it.asked_.size() == 1; }));
  log.refuse_all();
  caller.wait();
  EXPECT_EQ(task.error->code, ErrorCode::io);
  EXPECT_EQ(requests, 0);
}

TEST(InDoubt, RetryCallsAgainWithTheSameIdempotencyKey) {
  std::mutex mutex;
  std::vector<std::string> keys;
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest& request) {
    const std::lock_guard lock(mutex);
    keys.push_back(request.header("idempotency-key"));
    return response(200);
  }));
  Request request;
  for (int process = 0; process < 2; ++process) {
    Caller caller(with(OnUnknown::retry));
    Task& task = caller.task(server.url());
    task.sent = task.in_doubt = process == 1;
    caller.take(task);
    caller.wait();
    request = task.request;
  }
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0], keys[1]);
  EXPECT_EQ(keys[0], idempotency_key(request));
}

TEST(InDoubt, HoldAndFailDoNotCall) {
  std::atomic<int> requests{0};
  ScriptedServer server(ScriptedServer::answering([&](const SeenRequest&) {
    ++requests;
    return response(200);
  }));
  for (const OnUnknown how : {OnUnknown::hold, OnUnknown::fail}) {
    ManualLog log;
    Caller caller(with(how), &log);
    Task& task = caller.task(server.url());
    task.sent = task.in_doubt = true;
    caller.take(task);
    caller.wait();
    if (how == OnUnknown::hold) {
      EXPECT_EQ(task.error->code, ErrorCode::held);
      EXPECT_EQ(task.outcome.kind, Outcome::Kind::none);
    } else {
      EXPECT_EQ(task.outcome.kind, Outcome::Kind::failed);
      EXPECT_EQ(task.outcome.error_code, "unknown_outcome");
    }
    EXPECT_TRUE(task.sent) << "still in doubt";
    EXPECT_EQ(log.settled_, 0u);
  }
  EXPECT_EQ(requests, 0);
}

TEST(OnFailure, HoldGivesUpWhatHasNoGoodAnswerAndTells) {
  ScriptedServer server(ScriptedServer::answering(
      [](const SeenRequest& request) { return response(request.target == "/good" ? 200 : 404, "x"); }));
  Options options = with(OnUnknown::retry, OnFailure::hold);
  std::atomic<int> told{0};
  options.on_held_failure = [&](const Task& task) { told += task.error->code == ErrorCode::held; };
  Caller caller(options);
  Task& good = caller.call(server.url("/good"));
  Task& bad = caller.call(server.url("/bad"));
  Task& wrong = caller.call("nonsense");
  expect_answer(good, 200, "x");
  for (const Task* task : {&bad, &wrong}) {
    EXPECT_EQ(task->fate, Fate::unfinished);
    EXPECT_EQ(task->error->code, ErrorCode::held);
    EXPECT_EQ(task->outcome.kind, Outcome::Kind::none);
  }
  EXPECT_NE(bad.error->context.find("404"), std::string::npos) << bad.error->context;
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace pawl::http
