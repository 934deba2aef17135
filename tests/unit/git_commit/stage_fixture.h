// A commit stage on a real repository, with tasks as the encoder leaves them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/git.h>
#include <pawl/stages.h>

#include "blob_encoder.h"
#include "committer.h"
#include "encoded.h"
#include "git_program.h"
#include "object_id.h"
#include "temp_dir.h"

namespace pawl::test {

/// Collects what comes back.
class RecordingSink final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    for (Task* task : tasks) back_.push_back(task);
    changed_.notify_all();
  }
  /// Waits until `count` tasks are back; false after two minutes.
  [[nodiscard]] bool wait_for(std::size_t count, std::chrono::milliseconds most = std::chrono::seconds(120)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most, [&] { return back_.size() >= count; });
  }
  [[nodiscard]] std::vector<Task*> back() {
    const std::lock_guard lock(mutex_);
    return back_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Task*> back_;
};

inline void encode_as(Task& task, std::string path, std::string content) {
  auto file = std::make_unique<git::Encoded>();
  file->path = std::move(path);
  file->content = std::move(content);
  if (!file->path.empty()) {
    const Result<git::ObjectId> blob = git::hash_blob(file->content);
    EXPECT_TRUE(blob.has_value());
    file->blob_id = *blob;
    thread_local git::BlobEncoder encoder;
    encoder.encode(*file);
  }
  file->subject = task.request.stream + " " + task.request.id + ": 200 in 0.01 s";
  task.encoded = std::move(file);
}

/// Quick to commit, so that tests do not wait.
inline git::CommitOptions quick_options() {
  git::CommitOptions options;
  options.commit_every = std::chrono::milliseconds(10);
  options.publish_every = std::chrono::milliseconds(10);
  options.run = 1'700'000'000'000'000;
  return options;
}

/// Owns tasks, repository and stage.
class CommitRun {
 public:
  explicit CommitRun(const std::filesystem::path& path, git::CommitOptions options = quick_options(),
                     std::string branch = {}) {
    auto opened = git::Repository::open({path, std::move(branch), git::RepositoryOptions::Missing::create});
    EXPECT_TRUE(opened.has_value()) << opened.error().context;
    repository_ = std::move(*opened);
    auto made = git::make_commit_stage(*repository_, options);
    EXPECT_TRUE(made.has_value()) << made.error().context;
    stage_ = std::move(*made);
    stage_->attach(sink_);
  }
  ~CommitRun() { stop(); }
  CommitRun(const CommitRun&) = delete;
  CommitRun& operator=(const CommitRun&) = delete;

  Task& make(std::string path, std::string content, std::string stream = "s") {
    Task& task = tasks_.emplace_back();
    task.request.stream = std::move(stream);
    task.request.id = path;
    task.request.task_id = {1, tasks_.size()};
    encode_as(task, std::move(path), std::move(content));
    return task;
  }
  /// Makes a task and gives it to the stage.
  Task& put(std::string path, std::string content, std::string stream = "s") {
    Task& task = make(std::move(path), std::move(content), std::move(stream));
    give({&task});
    return task;
  }
  void give(std::vector<Task*> tasks) {
    given_ += tasks.size();
    stage_->take(tasks);
  }
  [[nodiscard]] bool all_back() { return sink_.wait_for(given_); }
  /// Waits for everything, and stops.
  void finish() {
    EXPECT_TRUE(all_back()) << sink_.back().size() << " of " << given_ << " tasks came back";
    stop();
  }
  void stop() {
    if (stage_) stage_->stop();
  }

  [[nodiscard]] git::Repository& repository() { return *repository_; }
  [[nodiscard]] Stage& stage() { return *stage_; }
  [[nodiscard]] git::CommitStats stats() { return static_cast<git::CommitStage&>(*stage_).stats(); }
  [[nodiscard]] RecordingSink& sink() { return sink_; }

 private:
  std::deque<Task> tasks_;
  RecordingSink sink_;
  std::unique_ptr<git::Repository> repository_;
  std::unique_ptr<Stage> stage_;
  std::size_t given_ = 0;
};

}  // namespace pawl::test
