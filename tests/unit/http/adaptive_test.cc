// The controller against a simulated server: so many calls at once, the others wait in line.
#include "adaptive.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace pawl::http {
namespace {

using Time = Adaptive::Time;
using std::chrono::seconds;

struct Server {
  unsigned knee = 8;
  double latency_s = 0.05;
  double sigma = 0;  // of its logarithm
};

/// A client that always has more to send than the limit allows, and the server, in simulated time.
class Simulation {
 public:
  Simulation(unsigned most, const Server& simulated, std::uint64_t seed)
      : server(simulated), adaptive(most), random_(seed) {}

  Server server;
  Adaptive adaptive;

  void run_until(double end_s) {
    while (now_s_ < end_s) step();
  }
  /// Seconds from now until the limit is within a tenth below and a half above the knee (and two calls more, which
  /// matters for small ones); the run ends there. Negative: not within `most_s`.
  double seconds_to_knee(double most_s) {
    const double begin = now_s_;
    while (now_s_ < begin + most_s) {
      step();
      const double limit = adaptive.limit();
      if (limit >= 0.9 * server.knee && limit <= 1.5 * server.knee + 2) return now_s_ - begin;
    }
    return -1;
  }
  struct Seen {
    double limit_mean = 0;
    double throughput = 0;  // as a share of what the server can do
  };
  Seen watch(double duration_s) {
    const double begin = now_s_;
    const std::uint64_t done = done_;
    double area = 0;
    while (now_s_ < begin + duration_s) {
      const double before = now_s_;
      step();
      area += (now_s_ - before) * adaptive.limit();
    }
    const double possible = duration_s * server.knee / server.latency_s;
    return {area / (now_s_ - begin), static_cast<double>(done_ - done) / possible};
  }
  [[nodiscard]] double now_s() const { return now_s_; }

 private:
  struct Running {
    double end_s, began_s;
    bool operator<(const Running& other) const { return end_s > other.end_s; }
  };
  static Time at(double time_s) { return Time(std::chrono::nanoseconds(static_cast<std::int64_t>(time_s * 1e9))); }
  double draw() {
    if (server.sigma <= 0) return server.latency_s;
    std::normal_distribution<double> normal(-server.sigma * server.sigma / 2, server.sigma);
    return server.latency_s * std::exp(normal(random_));
  }
  void serve() {
    while (!queue_.empty() && running_.size() < server.knee) {
      running_.push({now_s_ + draw(), queue_.front()});
      queue_.pop_front();
    }
  }
  void step() {
    for (; active_ < adaptive.limit(); ++active_) queue_.push_back(now_s_);
    serve();
    const Running ended = running_.top();
    running_.pop();
    now_s_ = ended.end_s;
    serve();
    adaptive.ended({.how = Adaptive::Ended::answered, .began = at(ended.began_s), .in_flight = active_}, at(now_s_));
    --active_;
    ++done_;
  }

  std::mt19937_64 random_;
  double now_s_ = 1000;
  std::deque<double> queue_;
  std::priority_queue<Running> running_;
  unsigned active_ = 0;
  std::uint64_t done_ = 0;
};

std::uint64_t seed() {
  const char* text = std::getenv("PAWL_SEED");
  return text != nullptr ? std::stoull(text) : 42;
}

TEST(Adaptive, FindsTheKneeWithinTwentySeconds) {
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed()));
  for (const double latency_s : {0.005, 0.05, 1.0}) {
    for (const double sigma : {0.0, 0.3, 0.5}) {
      for (const unsigned knee : {8u, 32u, 128u}) {
        Simulation simulation(512, {.knee = knee, .latency_s = latency_s, .sigma = sigma}, seed());
        const double found = simulation.seconds_to_knee(20);
        EXPECT_GE(found, 0) << latency_s << " s, sigma " << sigma << ", knee " << knee;
        std::printf("latency %.0f ms, sigma %.1f: knee %u found after %.2f s\n", latency_s * 1000, sigma, knee, found);
      }
    }
  }
}

