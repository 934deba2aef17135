#include "life.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <pawl/journal.h>

#include "power_loss.h"
#include "repository_check.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto kPatience = 120s;  // for a process that should come to its end

std::string describe(const Point& point, unsigned count, Moment moment) {
  return fmt::format("{} time {}: {}", moment == Moment::before ? "before" : "after", count, point.name);
}

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::at_a_point: return "at a named point";
    case Kind::at_any_time: return "at any time";
    case Kind::in_recovery: return "in recovery";
    case Kind::power_loss: return "with loss of power";
  }
  return "";
}

Life::Life(const ApiProcess& api, std::string name, std::uint64_t seed, Kind kind)
    : borrowed_api_(api),
      name_(std::move(name)),
      random_(seed),
      kind_(kind),
      model_(name_, 40 + static_cast<unsigned>(random_() % 60), 4, random_()) {
  fs::create_directory(world());
  input_path_ = (folder_ / "in.jsonl").string();
  write_file(input_path_, model_.input());
  write_file(folder_ / ".gitconfig", "[gc]\n\tautoPackLimit = 2\n");  // so the second pack is joined to the first
  if (kind_ == Kind::power_loss) fs::create_directory(state());
}

Life::~Life() {
  const char* keep = std::getenv("PAWL_KEEP");
  if (faults_.empty() || keep == nullptr) return;
  std::error_code ignored;  // it is only for looking at
  fs::copy(folder_.path(), fs::path(keep) / name_, fs::copy_options::recursive, ignored);
}

void Life::fault(std::string what) { faults_.push_back(std::move(what)); }

/// Whether an earlier process left what a resume needs.
bool Life::resumable() const {
  std::error_code ignored;
  return fs::exists(private_folder() / "settings", ignored);
}

std::vector<std::string> Life::words(bool resume) const {
  if (resume) return {PAWL_TOOL, "resume", repo().string()};
  return {PAWL_TOOL,
          "run",
          input_path_,
          "--repo",
          repo().string(),
          "--base-url",
          borrowed_api_.base_url() + "/v1",
          "--parallel-max",
          "16",
          "--retry",
          "30",
          "--retry-delay",
          "2ms",
          "--commit-every",
          "10ms",
          "--commit-tasks",
          "8"};
}

Process::Options Life::options(const std::string& rule) const {
  Process::Options options;
  options.environment = {"GIT_CONFIG_NOSYSTEM=1",
                         "GIT_CONFIG_GLOBAL=/dev/null",
                         "HOME=" + folder_.path().string(),
                         "GIT_AUTHOR_NAME=Ada Tester",
                         "GIT_AUTHOR_EMAIL=ada@example.org",
                         "GIT_COMMITTER_NAME=Ada Tester",
                         "GIT_COMMITTER_EMAIL=ada@example.org"};
  if (rule.empty() && kind_ != Kind::power_loss) return options;
  options.environment.push_back(std::string("LD_PRELOAD=") + PAWL_FILE_SHIM);
  options.environment.push_back("PAWL_SHIM_ROOT=" + world().string());
  options.environment.push_back("PAWL_SHIM_RULES=" + rule);
  options.environment.push_back("PAWL_SHIM_FIRED=" + (folder_ / "fired").string());
  if (kind_ == Kind::power_loss) options.environment.push_back("PAWL_SHIM_STATE=" + state().string());
  if (!boot_.empty()) options.environment.push_back("PAWL_SHIM_BOOT=" + boot_);
  return options;
}

Life::Blow Life::random_blow(bool recovering) {
  const bool any_time = kind_ == Kind::at_any_time || (kind_ != Kind::at_a_point && random_() % 4 == 0);
  if (any_time) return {};
  while (true) {
    const Point& point = points()[random_() % points().size()];
    if (point.needs == Point::Needs::left_tasks && !recovering) continue;
    return {&point, 1 + static_cast<unsigned>(random_() % 4), random_() % 2 == 0 ? Moment::before : Moment::after};
  }
}

