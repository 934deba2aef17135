#include "joblog.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include <pawl/thread.h>

#include "run_view.h"

namespace pawl::tool {
namespace {

constexpr std::string_view kHeader = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
constexpr std::chrono::milliseconds kJobLogEvery{200};
// Some 500,000 lines: a disk that takes none for so long has stopped the run before.
constexpr std::size_t kJobLogBytesMax = 64u << 20;

/// curl's exit code for a failure: names in http.h, numbers in curl(1).
struct CurlCode {
  std::string_view failure;
  int code;
};
constexpr std::array kCurlCodes = {
    CurlCode{"bad_url", 3},
    CurlCode{"proxy_failed", 5},
    CurlCode{"dns_failed", 6},
    CurlCode{"connect_failed", 7},
    CurlCode{"host_down", 7},
    CurlCode{"bad_response", 8},
    CurlCode{"truncated", 18},
    CurlCode{"out_of_memory", 27},
    CurlCode{"timeout", 28},
    CurlCode{"tls_failed", 35},
    CurlCode{"too_many_redirects", 47},
    CurlCode{"connection_reset", 56},
    CurlCode{"tls_setup_failed", 58},
    CurlCode{"certificate_invalid", 60},
    CurlCode{"response_too_large", 63},
    CurlCode{"proxy_refused", 97},
};

/// Tabs and line ends would be taken for those of the file; other control characters for those of a terminal.
void append_column(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || byte == '\\')
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    else
      out += c;
  }
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(file, text.data(), text.size());
    if (wrote < 0 && errno != EINTR) return false;
    if (wrote > 0) text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

/// Where the last whole line of a file of `size` bytes ends; 0: it has none.
off_t end_of_lines(int file, off_t size) {
  std::array<char, 4096> piece;
  while (size > 0) {
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(piece.size()));
    const ssize_t got = ::pread(file, piece.data(), static_cast<std::size_t>(size - from), from);
    if (got <= 0) return 0;
    const auto end = std::string_view(piece.data(), static_cast<std::size_t>(got)).rfind('\n');
    if (end != std::string_view::npos) return from + static_cast<off_t>(end) + 1;
    size = from;
  }
  return 0;
}

/// Makes the file end behind its header or a whole line. Errors: io, usage.
Result<void> prepare(int file, const std::string& path) {
  const auto cannot = [&] {
    return failure(ErrorCode::io, "cannot write --joblog " + path + ": " + std::strerror(errno), errno);
  };
  struct stat about{};
  if (::fstat(file, &about) != 0) return cannot();
  const bool regular = S_ISREG(about.st_mode);
  if (regular && about.st_size > 0) {
    std::string first(kHeader.size(), '\0');
    const ssize_t got = ::pread(file, first.data(), first.size(), 0);
    if (got < 0) return cannot();
    first.resize(static_cast<std::size_t>(got));
    if (!kHeader.starts_with(first))
      return failure(ErrorCode::usage, "--joblog " + path + " is there and does not begin as a job log does");
    const off_t end = end_of_lines(file, about.st_size);
    if (end != about.st_size && ::ftruncate(file, end) != 0) return cannot();
    if (end > 0) return {};
  }
  return write_all(file, kHeader) ? Result<void>() : cannot();
}

}  // namespace

int exit_value(const Outcome& outcome) noexcept {
  if (outcome.success()) return 0;
  if (outcome.kind == Outcome::Kind::answered) return outcome.status_code;
  const auto* const found = std::ranges::find(kCurlCodes, outcome.error_code, &CurlCode::failure);
  return found == kCurlCodes.end() ? 1 : found->code;
}

Result<std::unique_ptr<JobLog>> JobLog::open(const std::string& path, Mask mask, Complain complain) {
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0 && errno != ENOENT) file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);  // a pipe's end
  if (file < 0) return failure(ErrorCode::io, "cannot write --joblog " + path + ": " + std::strerror(errno), errno);
  if (auto prepared = prepare(file, path); !prepared) return ::close(file), std::unexpected(prepared.error());
  return std::unique_ptr<JobLog>(new JobLog(file, path, std::move(mask), std::move(complain)));
}

JobLog::JobLog(int file, std::string path, Mask mask, Complain complain)
    : file_(file), path_(std::move(path)), mask_(std::move(mask)), complain_(std::move(complain)) {
  thread_ = std::thread([this] {
    name_this_thread("pawl-joblog");
    put_this_thread_behind();
    run();
  });
}

JobLog::~JobLog() {
  stop();
  ::close(file_);
}

void JobLog::note(const Task& task) {
  const Outcome& outcome = task.outcome;
  const auto started = std::chrono::duration_cast<std::chrono::milliseconds>(outcome.started.time_since_epoch());
  const std::string& url = task.request.url;
  // Without its query, which may hold what others should not read.
  std::string command = task.request.stream + '/' + task.request.id + ' ' + url.substr(0, url.find('?'));
  if (mask_) mask_(command);
  std::string host(host_of(task.request.url));
  if (mask_) mask_(host);
  std::string line = fmt::format("{}\t", task.request.task_id.ordinal);
  append_column(line, host);
  fmt::format_to(std::back_inserter(line), "\t{}.{:03}\t{:10.3f}\t{}\t{}\t{}\t0\t", started.count() / 1000,
                 started.count() % 1000, static_cast<double>(outcome.duration.count()) / 1000, task.request.body.size(),
                 outcome.body.size(), exit_value(outcome));
  append_column(line, command);
  line += '\n';
  const std::lock_guard lock(mutex_);
  if (lines_.size() + line.size() > kJobLogBytesMax)
    ++lost_;
  else
    lines_ += line;
}

void JobLog::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void JobLog::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    const bool last = stopped_.wait_for(lock, kJobLogEvery, [this] { return stopping_; });
    const std::string lines = std::exchange(lines_, {});
    lock.unlock();
    if (!lines.empty()) write_out(lines);
    lock.lock();
    if (last) break;
  }
  if (lost_ != 0) complain_(fmt::format("--joblog {}: {} lines are lost; the branch has the results", path_, lost_));
}

void JobLog::write_out(const std::string& lines) {
  if (write_all(file_, lines)) return;
  const std::string why = std::strerror(errno);
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = lost_ == 0;
    lost_ += static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
  }
  if (first) complain_(fmt::format("--joblog {}: cannot be written: {}; the run goes on", path_, why));
}

}  // namespace pawl::tool
