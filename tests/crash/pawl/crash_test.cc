// Nothing lost, nothing twice, whatever is killed when: many small repositories, each killed several times on its way,
// at named points, at any time, while it recovers, and with loss of power.
//
// PAWL_KILLS: how many kills at least (200); PAWL_SEED: gives a run back; PAWL_KEEP: a folder that repositories with
// faults are copied to. `sh tools/crash-test.sh` runs it for users.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <random>
#include <set>
#include <string>

#include "life.h"

namespace pawl::test {
namespace {

constexpr std::array kKinds = {Kind::at_a_point, Kind::at_any_time, Kind::in_recovery, Kind::power_loss};

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

void add(Score& sum, const Score& score) {
  sum.repositories += score.repositories;
  sum.kills += score.kills;
  sum.tasks += score.tasks;
  sum.lost += score.lost;
  sum.twice += score.twice;
  sum.wrong += score.wrong;
  sum.out_of_order += score.out_of_order;
  sum.calls += score.calls;
  sum.extra_calls += score.extra_calls;
  sum.called_again += score.called_again;
  sum.other_faults += score.other_faults;
}

void print_row(std::string_view name, const Score& score) {
  fmt::print("{:<19} {:>6} {:>8} {:>6} {:>6} {:>6} {:>13} {:>7} {:>12} {:>13} {:>7}\n", name, score.kills, score.tasks,
             score.lost, score.twice, score.wrong, score.out_of_order, score.calls, score.extra_calls,
             score.called_again, score.other_faults);
}

class Suite {
 public:
  explicit Suite(std::uint64_t seed) : random_(seed), api_(random_()) {}

  void live(Kind kind, unsigned kills, const Point* first = nullptr, Moment moment = Moment::before) {
    const std::uint64_t seed = random_();
    Life life(api_, fmt::format("life-{}", ++lives_), seed, kind);
    add(scores_[static_cast<std::size_t>(kind)], life.live(kills, points_hit_, first, moment));
    std::string report;
    for (const auto& what : life.faults()) report += "\n  " + what;
    if (!report.empty()) ADD_FAILURE() << "life-" << lives_ << ":" << report;
    faulty_ += report.empty() ? 0 : 1;
  }
  [[nodiscard]] std::uint64_t kills() const {
    std::uint64_t sum = 0;
    for (const auto& score : scores_) sum += score.kills;
    return sum;
  }
  /// So many repositories with faults tell enough.
  [[nodiscard]] bool faulty() const { return faulty_ >= 5; }
  [[nodiscard]] bool hit(const Point& point) const { return points_hit_.contains(point.name); }
  void print() const {
    fmt::print("\n{:<19} {:>6} {:>8} {:>6} {:>6} {:>6} {:>13} {:>7} {:>12} {:>13} {:>7}\n", "killed", "kills", "tasks",
               "lost", "twice", "wrong", "out of order", "calls", "extra calls", "called again", "faults");
    Score sum;
    for (const Kind kind : kKinds) {
      const Score& score = scores_[static_cast<std::size_t>(kind)];
      print_row(name_of(kind), score);
      add(sum, score);
    }
    print_row("together", sum);
    fmt::print(
        "{} repositories; {} named points\n"
        "extra calls: answers that came and were paid for, and were not yet in the journal when pawl was killed\n"
        "called again: though the answer was in the journal\n",
        sum.repositories, points().size());
  }

 private:
  std::mt19937_64 random_;
  ApiProcess api_;
  unsigned lives_ = 0, faulty_ = 0;
  std::array<Score, kKinds.size()> scores_{};
  std::set<std::string> points_hit_;
};

TEST(PawlCrash, LosesNothingAndCommitsNothingTwice) {
  const std::uint64_t seed = number_from("PAWL_SEED", std::random_device{}());
  const std::uint64_t kills = number_from("PAWL_KILLS", 200);
  fmt::print("PAWL_SEED={} PAWL_KILLS={}\n", seed, kills);
  std::fflush(stdout);
  Suite suite(seed);
  // Each point, whatever chance does later: in the first run, or in what follows it. A life may pass one by.
  constexpr int kMostLives = 5;
  for (std::size_t i = 0; i < points().size(); ++i) {
    const Point& point = points()[i];
    const Moment moment = i % 2 == 0 ? Moment::before : Moment::after;
    const Kind kind = point.needs == Point::Needs::left_tasks ? Kind::in_recovery : Kind::at_a_point;
    for (int life = 0; !suite.faulty() && (life == 0 || (life < kMostLives && !suite.hit(point))); ++life) {
      suite.live(kind, 2, &point, moment);
    }
  }
  for (std::size_t i = 0; !suite.faulty() && suite.kills() < kills; ++i) suite.live(kKinds[i % kKinds.size()], 6);
  suite.print();
  if (testing::Test::HasFailure()) return;
  for (const Point& point : points()) EXPECT_TRUE(suite.hit(point)) << "never killed there: " << point.name;
}

}  // namespace
}  // namespace pawl::test
