// The save stage against the least it could cost: records of 1 KB accepted in groups of 1, 64 and 1,024, beside a plain
// append and fdatasync of as many bytes. Every run checks that all came back saved. Files lie in TMPDIR.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <pawl/journal.h>

namespace pawl {
namespace {

constexpr std::size_t kBodyBytes = 900;  // about 1 KB with its header and names

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pawl-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;  // a bench folder in TMPDIR that stays is no result
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class CountingSink final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    count_.fetch_add(tasks.size(), std::memory_order_release);  // release: hands the tasks back to the waiter
    count_.notify_one();
  }
  void wait_for(std::uint64_t count) const {
    for (;;) {
      const std::uint64_t now = count_.load(std::memory_order_acquire);
      if (now >= count) return;
      count_.wait(now, std::memory_order_acquire);
    }
  }

 private:
  std::atomic<std::uint64_t> count_{0};  // tasks given back
};

std::vector<std::unique_ptr<Task>> make_tasks(std::size_t count) {
  std::vector<std::unique_ptr<Task>> tasks;
  for (std::size_t i = 0; i < count; ++i) {
    tasks.push_back(std::make_unique<Task>());
    Request& request = tasks.back()->request;
    request.task_id = {1, i + 1};
    request.stream = "bench";
    request.id = "task-" + std::to_string(i);
    request.method = "POST";
    request.url = "http://127.0.0.1/v1/answer";
    for (std::size_t k = 0; k < kBodyBytes; ++k) request.body.push_back(static_cast<char>(k * 37 + i));
  }
  return tasks;
}

benchmark::Counter seconds_each(std::uint64_t count) {
  return {static_cast<double>(count), benchmark::Counter::kIsRate | benchmark::Counter::kInvert};
}

// Two groups take turns: one is on its way to the disk while the other waits, as under load; groups of exactly this
// size, but where both get together. Segments are used again as in a long run.
void bm_journal_save(benchmark::State& state) {
  const Folder folder;
  const auto size = static_cast<std::size_t>(state.range(0));
  const auto tasks = make_tasks(2 * size);
  std::vector<Task*> both;
  for (const auto& task : tasks) both.push_back(task.get());
  auto journal = journal::Journal::open({.folder = folder.path()});
  if (!journal) return state.SkipWithError(journal.error().context.c_str());
  CountingSink sink;
  (*journal)->attach(sink);
  std::uint64_t given = 0;
  std::size_t turn = 0;
  const auto group = [&](std::size_t which) { return std::span(both).subspan((which & 1) * size, size); };
  (*journal)->take(group(turn));
  for (auto _ : state) {
    (*journal)->take(group(turn + 1));
    sink.wait_for(given += size);
    for (Task* task : group(turn)) {
      if (!task->saved) return state.SkipWithError("a task was not saved");
      task->saved = false;
    }
    (*journal)->release(group(turn++));
  }
  sink.wait_for(given += size);
  const journal::Stats stats = (*journal)->stats();
  if (stats.tasks != given) state.SkipWithError("the journal counted other tasks");
  state.SetItemsProcessed(static_cast<std::int64_t>(given - size));
  state.counters["per_record"] = seconds_each(given - size);
  state.counters["syncs_per_group"] = static_cast<double>(stats.syncs) / static_cast<double>(stats.groups);
  state.counters["record_bytes"] = static_cast<double>(stats.bytes) / static_cast<double>(given);
}
BENCHMARK(bm_journal_save)->ArgName("group")->Arg(1)->Arg(64)->Arg(1024)->UseRealTime();

// The same bytes appended to a growing file, one write and one fdatasync per group, on this thread.
void bm_append_fdatasync(benchmark::State& state) {
  const Folder folder;
  const int file = ::open((folder.path() / "file").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::vector<char> bytes(static_cast<std::size_t>(state.range(0)) * 1064, 'x');
  std::int64_t records = 0;
  for (auto _ : state) {
    if (::write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) || ::fdatasync(file) != 0)
      return state.SkipWithError("cannot write");
    records += state.range(0);
  }
  ::close(file);
  state.SetItemsProcessed(records);
  state.counters["per_record"] = seconds_each(static_cast<std::uint64_t>(records));
}
BENCHMARK(bm_append_fdatasync)->ArgName("group")->Arg(1)->Arg(64)->Arg(1024)->UseRealTime();

// What a task costs the writer and its neighbours in CPU when no sync is in the way.
void bm_journal_save_flush_answer_release(benchmark::State& state) {
  const Folder folder;
  const auto tasks = make_tasks(static_cast<std::size_t>(state.range(0)));
  std::vector<Task*> batch;
  for (const auto& task : tasks) {
    batch.push_back(task.get());
    task->outcome.kind = Outcome::Kind::answered;
    task->outcome.body.assign(kBodyBytes, 'a');
  }
  auto journal = journal::Journal::open({.folder = folder.path(), .durability = journal::Durability::flush});
  if (!journal) return state.SkipWithError(journal.error().context.c_str());
  CountingSink sink;
  (*journal)->attach(sink);
  std::uint64_t given = 0;
  for (auto _ : state) {
    (*journal)->take(batch);
    sink.wait_for(given += batch.size());
    (*journal)->note_answers(batch);
    (*journal)->release(batch);
  }
  (*journal)->stop();
  const journal::Stats stats = (*journal)->stats();
  if (stats.tasks != given || stats.answers + stats.answers_dropped != given) state.SkipWithError("counts differ");
  if (!std::filesystem::is_empty(folder.path())) state.SkipWithError("something was left behind");
  state.SetItemsProcessed(static_cast<std::int64_t>(given));
  state.counters["answers_dropped"] = static_cast<double>(stats.answers_dropped);
}
BENCHMARK(bm_journal_save_flush_answer_release)->ArgName("group")->Arg(1024)->UseRealTime()->MeasureProcessCPUTime();

}  // namespace
}  // namespace pawl
