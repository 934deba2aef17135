// One repository from its making to its end, with pawl killed on the way, and what came of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api_process.h"
#include "model.h"
#include "points.h"
#include "temp_dir.h"

namespace pawl::test {

/// How it is killed; a row of the table.
enum class Kind : std::uint8_t { at_a_point, at_any_time, in_recovery, power_loss };
[[nodiscard]] std::string_view name_of(Kind kind);

struct Score {
  std::uint64_t repositories = 0, kills = 0, tasks = 0, lost = 0, twice = 0, wrong = 0, out_of_order = 0;
  std::uint64_t calls = 0;         // that arrived
  std::uint64_t extra_calls = 0;   // answered with 2xx though an earlier one had been: the price of the kills
  std::uint64_t called_again = 0;  // though the answer was in the journal
  std::uint64_t other_faults = 0;  // fsck, work tree, journal left, exit codes
};

class Life {
 public:
  Life(const ApiProcess& api, std::string name, std::uint64_t seed, Kind kind);
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  /// Runs, kills `kills` times at most, and comes to the end. `points_hit` gets the names of the points that killed.
  /// `first`: the point of the first kill; null: a random one.
  [[nodiscard]] Score live(unsigned kills, std::set<std::string>& points_hit, const Point* first, Moment moment);
  /// What was wrong; empty: nothing.
  [[nodiscard]] const std::vector<std::string>& faults() const noexcept { return faults_; }

 private:
  struct Blow {                    // how one process is killed
    const Point* point = nullptr;  // null: at a random instant
    unsigned count = 1;
    Moment moment = Moment::before;
  };
  [[nodiscard]] std::filesystem::path world() const { return folder_ / "world"; }
  [[nodiscard]] std::filesystem::path repo() const { return world() / "repo"; }
  [[nodiscard]] std::filesystem::path private_folder() const { return repo() / ".git" / "pawl"; }
  [[nodiscard]] std::filesystem::path state() const { return folder_ / "state"; }
  [[nodiscard]] bool resumable() const;
  [[nodiscard]] std::vector<std::string> words(bool resume) const;
  [[nodiscard]] Process::Options options(const std::string& rule) const;
  [[nodiscard]] Blow random_blow(bool recovering);
  bool strike(const Blow& blow, std::set<std::string>& points_hit);
  void commit_the_first_half();
  void lose_power_now();
  void examine_the_dead();
  [[nodiscard]] CallCounts own_counts() const;
  void note_journalled_answers();
  void expect_called_tasks_survive();
  void finish(Score& score);
  void fault(std::string what);
  void check_repository();

  const ApiProcess& borrowed_api_;
  std::string name_;
  std::mt19937_64 random_;
  Kind kind_;
  Model model_;
  TempDir folder_;
  std::string input_path_;
  std::string boot_;                             // PAWL_SHIM_BOOT after a power loss
  std::map<std::string, CallCount> journalled_;  // keys whose answer a journal held, with their calls then
  std::vector<std::string> history_;             // for the report of a fault
  std::vector<std::string> faults_;
};

}  // namespace pawl::test
