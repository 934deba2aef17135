// The pawl tool as a user runs it, against the built-in API server in this process.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <pawl/mockapi.h>

#include "process.h"
#include "repository_check.h"

namespace pawl::test {

inline constexpr unsigned kTasks = 60;  // of a run that most tests make

using Asked = std::map<std::string, std::vector<std::string>>;  // stream → ids in order

inline std::unique_ptr<mockapi::Server> serve(const mockapi::Options& options = {}) {
  auto server = mockapi::Server::start(options);
  EXPECT_TRUE(server.has_value()) << (server ? "" : server.error().context);
  return std::move(*server);
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline std::string batch_line(const std::string& id, const std::string& stream, const std::string& content) {
  return fmt::format(
      R"({{"custom_id":"{}","stream":"{}","method":"POST","url":"/v1/chat/completions","body":{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}}})"
      "\n",
      id, stream, content);
}

/// `count` batch lines over `streams` streams in seeded random order of streams; what they ask for goes to `asked`.
inline std::string batch_lines(unsigned count, unsigned streams, std::uint64_t seed, Asked& asked) {
  std::mt19937_64 random(seed);
  std::string lines;
  for (unsigned i = 0; i < count; ++i) {
    const std::string stream = fmt::format("stream-{}", random() % streams);
    const std::string id = fmt::format("task-{}", i);
    lines += batch_line(id, stream, fmt::format("question {}", i));
    asked[stream].push_back(id);
  }
  return lines;
}

inline std::uint64_t seed_of_test() {
  const char* text = std::getenv("PAWL_SEED");
  const std::uint64_t seed = text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
  fmt::print("PAWL_SEED={}\n", seed);
  return seed;
}

class PawlTool : public ::testing::Test {
 protected:
  /// `pawl WORDS…` with retries quick enough for tests unless WORDS say otherwise.
  static std::vector<std::string> pawl(std::vector<std::string> words) {
    words.insert(words.begin(), PAWL_TOOL);
    return words;
  }
  std::vector<std::string> run_words(const std::string& input, std::vector<std::string> more = {}) {
    std::vector<std::string> words = pawl({"run", input, "--repo", repo().string(), "--retry-delay", "20ms"});
    if (server_) words.insert(words.end(), {"--base-url", server_->base_url() + "/v1"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  [[nodiscard]] std::filesystem::path repo() const { return folder_ / "repo"; }
  std::string input(const std::string& name, const std::string& text) const {
    write_file(folder_ / name, text);
    return (folder_ / name).string();
  }
  [[nodiscard]] std::filesystem::path journal() const { return repo() / ".git" / "pawl" / "journal"; }

  TempDir folder_;
  std::unique_ptr<mockapi::Server> server_;
};

}  // namespace pawl::test
