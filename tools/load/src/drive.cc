#include "drive.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <pawl/mockapi.h>

extern char** environ;

namespace pawl::load {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Measured {
  int exit_code = 0;
  double wall_s = 0;
  double cpu_s = 0;
  double server_cpu_s = 0;
  std::uint64_t rss_peak_kib = 0;
  std::uint64_t calls = 0;
  std::uint64_t committed = 0;
  std::map<std::string, double> cpu_by_thread;             // thread name → seconds
  std::vector<std::pair<std::string, double>> latency_ms;  // of calls, as pawl counts them: "p50" → milliseconds
};

std::string read_text(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The peak resident set so far ("VmHWM" of proc(5)), in KiB. Not ru_maxrss, which an exec inherits.
std::uint64_t rss_peak_kib(pid_t pid) {
  std::istringstream status(read_text(fmt::format("/proc/{}/status", pid)));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  return 0;
}

/// CPU seconds of each thread that is alive, by name; threads of one name are added up.
std::map<std::string, double> cpu_by_thread(pid_t pid) {
  std::map<std::string, double> seconds;
  std::error_code gone;  // threads end while we look
  for (const auto& thread : fs::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    const std::string stat = read_text(thread.path() / "stat");
    const auto open = stat.find('('), close = stat.rfind(')');
    if (close == std::string::npos) continue;
    std::istringstream fields(stat.substr(close + 1));
    std::string skipped;
    for (int i = 3; i < 14; ++i) fields >> skipped;  // proc(5): utime is field 14, stime 15
    double user = 0, system = 0;
    fields >> user >> system;
    seconds[stat.substr(open + 1, close - open - 1)] += (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  return seconds;
}

Result<void> write_tasks(const TaskOptions& options, const fs::path& path) {
  std::ofstream out(path, std::ios::binary);
  TaskLines lines(options);
  std::string buffer;
  for (bool more = true; more; buffer.clear()) {
    while (more && buffer.size() < (1u << 20)) more = lines.append_next(buffer);
    out << buffer;
  }
  if (!out.flush()) return failure(ErrorCode::io, "cannot write " + path.string(), errno);
  return {};
}

Result<pid_t> spawn(std::vector<std::string> words, const fs::path& errors) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int problem = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) return failure(ErrorCode::io, "cannot start " + words[0], problem);
  return pid;
}

/// Records on the branch, counted by git itself.
std::uint64_t count_records(const fs::path& repo) {
  std::uint64_t count = 0;
  const std::string command = "git -C '" + repo.string() + "' ls-tree -r --name-only HEAD";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return 0;
  char block[65536];
  for (std::size_t size = 0; (size = std::fread(block, 1, sizeof block, pipe)) > 0;)
    count += static_cast<std::uint64_t>(std::count(block, block + size, '\n'));
  return ::pclose(pipe) == 0 ? count : 0;
}

/// What pawl said at its end of how long calls took: `"latency_ms":{"p50":50.1,…}` in the last of the objects that
/// --progress json writes; empty if it said nothing.
std::vector<std::pair<std::string, double>> latencies_in(const std::string& progress) {
  constexpr std::string_view kName = "\"latency_ms\":{";
  std::vector<std::pair<std::string, double>> found;
  const auto at = progress.rfind(kName);
  if (at == std::string::npos) return found;
  const auto begin = at + kName.size();
  std::istringstream fields(progress.substr(begin, progress.find('}', begin) - begin));
  for (std::string field; std::getline(fields, field, ',');) {
    const auto colon = field.find(':');
    if (colon == std::string::npos || colon < 2) continue;
    found.emplace_back(field.substr(1, colon - 2), std::strtod(field.c_str() + colon + 1, nullptr));
  }
  return found;
}

Result<Measured> run_once(const DriveOptions& options, const fs::path& tasks, const fs::path& folder) {
  mockapi::Options serving;
  auto latency = mockapi::Latency::parse(options.latency);
  if (!latency) return std::unexpected(latency.error());
  serving.latency = *latency;
  serving.stats_per_key = false;
  auto server = mockapi::Server::start(serving);
  if (!server) return std::unexpected(server.error());
  const fs::path repo = folder / "repo";
  fs::remove_all(repo);
  std::vector<std::string> words = {options.pawl,
                                    "run",
                                    tasks.string(),
                                    "--repo",
                                    repo.string(),
                                    "--base-url",
                                    (*server)->base_url() + "/v1",
                                    "--parallel-max",
                                    std::to_string(options.parallel_max),
                                    "--commit-tasks",
                                    std::to_string(options.commit_tasks)};
  words.insert(words.end(), {"--progress", "json"});
  if (options.call_threads != 1) {
    words.insert(words.end(), {"--call-threads", std::to_string(options.call_threads)});
  }
  if (options.no_worktree) words.push_back("--no-worktree");
  if (options.durability != "sync") words.insert(words.end(), {"--durability", options.durability});
  const auto began = Clock::now();
  auto pid = spawn(words, folder / "errors");
  if (!pid) return std::unexpected(pid.error());
  Measured measured;
  int status = 0;
  rusage used{};
  while (::wait4(*pid, &status, WNOHANG, &used) == 0) {
    measured.rss_peak_kib = std::max(measured.rss_peak_kib, rss_peak_kib(*pid));
    for (const auto& [name, seconds] : cpu_by_thread(*pid)) {
      auto& most = measured.cpu_by_thread[name];
      most = std::max(most, seconds);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
  measured.wall_s = std::chrono::duration<double>(Clock::now() - began).count();
  measured.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  measured.cpu_s = seconds(used.ru_utime) + seconds(used.ru_stime);
  const auto served = (*server)->stats();
  measured.server_cpu_s = served.cpu_ms / 1000;
  measured.calls = served.calls;
  measured.committed = count_records(repo);
  measured.latency_ms = latencies_in(read_text(folder / "errors"));
  return measured;
}

void print(const DriveOptions& options, const std::vector<Measured>& runs) {
  const Measured& middle = runs[runs.size() / 2];  // sorted by time
  const double count = static_cast<double>(options.tasks.count);
  fmt::print("{} tasks, {} streams, bodies of {} B, latency {}, {} calls at once, {} run(s)\n", options.tasks.count,
             options.tasks.streams, options.tasks.body_bytes, options.latency, options.parallel_max, runs.size());
  fmt::print("  time        {:.2f} s ({:.2f} to {:.2f})\n", middle.wall_s, runs.front().wall_s, runs.back().wall_s);
  fmt::print("  rate        {:.0f} tasks/s\n", count / middle.wall_s);
  fmt::print("  processor   {:.1f} µs a task in pawl, {:.1f} µs in the server\n", 1e6 * middle.cpu_s / count,
             1e6 * middle.server_cpu_s / count);
  fmt::print("  memory      {:.1f} MiB at most\n", static_cast<double>(middle.rss_peak_kib) / 1024);
  fmt::print("  calls       {}\n", middle.calls);
  fmt::print("  in git      {} records\n", middle.committed);
  for (const auto& [name, seconds] : middle.cpu_by_thread)
    fmt::print("  thread      {:<15} {:5.1f} % of pawl's processor time, {:.1f} µs a task\n", name,
               100 * seconds / middle.cpu_s, 1e6 * seconds / count);
  const auto latency = mockapi::Latency::parse(options.latency);
  if (!middle.latency_ms.empty()) {
    std::string line = "  latency    ";
    for (const auto& [name, ms] : middle.latency_ms)
      line += fmt::format(" {} {:.1f} ms", name == "p999" ? "p99.9" : name, ms);
    if (latency && latency->mean_ms > 0) line += fmt::format(" (the server's own: {:.1f} ms)", latency->mean_ms);
    fmt::print("{}\n", line);
  }
  if (latency && latency->mean_ms > 0) {
    const double ideal_s = count * latency->mean_ms / 1000 / options.parallel_max;
    fmt::print("  makespan    {:.2f} of the ideal N·L/C = {:.2f} s\n", ideal_s / middle.wall_s, ideal_s);
  }
}

}  // namespace

Result<int> drive(const DriveOptions& given) {
  DriveOptions options = given;
  if (auto valid = options.tasks.validate(); !valid) return std::unexpected(valid.error());
  if (options.repeat < 1 || options.repeat > 1000) return failure(ErrorCode::usage, "--repeat must be 1 to 1000");
  if (options.pawl.empty()) {
    const fs::path own = fs::read_symlink("/proc/self/exe").parent_path();
    // Beside this program when installed, in the sibling folder in a build tree.
    options.pawl =
        (fs::exists(own / "pawl") && !fs::is_directory(own / "pawl") ? own / "pawl" : own / "../pawl/pawl").string();
  }
  std::string pattern = (fs::temp_directory_path() / "pawl-load-XXXXXX").string();
  if (options.folder.empty() && ::mkdtemp(pattern.data()) == nullptr)
    return failure(ErrorCode::io, "cannot make " + pattern, errno);
  const fs::path folder = options.folder.empty() ? fs::path(pattern) : fs::path(options.folder);
  fs::create_directories(folder);
  const fs::path tasks = folder / "tasks.jsonl";
  if (auto written = write_tasks(options.tasks, tasks); !written) return std::unexpected(written.error());
  std::vector<Measured> runs;
  int code = 0;
  for (unsigned i = 0; i < options.repeat && code == 0; ++i) {
    auto measured = run_once(options, tasks, folder);
    if (!measured) return std::unexpected(measured.error());
    if (measured->exit_code != 0 || measured->committed != options.tasks.count) {
      fmt::print(stderr, "pawl-load: pawl ended with {}, {} of {} records are committed:\n{}\n", measured->exit_code,
                 measured->committed, options.tasks.count, read_text(folder / "errors"));
      code = 1;
    }
    runs.push_back(*measured);
  }
  std::sort(runs.begin(), runs.end(), [](const auto& a, const auto& b) { return a.wall_s < b.wall_s; });
  print(options, runs);
  if (options.folder.empty()) fs::remove_all(folder);
  return code;
}

}  // namespace pawl::load
