// Feeds a run: first what the journal gave back, then the inputs, one thread each.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pawl/engine.h>
#include <pawl/git.h>
#include <pawl/git_records.h>
#include <pawl/input.h>
#include <pawl/journal.h>

#include "planner.h"
#include "stop_flag.h"

namespace pawl::tool {

enum class OnBadLine : std::uint8_t { stop, skip };

class Feeder {
 public:
  struct Sources {
    journal::Journal* borrowed_journal = nullptr;  // what it gives back goes first; null: nothing
    std::vector<std::unique_ptr<input::Reader>> readers;
    std::unique_ptr<git::RecordReader> failed;  // failures to run again; null: none
    OnBadLine on_bad_line = OnBadLine::stop;
    bool hold_in_doubt = false;  // the call stage holds what is in doubt, so the rest of its stream is not asked for
  };
  /// Begins. Borrows engine, planner and `stop`, which ends all inputs when raised, here or elsewhere. `message` shows
  /// a line to the person; any thread.
  Feeder(Engine& engine, Planner& planner, StopFlag& stop, Sources sources, std::function<void(std::string)> message);
  /// Raises `stop` and joins.
  ~Feeder();
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;

  /// Waits until every input is at its end, or stopped.
  void wait();

  struct Counts {
    std::uint64_t read = 0;              // tasks parsed
    std::uint64_t recovered = 0;         // given back by the journal and submitted again
    std::uint64_t in_doubt = 0;          // of them, perhaps called before, with no answer
    std::uint64_t committed_before = 0;  // given back by the journal, but the branch holds them
    std::uint64_t bad_lines = 0;
    std::uint64_t bytes_read = 0;
    std::optional<std::uint64_t> bytes_total;
  };
  [[nodiscard]] Counts counts() const noexcept;
  /// Everything was read to its end. After wait().
  [[nodiscard]] bool complete() const noexcept { return complete_.load(std::memory_order_acquire); }
  /// The error that stopped an input, if one did. After wait().
  [[nodiscard]] std::optional<Error> error() const;

 private:
  /// What one input thread has done; written by it alone.
  struct Lane {
    std::atomic<std::uint64_t> read{0};
    std::atomic<std::uint64_t> bad{0};
    std::atomic<std::uint64_t> bytes{0};
  };

  void run();
  bool feed_recovered(Producer& producer);
  void feed(input::Reader& reader, Lane& lane, Producer& producer);
  void feed_failed(Lane& lane, Producer& producer);
  void fail(const Error& error);

  Engine& engine_;
  Planner& planner_;
  StopFlag& stop_;
  Sources sources_;
  std::function<void(std::string)> message_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::optional<std::uint64_t> bytes_total_;  // of all inputs; fixed at construction
  std::atomic<std::uint64_t> recovered_{0};
  std::atomic<std::uint64_t> in_doubt_{0};
  std::atomic<std::uint64_t> committed_before_{0};
  std::atomic<bool> complete_{false};
  mutable std::mutex error_mutex_;
  std::optional<Error> error_;
  std::thread thread_;
};

}  // namespace pawl::tool
