// The engine between stages that do nothing: what it costs itself.
#pragma once

#include <cstdlib>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <pawl/engine.h>

namespace pawl::bench {

/// Saves nothing and says so at once; while held, keeps what it is given.
class NoSave final : public SaveStage {
 public:
  void attach(StageSink& sink) override { sink_ = &sink; }
  void take(std::span<Task* const> tasks) noexcept override {
    for (Task* task : tasks) task->saved = true;
    if (holds_) {
      const std::lock_guard lock(mutex_);
      if (holding_) {
        held_.insert(held_.end(), tasks.begin(), tasks.end());
        return;
      }
    }
    sink_->done(tasks);
  }
  void cancel(Cancel) noexcept override {}
  void stop() noexcept override {}
  void note_answers(std::span<Task* const>) noexcept override {}
  void release(std::span<Task* const>) noexcept override {}

  /// For engines whose stage is to be held at all: before the first task.
  void may_hold(std::size_t most) {
    holds_ = true;
    held_.reserve(most);
  }
  void hold() {
    const std::lock_guard lock(mutex_);
    holding_ = true;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    holding_ = false;
    sink_->done(held_);
    held_.clear();
  }

 private:
  StageSink* sink_ = nullptr;
  bool holds_ = false;  // set before the first task; without it the mutex is never touched
  std::mutex mutex_;
  bool holding_ = false;
  std::vector<Task*> held_;
};

class NoCall final : public Stage {
 public:
  void attach(StageSink& sink) override { sink_ = &sink; }
  void take(std::span<Task* const> tasks) noexcept override {
    for (Task* task : tasks) task->outcome.kind = Outcome::Kind::answered;
    sink_->done(tasks);
  }
  void cancel(Cancel) noexcept override {}
  void stop() noexcept override {}

 private:
  StageSink* sink_ = nullptr;
};

class NoCommit final : public Stage {
 public:
  void attach(StageSink& sink) override { sink_ = &sink; }
  void take(std::span<Task* const> tasks) noexcept override {
    for (Task* task : tasks) task->committed = true;
    sink_->done(tasks);
  }
  void cancel(Cancel) noexcept override {}
  void stop() noexcept override {}

 private:
  StageSink* sink_ = nullptr;
};

class PawlPipeline {
 public:
  static constexpr bool kFlushesWhileOthersSubmit = true;

  /// `on_retire(const Request&)`: one call at a time.
  template <class OnRetire>
  PawlPipeline(std::uint32_t in_flight, OnRetire on_retire) {
    auto save = std::make_unique<NoSave>();
    save_ = save.get();
    auto made = Engine::make({.tasks_in_flight = in_flight},
                             {std::move(save), std::make_unique<NoCall>(), nullptr, std::make_unique<NoCommit>()},
                             [on_retire](const Task& task) { on_retire(task.request); });
    if (!made) std::abort();  // a limit out of range: wrong arguments of the benchmark
    engine_ = std::move(*made);
  }

  /// One submitting thread's way in.
  class Lane {
   public:
    explicit Lane(PawlPipeline& pipeline) : producer_(pipeline.engine_->producer()) {}
    [[nodiscard]] bool try_submit(Request& request) { return producer_.try_submit(request) == Admission::accepted; }
    void submit(Request& request) {
      if (producer_.submit(request) != Admission::accepted) std::abort();  // closed: nobody closes here
    }
    void submit_all(std::span<Request> requests) {
      while (!requests.empty()) {
        std::size_t sent = producer_.submit_bulk(requests);
        if (sent == 0) {
          submit(requests.front());  // waits for a credit
          sent = 1;
        }
        requests = requests.subspan(sent);
      }
    }
    /// Submits what credits allow; returns how many.
    [[nodiscard]] std::size_t try_submit_all(std::span<Request> requests) {
      std::size_t sent = 0;
      while (sent < requests.size()) {
        const std::size_t now = producer_.submit_bulk(requests.subspan(sent));
        if (now == 0) break;
        sent += now;
      }
      return sent;
    }

   private:
    Producer producer_;
  };

  void flush() { engine_->flush(); }
  [[nodiscard]] Status status() const noexcept { return engine_->status(); }
  /// Admitted and not retired.
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return engine_->status().in_flight(); }

  void may_hold(std::size_t most) { save_->may_hold(most); }
  void hold() { save_->hold(); }
  void let_go() { save_->let_go(); }

 private:
  NoSave* save_ = nullptr;  // the engine's
  std::unique_ptr<Engine> engine_;
};

}  // namespace pawl::bench
