// Watcher: asks a live run for its state again and again, on a thread of its own, so that a run that is slow to answer
// holds up nobody who looks at it.
#pragma once

#include <chrono>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>

#include <pawl/observe.h>

#include "file_descriptor.h"

namespace pawl::tool {

class Watcher {
 public:
  /// Begins, and asks `every` so often.
  Watcher(std::filesystem::path folder, std::chrono::milliseconds every);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// Readable when there is something new; take() makes it unreadable.
  [[nodiscard]] int fd() const noexcept { return news_.get(); }

  struct Seen {
    std::optional<observe::RunView> view;  // the newest there was
    bool ended = false;                    // nobody serves the folder any more
    std::string problem;                   // why there was no answer this time; empty: there was one
    std::chrono::steady_clock::time_point answered{};
  };
  /// What is known now.
  [[nodiscard]] Seen take();

 private:
  void loop(const std::stop_token& stop);

  const std::filesystem::path folder_;
  const std::chrono::milliseconds every_;
  FileDescriptor news_;
  FileDescriptor end_;  // readable when the thread shall end
  std::mutex mutex_;
  Seen seen_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace pawl::tool
