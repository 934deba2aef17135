// An engine between doubles, with the handles a test needs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/engine.h>

#include "stage_doubles.h"

namespace pawl::test {

struct RigOptions {
  Limits limits{.tasks_in_flight = 1024, .bytes_in_flight = 512ull << 20, .encode_threads = 2};
  MemorySave::Options save{};
  DelayedCall::Options call{};
  MemoryCommit::Options commit{};
  RetireFn on_retire{};
};

struct Rig {
  explicit Rig(RigOptions options = {}) {
    auto made_save = std::make_unique<MemorySave>(options.save);
    auto made_call = std::make_unique<DelayedCall>(std::move(options.call));
    auto made_commit = std::make_unique<MemoryCommit>(std::move(options.commit));
    save = made_save.get();
    call = made_call.get();
    commit = made_commit.get();
    auto made = Engine::make(
        options.limits,
        {std::move(made_save), std::move(made_call), std::make_unique<PlainEncoder>(), std::move(made_commit)},
        std::move(options.on_retire));
    if (!made) ADD_FAILURE() << made.error().context;
    engine = std::move(made.value());
  }

  /// The ids committed so far, by stream, in order.
  [[nodiscard]] std::map<std::string, std::vector<std::string>> committed() const {
    std::map<std::string, std::vector<std::string>> by_stream;
    for (auto& key : commit->committed()) by_stream[key.stream].push_back(key.id);
    return by_stream;
  }

  // Live as long as the engine, which owns them.
  MemorySave* save = nullptr;
  DelayedCall* call = nullptr;
  MemoryCommit* commit = nullptr;
  std::unique_ptr<Engine> engine;
};

inline Request request(std::string stream, std::string id, std::string body = "body") {
  Request made;
  made.stream = std::move(stream);
  made.id = std::move(id);
  made.method = "POST";
  made.url = "http://127.0.0.1/";
  made.body = std::move(body);
  return made;
}

/// Submits one, expecting that the engine takes it.
inline void submit(Producer& producer, std::string stream, std::string id, std::string body = "body") {
  Request made = request(std::move(stream), std::move(id), std::move(body));
  ASSERT_EQ(producer.submit(made), Admission::accepted);
}

inline std::vector<std::string> ids(std::size_t count) {
  std::vector<std::string> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(std::to_string(i));
  return made;
}

/// Waits until `holds()`, at most 30 s.
template <class Holds>
[[nodiscard]] bool eventually(Holds&& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

/// What every status of a running engine must satisfy.
[[nodiscard]] inline testing::AssertionResult adds_up(const Status& s) {
  if (s.admitted >= s.saved && s.saved >= s.called && s.called >= s.ordered && s.ordered >= s.retired &&
      s.retired == s.committed + s.unfinished && s.committed >= s.failed && s.committed >= s.unchanged)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "admitted " << s.admitted << " saved " << s.saved << " called " << s.called
                                     << " ordered " << s.ordered << " retired " << s.retired << " committed "
                                     << s.committed << " unfinished " << s.unfinished << " failed " << s.failed
                                     << " unchanged " << s.unchanged;
}

/// Calls of ids that begin with `letter` hang until they are cancelled.
inline std::function<Answer(const Task&)> never_if_id_starts_with(char letter) {
  return [letter](const Task& task) { return task.request.id.front() == letter ? Answer::never : Answer::ok; };
}

}  // namespace pawl::test
