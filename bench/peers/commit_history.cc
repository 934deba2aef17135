// One history for everybody who commits results: made by pawl's encoder and commit stage, told to git fast-import and
// to scripts, or written as plain files. commit.py beside it runs it and its peers.
//
// usage: commit_history pawl REPOSITORY TASKS PER_COMMIT STREAMS   the stages as the pipeline runs them; prints JSON
//        commit_history stream FILE TASKS PER_COMMIT STREAMS       what git fast-import reads
//        commit_history records FILE TASKS PER_COMMIT STREAMS      what scripts read
//        commit_history files FOLDER TASKS STREAMS                 the files alone, by open, write, close; prints JSON
//        commit_history costs TASKS                                hash and deflate of one record; prints JSON
//
// Who commits and when comes from git's environment variables. A record is about 1 KB; streams take turns.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <pawl/git.h>
#include <pawl/stages.h>

#include "commit_text.h"
#include "encoded.h"
#include "object_id.h"
#include "pack_entry.h"

namespace {

using namespace pawl;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kRun = 1'700'000'000'000'000;
constexpr std::uint64_t kInFlight = 8192;
constexpr std::uint64_t kBatch = 64;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "commit_history: %s\n", why.c_str());
  std::exit(2);
}

template <class T>
T must(Result<T> result) {
  if (!result) die(result.error().context);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::uint64_t mixed(std::uint64_t& state) {  // splitmix64
  std::uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// Task number `i`: words in an answer as an API gives it.
void fill(Task& task, std::uint64_t i, std::uint64_t streams) {
  static const std::array<std::string_view, 32> kWords = {
      "the",    "answer", "of",      "a",       "model", "is",    "made",   "from", "words", "that",  "come",
      "again",  "in",     "another", "order",   "with",  "some",  "number", "as",   "here",  "and",   "there",
      "result", "value",  "because", "however", "data",  "table", "first",  "next", "quite", "random"};
  Request& request = task.request;
  request.task_id = {kRun, i + 1};
  request.stream = "stream-" + std::to_string(i % streams);
  request.id = "request-" + std::to_string(i);
  request.position = i / streams;
  request.method = "POST";
  request.url = "https://api.example.org/v1/chat/completions";
  request.content_type = "application/json";
  request.body = R"({"model":"m","messages":[{"role":"user","content":"question )" + std::to_string(i) + "\"}]}";
  std::memcpy(request.digest.data(), &i, sizeof i);
  Outcome& outcome = task.outcome;
  outcome.kind = Outcome::Kind::answered;
  outcome.status_code = 200;
  outcome.content_type = "application/json";
  outcome.attempts = 1;
  outcome.started = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000 + i / 1000));
  outcome.duration = std::chrono::milliseconds(100 + i % 900);
  std::uint64_t state = i;
  std::array<char, 1024> body;  // made there and copied at once: making tasks is in everybody's figures
  char* end = body.data();
  const auto put = [&end](std::string_view text) { end = std::ranges::copy(text, end).out; };
  const auto put_number = [&](std::uint64_t value) { end = std::to_chars(end, body.data() + body.size(), value).ptr; };
  put(R"({"id":"chatcmpl-)");
  put_number(mixed(state));
  put(R"(","choices":[{"message":{"content":")");
  while (end - body.data() < 560) {
    const std::uint64_t bits = mixed(state);
    put(kWords[bits % kWords.size()]);
    put(" ");
    put(kWords[bits / 32 % kWords.size()]);
    put(" ");
    put_number(bits >> 44);
    put(" ");
  }
  put(R"("}}]})");
  outcome.body.assign(body.data(), end);
  task.fate = Fate::live;
  task.committed = false;
}

const git::Encoded& encoded_of(const Task& task) { return static_cast<const git::Encoded&>(*task.encoded); }

git::CommitOptions options_for(std::uint32_t per_commit) {
  git::CommitOptions options;
  options.commit_tasks = per_commit;
  options.commit_every = std::chrono::hours(1);  // commits are full, so that everybody's are the same
  options.run = kRun;
  return options;
}

