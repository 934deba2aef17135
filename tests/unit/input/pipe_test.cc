#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "random_lines.h"
#include "reading.h"
#include "temp_dir.h"

namespace pawl::input {
namespace {

/// A pipe that the reader opens by its path; ends are closed with the object.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  void close_end(std::size_t end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }
  [[nodiscard]] int write_end() const { return ends_[1]; }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(ends_[0]); }

 private:
  std::array<int, 2> ends_{-1, -1};
};

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    ASSERT_GT(put, 0) << errno;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(PipeInput, ThreeByteWritesGiveTheSameTasksAsAFile) {
  RandomLines lines(random_seed());
  std::string content = "\xef\xbb\xbf\r\n";
  for (std::size_t i = 0; i < 300; ++i) {
    Request ignored;
    content += lines.line(i, "in", ignored) + (lines.below(2) == 0 ? "\n" : "\r\n");
    if (lines.below(20) == 0) content += "broken \n";
  }
  const test::TempDir dir;
  write_file(dir / "in", content);
  const ReadAll from_file = read_all(*open_reader(dir / "in", kBatch));

  Pipe pipe;
  auto reader = Reader::open({pipe.path(), "in"}, kBatch);
  ASSERT_TRUE(reader.has_value()) << reader.error().context;
  EXPECT_EQ((*reader)->bytes_total(), std::nullopt);
  std::thread writer([&] {
    for (std::size_t at = 0; at < content.size(); at += 3) write_all(pipe.write_end(), content.substr(at, 3));
    pipe.close_end(1);
  });
  const ReadAll from_pipe = read_all(**reader);
  writer.join();

  ASSERT_EQ(from_pipe.tasks.size(), from_file.tasks.size());
  EXPECT_EQ(from_pipe.tasks.size(), 300u);
  EXPECT_EQ(from_pipe.errors.size(), from_file.errors.size());
  for (std::size_t i = 0; i < from_pipe.tasks.size(); ++i) {
    ASSERT_TRUE(same_task(from_pipe.tasks[i], from_file.tasks[i])) << i;
  }
  EXPECT_EQ((*reader)->bytes_read(), content.size());
}

TEST(PipeInput, ALineIsATaskAsSoonAsItIsWritten) {
  Pipe pipe;
  write_all(pipe.write_end(), "one\ntw");  // the writer stays, and is in the middle of a line
  auto reader = Reader::open({pipe.path(), "in"}, {.url = "http://h"});
  ASSERT_TRUE(reader.has_value());
  Request request;
  ASSERT_TRUE((*reader)->next(request).value());
  EXPECT_EQ(request.body, "one");
  write_all(pipe.write_end(), "o\n");
  ASSERT_TRUE((*reader)->next(request).value());
  EXPECT_EQ(request.body, "two");
  pipe.close_end(1);
  EXPECT_FALSE((*reader)->next(request).value());
  EXPECT_FALSE((*reader)->cancelled());
}

