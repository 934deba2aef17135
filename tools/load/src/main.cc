// pawl-load: makes task files for demos, tests and load, and drives load tests of the whole pipeline.
#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "drive.h"
#include "task_lines.h"

namespace {

using pawl::load::DriveOptions;
using pawl::load::Interleave;
using pawl::load::TaskLines;
using pawl::load::TaskOptions;

constexpr int kExitUsage = 2;
constexpr int kExitSystem = 3;
constexpr std::int64_t kMostTasks = 1'000'000'000'000;
constexpr std::int64_t kMostStreams = 1'000'000'000;
constexpr std::int64_t kMostBodyBytes = 64 << 20;
constexpr std::size_t kWriteBytes = 1 << 20;

constexpr const char* kExamples = R"(Examples:
  pawl-load tasks --count 1000 --streams 20 > tasks.jsonl
  pawl-load tasks --count 1000000 --body-bytes 4096 --interleave random --seed 7 -o tasks.jsonl
  pawl-load run --count 100000 --streams 64 --latency 50ms --parallel-max 1024 --repeat 3)";

int complain(std::string_view what, int number) {
  fmt::print(stderr, "pawl-load: {}: {}\n", what, std::generic_category().message(number));
  return kExitSystem;
}

struct CloseFile {
  void operator()(std::FILE* file) const noexcept {
    if (file != stdout) static_cast<void>(std::fclose(file));  // an error has shown itself at the flush before
  }
};

int make_tasks(const TaskOptions& options, const std::string& path) {
  if (const auto checked = options.validate(); !checked) {
    fmt::print(stderr, "pawl-load: {}\n", checked.error().context);
    return kExitUsage;
  }
  const std::unique_ptr<std::FILE, CloseFile> file(path.empty() || path == "-" ? stdout
                                                                               : std::fopen(path.c_str(), "wb"));
  if (!file) return complain("cannot write " + path, errno);
  std::setvbuf(file.get(), nullptr, _IONBF, 0);  // lines are gathered here
  TaskLines lines(options);
  std::string buffer;
  bool more = true;
  while (more) {
    buffer.clear();
    while (more && buffer.size() < kWriteBytes) more = lines.append_next(buffer);
    if (std::fwrite(buffer.data(), 1, buffer.size(), file.get()) != buffer.size())
      return complain("cannot write " + (path.empty() ? "to stdout" : path), errno);
  }
  return std::fflush(file.get()) == 0 ? 0 : complain("cannot write", errno);
}

void add_task_options(CLI::App& command, TaskOptions& options) {
  command.add_option("--count", options.count, "number of tasks")
      ->check(CLI::Range(std::int64_t{1}, kMostTasks))
      ->capture_default_str();
  command.add_option("--streams", options.streams, "number of streams they are spread over")
      ->check(CLI::Range(std::int64_t{1}, kMostStreams))
      ->capture_default_str();
  command.add_option("--body-bytes", options.body_bytes, "size of each request body")
      ->check(CLI::Range(std::int64_t{0}, kMostBodyBytes))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "of text and order")->capture_default_str();
  command.add_option("--model", options.model, "the model asked for")->capture_default_str();
  static const std::map<std::string, Interleave> orders = {
      {"round-robin", Interleave::round_robin}, {"random", Interleave::random}, {"blocks", Interleave::blocks}};
  command.add_option("--interleave", options.interleave, "order of streams: round-robin, random or blocks")
      ->transform(CLI::CheckedTransformer(orders, CLI::ignore_case).description(""))
      ->type_name("ORDER");
}

int run_load(const DriveOptions& options) {
  const auto code = pawl::load::drive(options);
  if (code) return *code;
  fmt::print(stderr, "pawl-load: {}\n", code.error().context);
  return code.error().code == pawl::ErrorCode::usage ? kExitUsage : kExitSystem;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes task files for demos, tests and load, and load-tests the whole pipeline.", "pawl-load");
  app.require_subcommand(1);
  app.footer(kExamples);
  TaskOptions options;
  std::string path;
  CLI::App* tasks =
      app.add_subcommand("tasks", "write OpenAI Batch lines with varied text, the same for the same seed");
  tasks->footer(kExamples);
  add_task_options(*tasks, options);
  tasks->add_option("-o,--output", path, "file to write (default: stdout)");
  DriveOptions driven;
  CLI::App* run = app.add_subcommand("run", "run pawl against the built-in API server and measure it");
  run->footer(kExamples);
  add_task_options(*run, driven.tasks);
  run->add_option("--latency", driven.latency, "of the server, as pawl-mockapi takes it")->capture_default_str();
  run->add_option("--parallel-max", driven.parallel_max, "calls at once")->capture_default_str();
  run->add_option("--call-threads", driven.call_threads, "as pawl run takes it")->capture_default_str();
  run->add_option("--commit-tasks", driven.commit_tasks, "most results in a commit")->capture_default_str();
  run->add_option("--repeat", driven.repeat, "runs; the median one and the spread are printed")->capture_default_str();
  run->add_option("--pawl", driven.pawl, "the tool under test (default: the one beside this)")->type_name("FILE");
  run->add_option("--folder", driven.folder, "where input and repository go and stay (default: temporary)")
      ->type_name("DIR");
  run->add_option("--durability", driven.durability, "sync, flush or none, as pawl run takes it")
      ->capture_default_str();
  run->add_flag("--no-worktree", driven.no_worktree, "commit without writing files");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return run->parsed() ? run_load(driven) : make_tasks(options, path);
}