/// Counts what comes back, which is in order.
class Back final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    for (const Task* task : tasks) {
      if (!task->committed) die(task->error ? task->error->context : "a task came back without a commit");
    }
    count_.fetch_add(tasks.size(), std::memory_order_release);  // release: the slots are free
    count_.notify_all();
  }
  void wait_for(std::uint64_t count) const {
    for (std::uint64_t now = count_.load(std::memory_order_acquire); now < count;
         now = count_.load(std::memory_order_acquire)) {
      count_.wait(now, std::memory_order_acquire);
    }
  }

 private:
  std::atomic<std::uint64_t> count_{0};
};

/// Encodes on all processors and hands over in order.
class Feed {
 public:
  Feed(Encoder& encoder, Stage& stage, const Back& back, std::uint64_t count, std::uint64_t streams)
      : encoder_(encoder), stage_(stage), back_(back), count_(count), streams_(streams), slots_(kInFlight) {}

  void run() {
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < std::max(2u, std::thread::hardware_concurrency()); ++i)
      workers.emplace_back([this] { work(); });
  }

 private:
  void work() {
    for (std::uint64_t batch = next_.fetch_add(1); batch * kBatch < count_; batch = next_.fetch_add(1)) {
      const std::uint64_t begin = batch * kBatch;
      const std::uint64_t end = std::min(begin + kBatch, count_);
      if (end > kInFlight) back_.wait_for(end - kInFlight);
      std::vector<Task*> tasks;
      for (std::uint64_t i = begin; i < end; ++i) {
        Task& task = slots_[i % kInFlight];
        fill(task, i, streams_);
        encoder_.encode(task);
        tasks.push_back(&task);
      }
      for (std::uint64_t turn = turn_.load(); turn != batch; turn = turn_.load()) turn_.wait(turn);
      stage_.take(tasks);
      turn_.store(batch + 1);
      turn_.notify_all();
    }
  }

  Encoder& encoder_;
  Stage& stage_;
  const Back& back_;
  const std::uint64_t count_;
  const std::uint64_t streams_;
  std::vector<Task> slots_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<std::uint64_t> turn_{0};
};

int run_pawl(const fs::path& folder, std::uint64_t count, std::uint32_t per_commit, std::uint64_t of_streams) {
  const auto repository = must(git::Repository::open({folder, "main", git::RepositoryOptions::Missing::fail}));
  const git::CommitOptions options = options_for(per_commit);
  const auto encoder = must(git::make_encoder(options));
  const auto stage = must(git::make_commit_stage(*repository, options));
  Back back;
  const Clock::time_point start = Clock::now();
  stage->attach(back);
  Feed feed(*encoder, *stage, back, count, of_streams);  // its tasks are the stage's until it has stopped
  feed.run();
  stage->hurry();
  back.wait_for(count);
  stage->stop();
  std::printf("{\"seconds\": %.6f}\n", std::chrono::duration<double>(Clock::now() - start).count());
  return 0;
}

/// The message that pawl gives a commit of these.
std::string message_of(const std::vector<Task>& tasks, std::uint64_t number) {
  std::set<std::string_view> streams;
  for (const Task& task : tasks) streams.insert(task.request.stream);
  const std::string subject =
      tasks.size() == 1 ? encoded_of(tasks[0]).subject : git::subject_of_many(tasks.size(), streams.size());
  return subject + "\n\nPawl-Run: " + git::run_name(kRun) + "\nPawl-Commit: " + std::to_string(number) +
         "\nPawl-Results: " + std::to_string(tasks.size()) + "\n";
}

void put_data(std::ofstream& out, std::string_view bytes) { out << "data " << bytes.size() << '\n' << bytes << '\n'; }

/// What git-fast-import(1) reads.
void put_for_fast_import(std::ofstream& out, const std::string& message, const std::vector<Task>& tasks) {
  out << "commit refs/heads/main\n";
  for (const char* role : {"author", "committer"}) out << role << " Ada Tester <ada@example.org> 1700000000 +0000\n";
  put_data(out, message);
  for (const Task& task : tasks) {
    out << "M 100644 inline " << encoded_of(task).path << '\n';
    put_data(out, encoded_of(task).content);
  }
}

/// A line "commit BYTES RESULTS" and BYTES of message, then for each result "PATH BYTES" and the content.
void put_for_scripts(std::ofstream& out, const std::string& message, const std::vector<Task>& tasks) {
  out << "commit " << message.size() << ' ' << tasks.size() << '\n' << message;
  for (const Task& task : tasks) {
    const git::Encoded& file = encoded_of(task);
    out << file.path << ' ' << file.content.size() << '\n' << file.content;
  }
}

