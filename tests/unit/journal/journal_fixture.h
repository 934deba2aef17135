// What the journal's tests share: random tasks with hostile bytes, a sink that waits, and ways to read a folder back.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pawl/journal.h>

#include "temp_dir.h"

namespace pawl::test {

inline constexpr std::uint64_t kSmallSegment = 64 * 1024;

/// PAWL_SEED, or one from the system; printed, so that a failure can be run again.
inline std::uint64_t make_seed() {
  const char* given = std::getenv("PAWL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << std::endl;
  return seed;
}

/// Counts and keeps what a stage gives back.
class Collector final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard guard(mutex_);
    tasks_.insert(tasks_.end(), tasks.begin(), tasks.end());
    news_.notify_all();
  }
  /// All that came back so far, once there are `count`. Fails the test after 60 s.
  std::vector<Task*> wait_for(std::size_t count) {
    std::unique_lock guard(mutex_);
    EXPECT_TRUE(news_.wait_for(guard, std::chrono::seconds(60), [&] { return tasks_.size() >= count; }));
    return tasks_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  std::vector<Task*> tasks_;
};

/// Polls until `condition` holds. Fails the test after 60 s.
template <class Condition>
void eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
}

class Randomly {
 public:
  explicit Randomly(std::uint64_t seed) : engine_(seed) {}
  /// 0 … bound-1
  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(engine_);
  }
  std::uint64_t word() { return engine_(); }
  /// Up to `most` bytes of any value; sometimes runs of zeros, and things that look like records.
  std::string bytes(std::uint64_t most) {
    std::string text(below(most + 1), '\0');
    const std::uint64_t how = below(4);
    if (how == 0) return text;
    for (char& byte : text) byte = static_cast<char>(below(256));
    if (how == 1 && text.size() > 60) {
      text.replace(0, 4, std::string("\x30\0\0\0", 4));  // a length
      text[12] = 1;                                      // a kind
      text.replace(16, 8, "PAWLJRNL");
    }
    return text;
  }
  Request request(TaskId id) {
    Request request;
    request.task_id = id;
    request.stream = bytes(40);
    request.id = bytes(40);
    request.position = word();
    request.method = bytes(8);
    request.url = bytes(200);
    request.content_type = bytes(30);
    for (std::uint64_t i = below(4); i > 0; --i) request.headers.push_back(bytes(60));
    request.body = bytes(below(50) == 0 ? 100'000 : 1'500);
    for (auto& byte : request.digest) byte = static_cast<std::uint8_t>(below(256));
    return request;
  }
  Outcome outcome() {
    Outcome outcome;
    outcome.kind = below(3) == 0 ? Outcome::Kind::failed : Outcome::Kind::answered;
    outcome.status_code = static_cast<int>(below(2000)) - 1000;
    outcome.request_id = bytes(40);
    outcome.content_type = bytes(40);
    outcome.body = bytes(below(50) == 0 ? 100'000 : 1'500);
    outcome.error_code = bytes(20);
    outcome.error_message = bytes(100);
    outcome.attempts = static_cast<std::uint32_t>(word());
    outcome.started =
        std::chrono::system_clock::time_point(std::chrono::system_clock::duration(static_cast<std::int64_t>(word())));
    outcome.duration = std::chrono::milliseconds(static_cast<std::int64_t>(word()));
    return outcome;
  }

 private:
  std::mt19937_64 engine_;
};

inline void expect_same(const Request& a, const Request& b) {
  EXPECT_EQ(a.task_id, b.task_id);
  EXPECT_EQ(a.stream, b.stream);
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.url, b.url);
  EXPECT_EQ(a.content_type, b.content_type);
  EXPECT_EQ(a.headers, b.headers);
  EXPECT_EQ(a.body, b.body);
  EXPECT_EQ(a.digest, b.digest);
}

inline void expect_same(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.status_code, b.status_code);
  EXPECT_EQ(a.request_id, b.request_id);
  EXPECT_EQ(a.content_type, b.content_type);
  EXPECT_EQ(a.body, b.body);
  EXPECT_EQ(a.error_code, b.error_code);
  EXPECT_EQ(a.error_message, b.error_message);
  EXPECT_EQ(a.attempts, b.attempts);
  EXPECT_EQ(a.started, b.started);
  EXPECT_EQ(a.duration, b.duration);
}

/// A small request with a body of `bytes` bytes.
inline Request plain_request(std::uint64_t ordinal, std::size_t bytes = 100) {
  Request request;
  request.task_id = {7, ordinal};
  request.stream = "stream";
  request.id = "id-" + std::to_string(ordinal);
  request.method = "POST";
  request.url = "http://127.0.0.1/";
  request.body.assign(bytes, static_cast<char>('a' + ordinal % 26));
  return request;
}

inline Outcome plain_outcome(std::size_t bytes = 100) {
  Outcome outcome;
  outcome.kind = Outcome::Kind::answered;
  outcome.status_code = 200;
  outcome.body.assign(bytes, 'z');
  return outcome;
}

/// Tasks that stay where they are.
inline std::vector<std::unique_ptr<Task>> plain_tasks(std::uint64_t first, std::uint64_t count,
                                                      std::size_t bytes = 100) {
  std::vector<std::unique_ptr<Task>> tasks;
  for (std::uint64_t i = 0; i < count; ++i) {
    tasks.push_back(std::make_unique<Task>());
    tasks.back()->request = plain_request(first + i, bytes);
  }
  return tasks;
}

inline std::vector<Task*> pointers(const std::vector<std::unique_ptr<Task>>& tasks) {
  std::vector<Task*> all;
  for (const auto& task : tasks) all.push_back(task.get());
  return all;
}

inline std::unique_ptr<journal::Journal> open_journal(const journal::Options& options) {
  auto opened = journal::Journal::open(options);
  EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error().context);
  return opened ? std::move(*opened) : nullptr;
}

/// Everything next() has to give. Fails the test on an error.
inline std::vector<Recovered> read_all(journal::Journal& journal) {
  std::vector<Recovered> all;
  Recovered recovered;
  for (;;) {
    auto more = journal.next(recovered);
    EXPECT_TRUE(more.has_value()) << (more ? "" : more.error().context);
    if (!more || !*more) return all;
    all.push_back(recovered);
  }
}

inline std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good());
}

}  // namespace pawl::test