/// Lets one process run into its end; whether it was killed.
bool Life::strike(const Blow& blow, std::set<std::string>& points_hit) {
  const bool left = resumable();
  // Only a run sees the lines that are new since the one before.
  const bool needs_a_pack = blow.point != nullptr && blow.point->needs == Point::Needs::a_pack;
  const bool resume = left && !needs_a_pack && (kind_ == Kind::in_recovery || random_() % 2 == 0);
  const std::string rule = blow.point != nullptr ? kill_rule(*blow.point, blow.count, blow.moment) : std::string();
  fs::remove(folder_ / "fired");
  Process process(words(resume), options(rule));
  std::string how = resume ? "resume, " : "run, ";
  if (blow.point != nullptr) {
    how += describe(*blow.point, blow.count, blow.moment);
  } else {
    const std::chrono::microseconds instant(random_() % 250'000);
    how += fmt::format("after {} us", instant.count());
    if (process.wait(std::chrono::duration_cast<std::chrono::milliseconds>(instant)) != -1000) {
      history_.push_back(how + ": had ended");
      return false;
    }
    process.signal(SIGKILL);
  }
  const int end = process.wait(kPatience);
  history_.push_back(fmt::format("{}: {}", how, end));
  if (end == -SIGKILL) {
    if (blow.point != nullptr) points_hit.insert(blow.point->name);  // the one that leaves tasks is none of the list
    return true;
  }
  if (end != 0) fault(fmt::format("{}: exit code {}: {}", how, end, process.err()));
  return false;
}

void Life::lose_power_now() {
  PowerLossOptions options;
  options.state = state();
  options.root = world();
  options.seed = random_();
  constexpr double kLost[] = {1, 1, 0.5, 0.8, 0.2};
  options.lost = kLost[random_() % std::size(kLost)];
  options.names = random_() % 2 == 0 ? PowerLossOptions::Names::in_order : PowerLossOptions::Names::in_any_order;
  options.unit_bytes = random_() % 4 == 0 ? 512 : 4096;
  const PowerLossReport report = lose_power(options);
  history_.push_back(
      fmt::format("power lost ({} of what was not synced, names {}): {} names and {} units lost, {} and {} "
                  "kept, {} misfits",
                  options.lost, options.names == PowerLossOptions::Names::in_order ? "in order" : "in any order",
                  report.names_lost, report.units_lost, report.names_kept, report.units_kept, report.misfits));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  boot_ = std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

/// Without the last calls of a repository before this one.
CallCounts Life::own_counts() const {
  CallCounts counts = borrowed_api_.counts();
  std::erase_if(counts, [this](const auto& entry) { return !entry.first.starts_with(name_ + "/"); });
  return counts;
}

/// The answers in the journal of the process that was killed: none of these tasks may be called again.
void Life::note_journalled_answers() {
  const fs::path journal = private_folder() / "journal";
  if (!fs::exists(journal)) return;
  const TempDir copy;  // opening mends it
  std::error_code error;
  fs::copy(journal, copy / "journal", fs::copy_options::recursive, error);
  journal::Options options;
  options.folder = copy / "journal";
  auto opened = journal::Journal::open(options);
  if (!opened) return fault("the journal cannot be read: " + opened.error().context);
  const CallCounts counts = own_counts();
  // What survived one loss of power unsynced may be lost to the next: only the last look counts then.
  if (kind_ == Kind::power_loss) journalled_.clear();
  Recovered task;
  while (true) {
    const auto more = (*opened)->next(task);
    if (!more) return fault("the journal cannot be read: " + more.error().context);
    if (!*more) return;
    if (task.outcome.kind == Outcome::Kind::none) continue;
    const std::string key = model_.key_of(task.request.stream, task.request.id);
    const auto count = counts.find(key);
    if (count != counts.end()) journalled_.emplace(key, count->second);
  }
}

void Life::examine_the_dead() {
  if (!fs::exists(repo() / ".git")) return;
  Process fsck({"git", "-C", repo().string(), "fsck", "--strict", "--no-progress", "--no-dangling"});
  const int code = fsck.wait();
  // An unborn branch is no fault.
  const std::string said = fsck.out() + fsck.err();
  if (code != 0 || said.find("error") != std::string::npos) fault(fmt::format("fsck after a kill: {} {}", code, said));
  note_journalled_answers();
}

/// What was called had been accepted, so a resume alone must bring it to its end.
void Life::expect_called_tasks_survive() {
  std::set<std::string> called;
  for (const auto& [key, count] : own_counts()) called.insert(key);
  if (called.empty()) return;
  if (!resumable()) return fault("tasks were called, and there is nothing to resume");
  Process resume(words(true), options({}));
  const int end = resume.wait(kPatience);
  history_.push_back(fmt::format("resume to the end: {}", end));
  if (end != 0) fault(fmt::format("resume: exit code {}: {}", end, resume.err()));
  check_repository();
  if (!faults_.empty()) return;  // the files are not what to look at
  const auto difference = model_.compare(repo(), Model::Expect::only_these, called);
  for (const auto& what : difference.notes) fault("after a resume: " + what);
}

/// What must hold whenever pawl has come to its end.
void Life::check_repository() {
  Process fsck({"git", "-C", repo().string(), "fsck", "--strict", "--no-progress", "--no-dangling"});
  const int code = fsck.wait();
  if (code != 0 || !(fsck.out() + fsck.err()).empty()) fault("fsck: " + fsck.out() + fsck.err());
  Process status({"git", "-C", repo().string(), "status", "--porcelain"});
  if (status.wait() != 0 || !status.out().empty()) fault("git status: " + status.out() + status.err());
  const fs::path journal = private_folder() / "journal";
  if (fs::exists(journal) && !fs::is_empty(journal)) fault("a journal is left");
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(repo() / ".git" / "objects" / "pack", ignored)) {
    if (entry.path().filename().string().starts_with("tmp_")) fault("left behind: " + entry.path().string());
  }
  if (fs::exists(repo() / ".pawl-new")) fault("left behind: .pawl-new");
}

void Life::finish(Score& score) {
  Process last(words(false), options({}));
  const int end = last.wait(kPatience);
  history_.push_back(fmt::format("run to the end: {}", end));
  if (end != 0) fault(fmt::format("the last run: exit code {}: {}", end, last.err()));
  check_repository();
  if (!faults_.empty()) return;  // the files are not what to look at
  const auto difference = model_.compare(repo());
  score.lost = difference.lost;
  score.twice = difference.twice;
  score.wrong = difference.wrong;
  score.out_of_order = difference.out_of_order;
  for (const auto& what : difference.notes) fault(what);
  static const bool can_verify = [] {
    Process help({PAWL_TOOL, "--help"});
    return help.wait() == 0 && help.out().find("verify") != std::string::npos;
  }();
  if (can_verify) {
    Process verify({PAWL_TOOL, "verify", repo().string()});
    const int code = verify.wait();
    if (code != 0) fault(fmt::format("pawl verify: {} {}{}", code, verify.out(), verify.err()));
  }
  for (const auto& [key, count] : own_counts()) {
    score.calls += count.calls;
    score.extra_calls += count.answered > 0 ? count.answered - 1 : 0;
    const auto journalled = journalled_.find(key);
    if (journalled == journalled_.end() || journalled->second == count) continue;
    ++score.called_again;
    fault("called again though its answer was in the journal: " + key);
  }
}

/// As somebody does who adds lines to a file and runs it again: by then there is a pack, to which others are joined.
void Life::commit_the_first_half() {
  const std::string all = model_.input();
  write_file(input_path_, all.substr(0, all.find('\n', all.size() / 2) + 1));
  Process process(words(false), options({}));
  const int end = process.wait(kPatience);
  if (end != 0) fault(fmt::format("the first half: exit code {}: {}", end, process.err()));
  write_file(input_path_, all);
}

Score Life::live(unsigned kills, std::set<std::string>& points_hit, const Point* first, Moment moment) {
  borrowed_api_.reset();
  Score score;
  score.repositories = 1;
  score.tasks = model_.tasks();
  const bool needs_a_pack = first != nullptr && first->needs == Point::Needs::a_pack;
  if (needs_a_pack || (first == nullptr && random_() % 3 == 0)) commit_the_first_half();
  for (unsigned attempt = 0; attempt < kills && faults_.empty(); ++attempt) {
    Blow blow = random_blow(resumable());
    if (attempt == 0 && first != nullptr) blow = {first, 1, moment};
    if (first != nullptr && first->needs == Point::Needs::left_tasks) {
      if (attempt == 0) blow = {&point_that_leaves_tasks(), 1, Moment::before};
      if (attempt == 1) blow = {first, 1, moment};
    }
    // Recovery is what comes after a kill of a run with tasks in flight.
    if (kind_ == Kind::in_recovery && attempt == 0 && first == nullptr) blow = {};
    if (!strike(blow, points_hit)) {
      if (!faults_.empty()) break;
      continue;
    }
    ++score.kills;
    if (kind_ == Kind::power_loss) lose_power_now();
    examine_the_dead();
  }
  if (faults_.empty() && random_() % 2 == 0) expect_called_tasks_survive();
  if (faults_.empty()) finish(score);
  if (faults_.empty()) return score;
  score.other_faults = faults_.size();
  faults_.insert(faults_.begin(), history_.begin(), history_.end());
  return score;
}

}  // namespace pawl::test
