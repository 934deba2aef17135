// pawl: the command line.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include "completion.h"
#include "ctl.h"
#include "described.h"
#include "exit_code.h"
#include "export.h"
#include "man_page.h"
#include "options.h"
#include "remembered.h"
#include "report.h"
#include "session.h"
#include "shell/line_editor.h"
#include "shell/run_shell.h"
#include "signals.h"
#include "status.h"
#include "top/top.h"
#include "verify.h"

namespace pawl::tool {
namespace {

constexpr const char* kAbout =
    "Feeds tasks that wait (API calls) through one pipeline and commits the results to a git repository,\n"
    "in order within each stream, each exactly once.";

constexpr const char* kRunExamples = R"(
Examples:
  pawl run tasks.jsonl --repo results --base-url https://api.openai.com/v1
  pawl run urls.txt --repo pages --layout raw
  printf 'one\ntwo\n' | pawl run - --repo try --api builtin
  pawl run --failed results
  pawl run prompts.txt --repo out --url http://127.0.0.1:8000/v1/completions \
      --body '{"model":"m","prompt":{line:json}}'

TIME is 500ms, 30s, 10m or 2h; a number alone is seconds.

Exit codes: 0 all committed, all answers 2xx; 1 some failed (recorded, now or before) or lines skipped;
2 usage; 3 repository, journal or disk; 4 input; 7 unfinished, `pawl resume` continues; 70 a bug.)";

constexpr const char* kResumeExamples = R"(
Examples:
  pawl resume results
  pawl resume results --on-unknown hold   # first look at what may have been called already: pawl status results
Options given here replace those of the run before. TIME is 500ms, 30s, 10m or 2h; a number alone is seconds.)";

constexpr const char* kShellExamples = R"(
Examples:
  pawl shell --repo answers --url https://api.openai.com/v1/chat/completions \
      --body '{"model":"gpt-4o-mini","messages":[{"role":"user","content":{line:json}}]}'
  pawl shell --repo try --api builtin
At the prompt /help lists what there is beside tasks. Without a terminal it takes the same from standard input.
The history is in $XDG_STATE_HOME/pawl/history (~/.local/state without it), for you alone; a line that begins with a
space is not kept there.

TIME is 500ms, 30s, 10m or 2h; a number alone is seconds. Exit codes: as `pawl run`.)";

constexpr const char* kTopExamples = R"(
Examples:
  pawl top results
Stages, lanes (a server and its model), the slowest streams, the last errors, time left, budgets. Without a terminal
it is `pawl status results --watch`.)";

constexpr const char* kStatusExamples = R"(
Examples:
  pawl status results
  pawl status results --json
  pawl status results --watch
Of a live run, through its socket; of one that has ended or died, from the branch and the journal: what is committed,
what is saved and not committed, what failed, what to do next. The fields of --json: adapters/observe/format.md.)";

constexpr const char* kControlExamples = R"(
Examples:
  pawl ctl results pause                  # no new call leaves; those on their way finish
  pawl ctl results resume
  pawl ctl results set parallel-max=64 rate=500/m
  pawl ctl results drain                  # as Ctrl-C once
  pawl ctl results stop                   # as Ctrl-C twice
KEY=VALUE is as the options of pawl run: parallel-max, rate, rate-tokens, log-level. `pawl resume` goes on with it, and
`pawl run --failed`.

Exit codes: 0 done; 2 no run is live, or no such key or value; 3 the run cannot be reached, is another user's,
or could not remember it.)";

constexpr const char* kExportExamples = R"(
Examples:
  pawl export results > results.jsonl
  pawl export results --output results.jsonl --failures errors.jsonl --failed-input again.jsonl
  pawl run again.jsonl --repo results --retry-failed
Results are OpenAI Batch output lines, by stream and in the order of its tasks.
A file is written whole or not at all.)";

constexpr const char* kVerifyExamples = R"(
Examples:
  pawl verify results
  pawl verify results --json
Prints nothing if all is sound and nothing was interrupted: lines with `note:` say what a run that was leaves for the
next one, which is no fault. Objects themselves are git's to check: git -C results fsck

Exit codes: 0 sound; 1 faults, one a line; 2 usage; 3 repository or journal unreadable.)";

constexpr const char* kReportExamples = R"(
Examples:
  pawl report results
  pawl report results --output /var/www/results.html
One HTML page that needs nothing else: timeline, throughput, latency, retries, slowest tasks, streams, failures.
It is made from the branch's records and the journal, so it can be made at any time, also of a clone.)";

constexpr const char* kManExamples = R"(
Examples:
  pawl man | man -l -
  pawl man > ~/.local/share/man/man1/pawl.1)";

constexpr const char* kCompletionExamples = R"(
Examples:
  source <(pawl completion bash)   # in ~/.bashrc
  source <(pawl completion zsh)    # in ~/.zshrc, behind compinit
  pawl completion fish | source    # in ~/.config/fish/config.fish
An installed pawl has put them where the shells look for them by themselves.)";

