// A call stage with a sink that keeps what comes back: what the engine does around it, without the engine.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/http.h>
#include <pawl/stages.h>

#include "scripted_server.h"

namespace pawl::http {

using test::Connection;
using test::response;
using test::ScriptedServer;
using test::SeenRequest;

/// Longest time a test waits for what must come.
inline constexpr std::chrono::seconds kDeadline{120};

class KeepingSink final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    for (Task* task : tasks) {
      EXPECT_TRUE(seen_.insert(task).second) << "a task came back twice";
      order_.push_back(task);
    }
    changed_.notify_all();
  }
  [[nodiscard]] bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [&] { return order_.size() >= count; });
  }
  [[nodiscard]] std::vector<Task*> order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Task*> seen_;
  std::vector<Task*> order_;
};

/// Options that make failures quick.
inline Options quick() {
  Options options;
  options.retry_delay = std::chrono::milliseconds(1);
  options.retry_delay_max = std::chrono::milliseconds(5);
  options.time_max = std::chrono::seconds(60);
  options.seed = 1;
  return options;
}

/// As quick(), without a second attempt.
inline Options once() {
  Options options = quick();
  options.retry_max = 0;
  return options;
}

class Caller {
 public:
  explicit Caller(const Options& options = quick(), SendLog* log = nullptr) {
    auto made = make_call_stage(options, log);
    if (!made) {
      ADD_FAILURE() << made.error().context;
      std::abort();
    }
    stage_ = std::move(*made);
    stage_->attach(sink_);
  }
  ~Caller() {
    stage_->cancel(Cancel::all);
    EXPECT_TRUE(sink_.wait_for(tasks_.size()));
    stage_->stop();
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  /// A task that has not been handed over.
  Task& task(const std::string& url, const std::string& method = "GET", const std::string& body = {}) {
    Task& task = tasks_.emplace_back();
    task.request.stream = "test";
    task.request.id = std::to_string(tasks_.size());
    task.request.method = method;
    task.request.url = url;
    task.request.body = body;
    return task;
  }
  void take(Task& task) {
    Task* const one = &task;
    stage_->take({&one, 1});
  }
  void take_all() {
    std::vector<Task*> all;
    for (auto& task : tasks_) all.push_back(&task);
    stage_->take(all);
  }
  /// Waits until everything ever made by task() has come back.
  void wait() { ASSERT_TRUE(sink_.wait_for(tasks_.size())); }

  /// Calls once and waits.
  Task& call(const std::string& url, const std::string& method = "GET", const std::string& body = {}) {
    Task& made = task(url, method, body);
    take(made);
    EXPECT_TRUE(sink_.wait_for(tasks_.size()));
    return made;
  }

  [[nodiscard]] CallStage& stage() { return *stage_; }
  [[nodiscard]] KeepingSink& sink() { return sink_; }
  [[nodiscard]] std::deque<Task>& tasks() { return tasks_; }

 private:
  std::deque<Task> tasks_;
  KeepingSink sink_;
  std::unique_ptr<CallStage> stage_;
};

inline void expect_answer(const Task& task, int status, const std::string& body) {
  EXPECT_EQ(task.fate, Fate::live);
  EXPECT_EQ(task.outcome.kind, Outcome::Kind::answered)
      << task.outcome.error_code << ": " << task.outcome.error_message;
  EXPECT_EQ(task.outcome.status_code, status);
  EXPECT_EQ(task.outcome.body, body);
  EXPECT_EQ(task.outcome.error_code, "");
}

inline void expect_failure(const Task& task, const std::string& code, std::uint32_t attempts) {
  EXPECT_EQ(task.fate, Fate::live);
  EXPECT_EQ(task.outcome.kind, Outcome::Kind::failed) << "status " << task.outcome.status_code;
  EXPECT_EQ(task.outcome.error_code, code) << task.outcome.error_message;
  EXPECT_NE(task.outcome.error_message, "");
  EXPECT_EQ(task.outcome.body, "");
  EXPECT_EQ(task.outcome.attempts, attempts);
}

}  // namespace pawl::http