int run_dump(bool for_fast_import, const fs::path& file, std::uint64_t count, std::uint32_t per_commit,
             std::uint64_t streams) {
  const auto encoder = must(git::make_encoder(options_for(per_commit)));
  std::ofstream out(file, std::ios::binary);
  std::uint64_t number = 0;
  for (std::uint64_t begin = 0; begin < count; begin += per_commit) {
    std::vector<Task> tasks(std::min<std::uint64_t>(per_commit, count - begin));
    for (std::uint64_t i = 0; i < tasks.size(); ++i) {
      fill(tasks[i], begin + i, streams);
      encoder->encode(tasks[i]);
    }
    const std::string message = message_of(tasks, ++number);
    for_fast_import ? put_for_fast_import(out, message, tasks) : put_for_scripts(out, message, tasks);
  }
  return out.flush() ? 0 : 2;
}

int run_files(const fs::path& folder, std::uint64_t count, std::uint64_t streams) {
  const auto encoder = must(git::make_encoder(options_for(1)));
  std::vector<Task> tasks(4096);
  Clock::duration took{};
  std::string last;
  for (std::uint64_t begin = 0; begin < count; begin += tasks.size()) {
    const std::uint64_t part = std::min<std::uint64_t>(tasks.size(), count - begin);
    for (std::uint64_t i = 0; i < part; ++i) {
      fill(tasks[i], begin + i, streams);
      encoder->encode(tasks[i]);
    }
    const Clock::time_point start = Clock::now();
    for (std::uint64_t i = 0; i < part; ++i) {
      const git::Encoded& file = encoded_of(tasks[i]);
      const fs::path path = folder / file.path;
      int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd < 0 && errno == ENOENT) {
        fs::create_directories(path.parent_path());
        fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      }
      if (fd < 0 || ::write(fd, file.content.data(), file.content.size()) != static_cast<ssize_t>(file.content.size()))
        die("cannot write " + path.string());
      ::close(fd);
    }
    took += Clock::now() - start;
  }
  std::printf("{\"seconds\": %.6f}\n", std::chrono::duration<double>(took).count());
  return 0;
}

int run_costs(std::uint64_t count) {
  const auto encoder = must(git::make_encoder(options_for(1)));
  std::vector<Task> tasks(count);
  for (std::uint64_t i = 0; i < count; ++i) fill(tasks[i], i, 64);
  const auto microseconds = [&](auto&& each) {
    const Clock::time_point start = Clock::now();
    for (Task& task : tasks) each(task);
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count() / static_cast<double>(count);
  };
  for (Task& task : tasks) encoder->encode(task);  // buffers are there then, as in a long run
  const double all = microseconds([&](Task& task) { encoder->encode(task); });
  unsigned sum = 0;
  const double careful = microseconds([&](Task& task) { sum += must(git::hash_blob(encoded_of(task).content))[0]; });
  const double plain =
      microseconds([&](Task& task) { sum += git::hash_object(git::ObjectType::blob, encoded_of(task).content)[0]; });
  std::string entry;
  const double deflate = microseconds([&](Task& task) {
    entry.clear();
    git::append_pack_entry(entry, git::ObjectType::blob, encoded_of(task).content);
  });
  std::uint64_t bytes = 0;
  for (const Task& task : tasks) bytes += encoded_of(task).content.size();
  std::printf(
      "{\"encode\": %.3f, \"hash_collision_detecting\": %.3f, \"hash_plain\": %.3f, \"deflate\": %.3f, "
      "\"bytes\": %llu, \"sum\": %u}\n",
      all, careful, plain, deflate, static_cast<unsigned long long>(bytes / count), sum);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto number = [&](std::size_t at) { return std::strtoull(words[at].c_str(), nullptr, 10); };
  const auto small = [&](std::size_t at) { return static_cast<std::uint32_t>(number(at)); };
  if (words.size() == 5 && words[0] == "pawl") return run_pawl(words[1], number(2), small(3), number(4));
  if (words.size() == 5 && (words[0] == "stream" || words[0] == "records"))
    return run_dump(words[0] == "stream", words[1], number(2), small(3), number(4));
  if (words.size() == 4 && words[0] == "files") return run_files(words[1], number(2), number(3));
  if (words.size() == 2 && words[0] == "costs") return run_costs(number(1));
  die("see the comment at the top of commit_history.cc");
}