struct CommandLine {
  RunOptions run;
  StatusOptions status;
  TopOptions top;
  ControlOptions controlled;
  ExportOptions exported;
  VerifyOptions verify;
  ReportOptions report;
  std::string shell;  // of `completion`
  CLI::App app{kAbout, "pawl"};
  CLI::App* run_command = nullptr;
  CLI::App* resume_command = nullptr;
  CLI::App* shell_command = nullptr;
  CLI::App* status_command = nullptr;
  CLI::App* top_command = nullptr;
  CLI::App* control_command = nullptr;
  CLI::App* export_command = nullptr;
  CLI::App* verify_command = nullptr;
  CLI::App* report_command = nullptr;
  CLI::App* man_command = nullptr;
  CLI::App* completion_command = nullptr;

  explicit CommandLine(const RunOptions& defaults) : run(defaults) {
    app.set_version_flag("--version", std::string("pawl ") + PAWL_VERSION);
    app.require_subcommand(1);
    run_command = app.add_subcommand("run", "feed tasks, call the API, commit the results");
    add_input_options(*run_command, run);
    auto* repo =
        run_command->add_option("--repo", run.repo, "repository of the results; made if missing")->type_name("DIR");
    run_command
        ->add_option(
            "--failed", run.failed,
            "no INPUT: run the failed tasks of REPO again, with the options of the run before unless given here")
        ->excludes(repo)
        ->type_name("REPO");
    add_shared_options(*run_command, run);
    run_command->footer(kRunExamples);
    shell_command = app.add_subcommand("shell", "a prompt: each line is a task, results appear as they are committed");
    add_input_options(*shell_command, run);
    shell_command->remove_option(shell_command->get_option("INPUT"));
    shell_command->add_option("--repo", run.repo, "repository of the results; made if missing")
        ->required()
        ->type_name("DIR");
    add_shared_options(*shell_command, run);
    shell_command->footer(kShellExamples);
    resume_command = app.add_subcommand("resume", "finish what an interrupted run had accepted");
    resume_command->add_option("REPO", run.repo, "repository of the results")->required();
    add_shared_options(*resume_command, run);
    resume_command->footer(kResumeExamples);
    status_command = app.add_subcommand("status", "what waits, runs, is done, failed");
    status_command->add_option("REPO", status.repo, "repository of the results")->required();
    status_command->add_flag("--json", status.json, "one JSON object");
    status_command->add_flag("--watch", status.watch, "again every second, until the run ends");
    status_command->footer(kStatusExamples);
    top_command = app.add_subcommand("top", "a live run on the whole terminal; q leaves it");
    top_command->add_option("REPO", top.repo, "repository of the results")->required();
    top_command->footer(kTopExamples);
    control_command = app.add_subcommand("ctl", "steer a live run: pause, resume, drain, stop, set");
    control_command->add_option("REPO", controlled.repo, "repository of the results")->required();
    control_command->add_option("ACTION", controlled.action, "what to do")
        ->required()
        ->check(CLI::IsMember({"pause", "resume", "drain", "stop", "set"}));
    control_command->add_option("SETTING", controlled.settings, "of set: what to set")->type_name("KEY=VALUE");
    control_command->footer(kControlExamples);
    export_command = app.add_subcommand("export", "results and failures as OpenAI Batch lines");
    export_command->add_option("REPO", exported.repo, "repository of the results")->required();
    export_command->add_option("-o,--output", exported.output, "results: answers with 2xx, as batch output lines")
        ->type_name("FILE|-")
        ->capture_default_str();
    export_command->add_option("--failures", exported.failures, "all others, as batch output lines")
        ->type_name("FILE|-");
    export_command
        ->add_option("--failed-input", exported.failed_input, "the same, as input lines that `pawl run` takes")
        ->type_name("FILE|-");
    export_command->add_flag("--unfinished", exported.unfinished,
                             "tasks that wait in the journal, too: in --failures with error code batch_expired, in "
                             "--failed-input as they are");
    export_command->add_option("--branch", exported.branch, "branch to read (default: that of the last run)");
    export_command->footer(kExportExamples);
    verify_command = app.add_subcommand("verify", "audit the branch and the journal; changes nothing");
    verify_command->add_option("REPO", verify.repo, "repository of the results")->required();
    verify_command->add_option("--branch", verify.branch, "branch to audit (default: that of the last run)");
    verify_command->add_flag("--json", verify.json, "one JSON object");
    verify_command->footer(kVerifyExamples);
    add_report_command();
    man_command = app.add_subcommand("man", "this program's manual page, for man(1)");
    man_command->footer(kManExamples);
    completion_command = app.add_subcommand("completion", "a script that completes pawl's command line in a shell");
    completion_command->add_option("SHELL", shell, "for which")->required()->check(CLI::IsMember(completion_shells()));
    completion_command->footer(kCompletionExamples);
  }

  void add_report_command();
};

void CommandLine::add_report_command() {
  report_command = app.add_subcommand("report", "one HTML page: how it went, how fast, what failed");
  report_command->add_option("REPO", report.repo, "repository of the results")->required();
  report_command->add_option("-o,--output", report.output, "where the page goes")
      ->type_name("FILE|-")
      ->capture_default_str();
  report_command->add_option("--branch", report.branch, "branch to read (default: that of the last run)");
  report_command->footer(kReportExamples);
}