TEST(Adaptive, StaysAtTheKneeAndKeepsTheServerBusy) {
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed()));
  for (const double latency_s : {0.005, 0.05, 0.2}) {
    for (const double sigma : {0.0, 0.3}) {
      for (const unsigned knee : {8u, 32u, 128u}) {
        Simulation simulation(512, {.knee = knee, .latency_s = latency_s, .sigma = sigma}, seed());
        simulation.run_until(simulation.now_s() + 20);
        const auto seen = simulation.watch(40);
        EXPECT_GE(seen.throughput, 0.9) << latency_s << ' ' << sigma << ' ' << knee;
        EXPECT_LE(seen.limit_mean, 1.8 * knee + 2) << latency_s << ' ' << sigma << ' ' << knee;
      }
    }
  }
}

TEST(Adaptive, FollowsTheKneeWhenItMoves) {
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed()));
  for (const double latency_s : {0.005, 0.05}) {
    for (const double sigma : {0.0, 0.3}) {
      for (const auto& [from, to] : {std::pair{32u, 8u}, {8u, 128u}, {128u, 32u}}) {
        Simulation simulation(512, {.knee = from, .latency_s = latency_s, .sigma = sigma}, seed());
        simulation.run_until(simulation.now_s() + 30);
        simulation.server.knee = to;
        const double found = simulation.seconds_to_knee(20);
        EXPECT_GE(found, 0) << latency_s << ' ' << sigma << ' ' << from << " to " << to;
        std::printf("latency %.0f ms, sigma %.1f: knee %u to %u found after %.2f s\n", latency_s * 1000, sigma, from,
                    to, found);
      }
    }
  }
}

TEST(Adaptive, ServerThatTakesLongerIsNoQueue) {
  SCOPED_TRACE("PAWL_SEED=" + std::to_string(seed()));
  for (const double factor : {0.4, 3.0}) {
    Simulation simulation(512, {.knee = 32, .latency_s = 0.05, .sigma = 0.2}, seed());
    simulation.run_until(simulation.now_s() + 20);
    simulation.server.latency_s *= factor;
    simulation.run_until(simulation.now_s() + 20);
    const auto seen = simulation.watch(20);
    EXPECT_GE(seen.throughput, 0.85) << factor;
    EXPECT_LE(seen.limit_mean, 60) << factor;
  }
}

TEST(Adaptive, StaysWithinItsBounds) {
  Simulation small(6, {.knee = 128, .latency_s = 0.01, .sigma = 0}, 1);
  for (int i = 0; i < 100; ++i) {
    small.run_until(small.now_s() + 0.1);
    EXPECT_LE(small.adaptive.limit(), 6u);
  }
  EXPECT_EQ(small.adaptive.limit(), 6u);
  Adaptive one(1);
  EXPECT_EQ(one.limit(), 1u);
  for (int i = 0; i < 1000; ++i) {
    const Time now(seconds(1000 + i));
    one.ended({.how = Adaptive::Ended::overloaded, .began = now - seconds(1), .in_flight = 1}, now);
    EXPECT_EQ(one.limit(), 1u);
  }
}

TEST(Adaptive, RefusalTakesThreeTenthsOffOncePerRound) {
  Simulation simulation(512, {.knee = 512, .latency_s = 0.05, .sigma = 0}, 1);
  simulation.run_until(simulation.now_s() + 5);
  Adaptive& adaptive = simulation.adaptive;
  const unsigned before = adaptive.limit();
  ASSERT_GT(before, 100u);
  const Time now(seconds(2000));
  const Adaptive::Sample refused{.how = Adaptive::Ended::overloaded, .began = now - seconds(1), .in_flight = before};
  adaptive.ended(refused, now);
  EXPECT_EQ(adaptive.limit(), static_cast<unsigned>(0.7 * before));
  for (int i = 0; i < 100; ++i) adaptive.ended(refused, now + std::chrono::milliseconds(i));
  EXPECT_EQ(adaptive.limit(), static_cast<unsigned>(0.7 * before));
}

TEST(Adaptive, IsNotMovedByWhatItDoesNotCause) {
  // Few calls in flight say nothing of how many there could be.
  Adaptive adaptive(512);
  Time now(seconds(1000));
  for (int i = 0; i < 10'000; ++i) {
    now += std::chrono::milliseconds(10);
    adaptive.ended({.how = Adaptive::Ended::answered, .began = now - std::chrono::milliseconds(10), .in_flight = 1},
                   now);
  }
  EXPECT_EQ(adaptive.limit(), Adaptive::kFirstLimit);
}

}  // namespace
}  // namespace pawl::http