/// State of the thread `tid` of this process as the kernel sees it: 'S' when it sleeps.
char thread_state(pid_t tid) {
  std::ifstream stat("/proc/self/task/" + std::to_string(tid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  const std::size_t behind_name = text.rfind(") ");
  return behind_name == std::string::npos ? '?' : text[behind_name + 2];
}

/// Returns once the thread sleeps, or fails after a minute.
void await_sleep(const std::atomic<pid_t>& tid) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (tid.load() == 0 || thread_state(tid.load()) != 'S') {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the reader never waits";
    std::this_thread::yield();
  }
}

TEST(PipeInput, CancelEndsABlockedRead) {
  Pipe pipe;
  const int cancel_fd = ::eventfd(0, EFD_CLOEXEC);
  Options options = kBatch;
  options.cancel_fd = cancel_fd;
  auto reader = Reader::open({pipe.path(), "in"}, options);
  ASSERT_TRUE(reader.has_value());
  std::atomic<pid_t> tid = 0;
  bool task = true;
  std::thread blocked([&] {
    Request request;
    tid = ::gettid();
    task = (*reader)->next(request).value_or(true);
  });
  await_sleep(tid);
  EXPECT_EQ(::eventfd_write(cancel_fd, 1), 0);
  blocked.join();
  EXPECT_FALSE(task);
  EXPECT_TRUE((*reader)->cancelled());
  ::close(cancel_fd);
}

TEST(PipeInput, CancelEndsTheWaitForTheFirstLineAndForTheWriterOfANamedPipe) {
  const test::TempDir dir;
  const std::string path = (dir / "fifo").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int cancel_fd = ::eventfd(0, EFD_CLOEXEC);
  std::atomic<pid_t> tid = 0;
  bool task = true, cancelled = false;
  std::thread blocked([&] {
    tid = ::gettid();
    auto reader = Reader::open({path, ""}, {.cancel_fd = cancel_fd});  // looks at the first line
    ASSERT_TRUE(reader.has_value()) << reader.error().context;
    Request request;
    task = (*reader)->next(request).value_or(true);
    cancelled = (*reader)->cancelled();
  });
  await_sleep(tid);
  EXPECT_EQ(::eventfd_write(cancel_fd, 1), 0);
  blocked.join();
  EXPECT_FALSE(task);
  EXPECT_TRUE(cancelled);
  ::close(cancel_fd);
}

TEST(PipeInput, ANamedPipeIsReadFromItsFirstWriterToItsLast) {
  const test::TempDir dir;
  const std::string path = (dir / "fifo").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  ReadAll all;
  std::atomic<pid_t> tid = 0;
  std::thread reading([&] {
    tid = ::gettid();
    auto reader = Reader::open({path, "in"}, {.format = Format::lines, .url = "http://h"});
    ASSERT_TRUE(reader.has_value()) << reader.error().context;
    all = read_all(**reader);
  });
  await_sleep(tid);
  write_file(path, "a\nb");
  reading.join();
  EXPECT_EQ(all.tasks.size(), 2u);
}

extern "C" void count_signal(int) {}

TEST(PipeInput, ASignalDoesNotEndAWaitingRead) {
  struct sigaction action{};
  action.sa_handler = count_signal;  // no SA_RESTART: poll() and read() return EINTR
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  Pipe pipe;
  auto reader = Reader::open({pipe.path(), "in"}, {.format = Format::lines, .url = "http://h"});
  ASSERT_TRUE(reader.has_value());
  std::atomic<pid_t> tid = 0;
  Result<bool> task = false;
  Request request;
  std::thread blocked([&] {
    tid = ::gettid();
    task = (*reader)->next(request);
  });
  for (int i = 0; i < 10; ++i) {
    await_sleep(tid);
    EXPECT_EQ(::pthread_kill(blocked.native_handle(), SIGUSR1), 0);
  }
  write_all(pipe.write_end(), "line\n");
  blocked.join();
  ASSERT_TRUE(task.has_value()) << task.error().context;
  EXPECT_TRUE(*task);
  EXPECT_EQ(request.body, "line");
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(PipeInput, StandardInputIsReadAndLeftOpen) {
  const int saved = ::dup(STDIN_FILENO);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
  write_all(ends[1], "hello\n\xff\n");
  ::close(ends[1]);
  {
    auto reader = Reader::open({"-", ""}, {.format = Format::lines, .url = "http://h"});
    ASSERT_TRUE(reader.has_value());
    const ReadAll all = read_all(**reader);
    ASSERT_EQ(all.tasks.size(), 1u);
    EXPECT_EQ(all.tasks[0].id, "stdin:1");
    ASSERT_EQ(all.errors.size(), 1u);
    EXPECT_EQ(all.errors[0].context, "stdin:2:1: expected valid UTF-8, got byte 0xff");
  }
  EXPECT_GE(::fcntl(STDIN_FILENO, F_GETFD), 0);
  if (saved >= 0) ::dup2(saved, STDIN_FILENO);
  if (saved >= 0) ::close(saved);
  ::close(ends[0]);
}

TEST(PipeInput, AFailingReadIsAnIoErrorAndThenTheEnd) {
  // Reading /proc/self/mem at address 0 fails with EIO: a read error that needs no privileges.
  auto reader = Reader::open({"/proc/self/mem", ""}, {.format = Format::lines, .url = "http://h"});
  ASSERT_TRUE(reader.has_value()) << reader.error().context;
  Request request;
  const auto failed = (*reader)->next(request);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::io);
  EXPECT_EQ(failed.error().sys_errno, EIO);
  EXPECT_EQ(failed.error().context, "cannot read /proc/self/mem: Input/output error");
  const auto after = (*reader)->next(request);
  ASSERT_TRUE(after.has_value());
  EXPECT_FALSE(*after);
}

/// Writes `bytes` of batch lines of about 1 KB each.
void write_lines(int fd, std::size_t bytes) {
  const std::string tail = R"(","method":"POST","url":"/x","body":{"text":")" + std::string(940, 'x') + "\"}}\n";
  std::string chunk;
  for (std::size_t written = 0, id = 0; written < bytes; written += chunk.size()) {
    chunk.clear();
    for (int i = 0; i < 60; ++i) chunk += R"({"custom_id":"request-)" + std::to_string(id++) + tail;
    write_all(fd, chunk);
  }
}

TEST(PipeInput, MemoryStaysSmallWhateverThePipeBrings) {
  constexpr std::size_t kBytes = 300'000'000;
  Pipe pipe;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    pipe.close_end(0);
    write_lines(pipe.write_end(), kBytes);
    ::_exit(0);
  }
  pipe.close_end(1);
  auto reader = Reader::open({pipe.path(), "in"}, kBatch);
  ASSERT_TRUE(reader.has_value());
  Request request;
  ASSERT_TRUE((*reader)->next(request).value());
  const std::size_t before = resident_bytes();
  std::size_t tasks = 1;
  std::size_t most = before;
  while (true) {
    const auto got = (*reader)->next(request);
    ASSERT_TRUE(got.has_value()) << got.error().context;
    if (!*got) break;
    if (++tasks % 10'000 == 0) most = std::max(most, resident_bytes());
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_GE((*reader)->bytes_read(), kBytes);
  EXPECT_GE(tasks, kBytes / 1100);
  EXPECT_LT(most - before, std::size_t{50} << 20);
}

}  // namespace
}  // namespace pawl::input