/// What stands where a subcommand belongs; null: nothing, or an option.
const char* unknown_subcommand(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return nullptr;
  const auto known = app.get_subcommands([&](const CLI::App* command) { return command->get_name() == argv[1]; });
  return known.empty() ? argv[1] : nullptr;
}

/// Of a command that is there for what it prints: its exit code, unless that could not be written.
template <class Command>
int print_with(Command command) {
  ExitCode code = kAllDone;
  try {
    code = static_cast<ExitCode>(command());
  } catch (const std::system_error&) {  // fmt's, when the buffer is full
    if (std::ferror(stdout) == 0) throw;
  }
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "pawl: cannot write to standard output%s%s\n", errno != 0 ? ": " : "",
               errno != 0 ? std::strerror(errno) : "");
  return kStorage;
}

/// CLI11's own codes become ours; help goes to standard output, errors to standard error.
int refuse(CommandLine& line, const CLI::ParseError& error) {
  return print_with([&] { return line.app.exit(error) == 0 ? kAllDone : kUsage; });
}

/// What is given with --failed alone, and what without. Throws CLI::ParseError.
void check_source(const CommandLine& line) {
  if (line.run.failed.empty()) {
    if (line.run.inputs.empty()) throw CLI::RequiredError("INPUT (or --failed REPO)");
    if (line.run.repo.empty()) throw CLI::RequiredError("--repo");
    return;
  }
  for (const CLI::Option* option : line.run_command->get_options())
    if (option->count() != 0 && option->get_group() == "Input" && option->get_envname().empty())
      throw CLI::ExcludesError("--failed", option->get_name());
  if (!line.run.inputs.empty()) throw CLI::ExcludesError("--failed", "INPUT");
}

/// What is written about the command line itself.
int write_about(const CommandLine& line) {
  const DescribedTool tool = described(line.app, setting_keys());
  fmt::print("{}", line.man_command->parsed() ? man_page(tool) : completion(tool, line.shell));
  return kAllDone;
}

/// A session on a repository that is there, with the options of the run before it.
int go_on(int argc, char** argv, const std::string& repo, Mode mode) {
  RunOptions saved;
  auto file = settings_file(repo);
  if (!file) return std::fprintf(stderr, "pawl: %s\n", file.error().context.c_str()), exit_code_of(file.error());
  if (auto read = read_settings(saved, *file); !read)
    return std::fprintf(stderr, "pawl: %s\n", read.error().context.c_str()), exit_code_of(read.error());
  CommandLine again(saved);  // what is given on the command line replaces what was saved
  try {
    again.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return refuse(again, error);
  }
  forget_what_is_excluded(mode == Mode::resume ? *again.resume_command : *again.run_command, again.run);
  again.run.repo = repo;
  return run_session(again.run, mode);
}

/// The last words, said without asking for memory.
const char* why_it_ends() noexcept {
  try {
    if (std::current_exception()) std::rethrow_exception(std::current_exception());
  } catch (const std::bad_alloc&) {
    return "pawl: out of memory; accepted tasks are in the journal, `pawl resume` continues\n";
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again)
      return "pawl: the system gives no more threads; accepted tasks are in the journal, `pawl resume` continues\n";
  } catch (const std::exception&) {
    // as below
  }
  return "pawl: bug: an exception that nobody expected; accepted tasks are in the journal\n";
}

}  // namespace
}  // namespace pawl::tool

int main(int argc, char** argv) {
  using namespace pawl::tool;
  std::set_terminate([] {
    LineEditor::restore_terminal();
    std::fputs(why_it_ends(), stderr);
    std::_Exit(kBug);
  });
  block_signals();
  CommandLine line{RunOptions{}};
  if (const char* word = unknown_subcommand(line.app, argc, argv)) {
    std::fprintf(stderr, "pawl: there is no subcommand %s; pawl --help shows those there are\n", word);
    return kUsage;
  }
  try {
    line.app.parse(argc, argv);
    if (line.run_command->parsed()) check_source(line);
  } catch (const CLI::ParseError& error) {
    return refuse(line, error);
  }
  if (line.run_command->parsed() && !line.run.failed.empty()) return go_on(argc, argv, line.run.failed, Mode::failed);
  if (line.run_command->parsed()) return run_session(line.run, Mode::run);
  if (line.resume_command->parsed()) return go_on(argc, argv, line.run.repo, Mode::resume);
  if (line.shell_command->parsed()) return run_shell(line.run);
  if (line.top_command->parsed()) return show_top(line.top);
  unblock_signals();
  if (line.control_command->parsed()) return control(line.controlled);
  if (line.export_command->parsed()) return print_with([&] { return export_results(line.exported); });
  if (line.verify_command->parsed()) return print_with([&] { return verify(line.verify); });
  if (line.report_command->parsed()) return print_with([&] { return write_report(line.report); });
  if (line.status_command->parsed()) return print_with([&] { return show_status(line.status); });
  return print_with([&] { return write_about(line); });
}
