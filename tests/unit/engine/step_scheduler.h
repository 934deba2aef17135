// Runs the threads of a test one atomic operation at a time, in an order the test chooses, so that it can go through
// every interleaving of a small case of the production code (which is templated on the atomic for this), or through
// some 100,000 random ones of a larger case, each of which a printed seed brings back.
//
// The "threads" (actors) are fibers of the calling thread: a step costs a fraction of a microsecond. An actor that
// waits on an atomic cannot go until it is woken; when actors wait and nobody can go, a wake-up was lost, which is a
// failure and is reported with the schedule that led to it.
//
// Sequentially consistent, or with a store buffer per actor as x86 has (Memory). Weaker machines are not imitated:
// ThreadSanitizer on plain threads checks the orderings. What lies between two atomic operations of one actor is one
// step together with the operation before it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

#include "fiber.h"

namespace pawl::test {

class Stepped {
 public:
  /// Which of `count` goes next. A scenario may also ask it for numbers of its own, to vary itself.
  using Choose = std::function<std::size_t(std::size_t count)>;
  using Bodies = std::vector<std::function<void()>>;

  /// What others see of a store: at once, or, unless it is seq_cst, later, when the scheduler empties the buffer, a
  /// read-modify-write or fence of the same actor does. Atoms must outlive the run.
  enum class Memory : std::uint8_t { sequential, store_buffers };

  static constexpr std::size_t kMostActors = 32;
  static constexpr std::size_t kMostSteps = 1'000'000;  // of one run; more are taken for an endless loop

  /// Runs the bodies to their ends, one step of one body at a time. A lost wake-up or an endless loop is a test
  /// failure; the bodies are then left where they are, and what they hold is not released.
  static void run(const Bodies& bodies, const Choose& choose, Memory memory = Memory::sequential) {
    const std::string stuck = try_run(bodies, choose, memory);
    if (!stuck.empty()) ADD_FAILURE() << stuck;
  }

  /// The same for tests that expect the worst: returns what went wrong, or an empty string.
  [[nodiscard]] static std::string try_run(const Bodies& bodies, const Choose& choose,
                                           Memory memory = Memory::sequential) {
    return Run(bodies, choose, memory).go();
  }

  /// Runs `scenario` once for every sequence of choices, or until one fails. Returns how many there were.
  static std::size_t every_order(const std::function<void(const Choose&)>& scenario) {
    struct Fork {
      std::size_t taken, count;
    };
    std::vector<Fork> path;
    const int failures_before = failures();
    for (std::size_t runs = 1;; ++runs) {
      std::size_t depth = 0;
      scenario([&](std::size_t count) {
        if (depth == path.size()) path.push_back({0, count});
        return path[depth++].taken;
      });
      if (failures() != failures_before) {
        std::cout << "order " << runs << ": " << last_schedule() << std::endl;
        return runs;
      }
      while (!path.empty() && path.back().taken + 1 == path.back().count) path.pop_back();
      if (path.empty()) return runs;
      ++path.back().taken;
    }
  }

  /// Runs `scenario` in random orders until it has been through `orders` different ones, or one fails; where there are
  /// not as many, in twice as many rounds; under a sanitizer, where a step takes ten times as long, a tenth of both.
  /// Returns how many rounds it ran.
  ///
  /// The orders follow from the seed alone: PAWL_SEED if set, else `seed` (0: a fresh one). It is printed; a failure
  /// prints its round as well. PAWL_ROUNDS sets the number of rounds, PAWL_ROUND=<n> runs that round only.
  ///
  /// Uniform choice misses what needs one actor to stand still for long, so rounds take turns: uniform; long runs of
  /// one actor; random priorities that change at few random points (S. Burckhardt and others, "A Randomized Scheduler
  /// with Probabilistic Guarantees of Finding Bugs", 2010).
  static std::size_t random_orders(std::size_t orders, std::uint64_t seed,
                                   const std::function<void(const Choose&)>& scenario) {
    seed = seed_or_fresh(seed);
    if (Fiber::kWatched) orders = (orders + 9) / 10;
    const std::size_t only = from_environment("PAWL_ROUND", 0);
    const std::size_t first = only > 0 ? only : 1;
    const std::size_t most = only > 0 ? 1 : from_environment("PAWL_ROUNDS", 2 * orders);
    const int failures_before = failures();
    std::uint64_t steps = 0;
    std::unordered_set<std::size_t> different;  // hashes of schedules
    std::size_t rounds = 0;
    while (rounds < most && different.size() < orders) {
      trace().clear();
      const std::size_t round = first + rounds++;
      scenario(Chooser(seed, round));
      steps += trace().size();
      different.insert(std::hash<std::string_view>{}({reinterpret_cast<const char*>(trace().data()), trace().size()}));
      if (failures() == failures_before) continue;
      std::cout << "PAWL_SEED=" << seed << " PAWL_ROUND=" << round << ": " << last_schedule() << std::endl;
      return rounds;
    }
    std::cout << "PAWL_SEED=" << seed << ": " << rounds << " rounds, " << different.size() << " different orders, "
              << steps << " steps" << std::endl;
    return rounds;
  }

  /// For variants with a planted error: runs `scenario` in random orders until it returns true. Returns the number of
  /// that round, 0 if none of them did.
  [[nodiscard]] static std::size_t rounds_to_find(std::size_t rounds, std::uint64_t seed,
                                                  const std::function<bool(const Choose&)>& scenario) {
    seed = seed_or_fresh(seed);
    for (std::size_t round = 1; round <= rounds; ++round) {
      trace().clear();
      if (!scenario(Chooser(seed, round))) continue;
      std::cout << "PAWL_SEED=" << seed << ": found in round " << round << ", " << last_schedule() << std::endl;
      return round;
    }
    std::cout << "PAWL_SEED=" << seed << ": not found in " << rounds << " rounds" << std::endl;
    return 0;
  }

  /// The actors in the order in which the last run of this thread let them go, as "0 1x3 0x2".
  [[nodiscard]] static std::string last_schedule() { return in_words(trace()); }

  /// Called before each atomic operation; does nothing outside run().
  static void step() {
    if (current() != nullptr) current()->step();
  }

  /// A store that the running actor's buffer may keep back.
  struct Store {
    void* atom = nullptr;
    std::uint64_t value = 0;
    void (*put)(void* atom, std::uint64_t value) = nullptr;
  };
  /// False if there are no store buffers.
  static bool keep_back(const Store& store) { return current() != nullptr && current()->keep_back(store); }
  /// What the running actor has stored to `atom` and nobody else sees yet; nullptr if nothing.
  static const Store* kept_back(const void* atom) {
    return current() == nullptr ? nullptr : current()->kept_back(atom);
  }
  /// Makes all stores of the running actor visible.
  static void empty_buffer() {
    if (current() != nullptr) current()->empty_buffer();
  }

  /// For atomics that can be waited on, in a step: the actor cannot go until wake(where), or, when `timed`, until the
  /// scheduler lets it go all the same, which is its time-out.
  static void block(const void* where, bool timed) {
    if (current() == nullptr) stop("a wait that nobody can end, outside run()");
    current()->block(where, timed);
  }
  /// Lets up to `most` of the actors in block(where) go; which ones is chosen.
  static void wake(const void* where, std::size_t most) {
    if (current() != nullptr) current()->wake(where, most);
  }

 private:
  using Trace = std::vector<std::uint8_t>;

  [[noreturn]] static void stop(const char* why) {
    std::cerr << "stepped.h: " << why << std::endl;
    std::abort();
  }
  static std::string in_words(const Trace& trace) {
    constexpr std::size_t kMostShown = 2'000;
    std::ostringstream words;
    std::size_t i = trace.size() > kMostShown ? trace.size() - kMostShown : 0;
    words << "schedule:" << (i > 0 ? " ..." : "");
    while (i < trace.size()) {
      std::size_t end = i + 1;
      while (end < trace.size() && trace[end] == trace[i]) ++end;
      if (trace[i] < kMostActors)
        words << ' ' << unsigned{trace[i]};
      else
        words << " memory" << trace[i] - kMostActors;
      if (end - i > 1) words << 'x' << end - i;
      i = end;
    }
    return words.str();
  }
  static int failures() {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    return test == nullptr ? 0 : test->result()->total_part_count();
  }
  static std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* given = std::getenv(name);
    return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
  }

  /// A fiber that runs one body after another, and its place in the present run.
  struct Actor {
    Actor() : fiber(&Actor::live, this) {}
    static void live(void* self) {
      auto* actor = static_cast<Actor*>(self);
      for (;;) {
        (*actor->body)();
        current()->leave();
      }
    }
    Fiber fiber;
    const std::function<void()>* body = nullptr;
    const void* waits_for = nullptr;
    std::deque<Store> buffer;  // oldest first; entry i of memory is bit kMostActors + i of candidates()
    bool fresh = true;         // between bodies; else its stack holds an unfinished one
  };

  class Run {
   public:
    Run(const Bodies& bodies, const Choose& choose, Memory memory)
        : choose_(choose), count_(bodies.size()), memory_(memory) {
      if (current() != nullptr) stop("run() inside run()");
      if (bodies.size() > kMostActors) stop("too many bodies");
      while (actors().size() < bodies.size()) actors().push_back(std::make_unique<Actor>());
      for (std::size_t i = 0; i < bodies.size(); ++i) {
        Actor& actor = *actors()[i];
        if (!actor.fresh) actor.fiber.restart();
        actor.body = &bodies[i];
        actor.waits_for = nullptr;
        actor.buffer.clear();
        actor.fresh = false;
        ready_ |= bit(i);
      }
      trace().clear();
    }

    std::string go() {
      current() = this;
      if (pick()) Fiber::change(outside(), actors()[at_]->fiber);
      current() = nullptr;
      return complaint_;
    }
    void step() {
      const std::size_t me = at_;
      const bool goes_on = pick();
      if (!goes_on || at_ != me) Fiber::change(actors()[me]->fiber, goes_on ? actors()[at_]->fiber : outside());
    }
    void block(const void* where, bool timed) {
      actors()[at_]->waits_for = where;
      ready_ &= ~bit(at_);
      if (timed) timed_ |= bit(at_);
      step();
    }
    void wake(const void* where, std::size_t most) {
      std::vector<std::size_t> waiting;
      for (std::size_t i = 0; i < count_; ++i)
        if (actors()[i]->waits_for == where) waiting.push_back(i);
      while (!waiting.empty() && most-- > 0) {
        const std::size_t nth = waiting.size() == 1 || most >= waiting.size() ? 0 : choose_(waiting.size());
        make_ready(waiting[nth]);
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(nth));
      }
    }
    bool keep_back(const Store& store) {
      if (memory_ == Memory::sequential) return false;
      actors()[at_]->buffer.push_back(store);
      full_ |= bit(kMostActors + at_);
      return true;
    }
    [[nodiscard]] const Store* kept_back(const void* atom) const {
      const std::deque<Store>& buffer = actors()[at_]->buffer;
      const auto newest = std::find_if(buffer.rbegin(), buffer.rend(), [&](const Store& s) { return s.atom == atom; });
      return newest == buffer.rend() ? nullptr : &*newest;
    }
    void empty_buffer() {
      while (!actors()[at_]->buffer.empty()) let_out_oldest(at_);
    }
    /// The running actor's body has ended. Returns when the actor has a new one.
    void leave() {
      Actor& me = *actors()[at_];
      me.fresh = true;
      ready_ &= ~bit(at_);
      Fiber::change(me.fiber, pick() ? actors()[at_]->fiber : outside());
    }

    /// For choosers that look at who it is that may go: those who may, and who went last; 0 outside a choice.
    [[nodiscard]] std::uint64_t candidates() const noexcept { return choosing_ ? ready_ | timed_ | full_ : 0; }
    [[nodiscard]] std::size_t last() const noexcept { return last_; }

   private:
    static std::uint64_t bit(std::size_t index) noexcept { return std::uint64_t{1} << index; }

    /// Chooses who goes next. False if nobody does: all have ended, or complaint_ says why not.
    bool pick() {
      for (;;) {
        const std::uint64_t can_go = ready_ | timed_ | full_;
        if (can_go == 0) {
          complaint_ = who_waits();
          return false;
        }
        if (trace().size() == kMostSteps) {
          complaint_ = "no end after a million steps; " + in_words(trace());
          return false;
        }
        std::uint64_t left = can_go;
        if (!std::has_single_bit(can_go)) {
          choosing_ = true;
          std::size_t nth = choose_(static_cast<std::size_t>(std::popcount(can_go)));
          choosing_ = false;
          for (; nth > 0; --nth) left &= left - 1;
        }
        last_ = static_cast<std::size_t>(std::countr_zero(left));
        trace().push_back(static_cast<std::uint8_t>(last_));
        if (last_ < kMostActors) break;
        let_out_oldest(last_ - kMostActors);
      }
      at_ = last_;
      if ((timed_ & bit(at_)) != 0) make_ready(at_);
      return true;
    }
    void let_out_oldest(std::size_t index) {
      std::deque<Store>& buffer = actors()[index]->buffer;
      buffer.front().put(buffer.front().atom, buffer.front().value);
      buffer.pop_front();
      if (buffer.empty()) full_ &= ~bit(kMostActors + index);
    }
    void make_ready(std::size_t index) {
      ready_ |= bit(index);
      timed_ &= ~bit(index);
      actors()[index]->waits_for = nullptr;
    }
    [[nodiscard]] std::string who_waits() const {
      std::string who;
      for (std::size_t i = 0; i < count_; ++i)
        if (actors()[i]->waits_for != nullptr) who += ' ' + std::to_string(i);
      return who.empty() ? who : "lost wake-up: actors that sleep for ever:" + who + "; " + in_words(trace());
    }

    const Choose& choose_;
    const std::size_t count_;  // of actors
    const Memory memory_;
    std::uint64_t ready_ = 0;  // bit per actor: can go
    std::uint64_t timed_ = 0;  // bit per actor: sleeps with a time-out
    std::uint64_t full_ = 0;   // bit kMostActors + actor: its buffer holds stores
    std::size_t at_ = 0;       // who runs
    std::size_t last_ = 0;     // bit chosen last
    bool choosing_ = false;
    std::string complaint_;
  };

  /// The chooser of one random round.
  class Chooser {
   public:
    Chooser(std::uint64_t seed, std::size_t round) : state_(seed + round * 0x9e3779b97f4a7c15u) {
      way_ = static_cast<Way>(round % 4);
      change_in_ = std::uint64_t{2} << random() % 5;  // on average, in steps
    }
    std::size_t operator()(std::size_t count) {
      const std::uint64_t candidates = current() != nullptr ? current()->candidates() : 0;
      if (candidates == 0 || way_ == Way::uniform || way_ == Way::uniform_again) return random() % count;
      const std::size_t who = way_ == Way::long_runs ? same_or_any(candidates) : most_important(candidates);
      return static_cast<std::size_t>(std::popcount(candidates & ((std::uint64_t{1} << who) - 1)));
    }

   private:
    enum class Way : std::uint8_t { uniform, long_runs, priorities, uniform_again };

    /// splitmix64 (S. Vigna): cheap to begin anew, for a round is short.
    std::uint64_t random() noexcept {
      std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      return z ^ (z >> 31);
    }
    std::size_t same_or_any(std::uint64_t candidates) noexcept {
      const std::size_t last = current()->last();
      if ((candidates >> last & 1) != 0 && random() % change_in_ != 0) return last;
      for (std::uint64_t nth = random() % static_cast<std::uint64_t>(std::popcount(candidates)); nth > 0; --nth)
        candidates &= candidates - 1;
      return static_cast<std::size_t>(std::countr_zero(candidates));
    }
    std::size_t most_important(std::uint64_t candidates) noexcept {
      std::size_t best = highest(candidates);
      run_ = best == leader_ ? run_ + 1 : 0;
      leader_ = best;
      // A leader that goes on and on may be waiting for someone in a loop.
      if (random() % change_in_ != 0 && run_ < kMostInARow) return best;
      priority_[best] = --lowest_;
      run_ = 0;
      return highest(candidates);
    }
    std::size_t highest(std::uint64_t candidates) noexcept {
      std::size_t best = kNobody;
      for (; candidates != 0; candidates &= candidates - 1) {
        const auto who = static_cast<std::size_t>(std::countr_zero(candidates));
        if (priority_[who] == 0) priority_[who] = static_cast<std::int64_t>(random() >> 2) + 1;
        if (best == kNobody || priority_[who] > priority_[best]) best = who;
      }
      return best;
    }

    static constexpr std::size_t kMostInARow = 256;
    static constexpr std::size_t kNobody = 2 * kMostActors;
    std::uint64_t state_;
    Way way_;
    std::uint64_t change_in_;
    std::array<std::int64_t, 2 * kMostActors> priority_{};  // 0: not drawn yet
    std::int64_t lowest_ = 0;                               // below those drawn; falls
    std::size_t leader_ = kNobody, run_ = 0;
  };

  static std::uint64_t seed_or_fresh(std::uint64_t seed) {
    seed = from_environment("PAWL_SEED", seed);
    return seed != 0 ? seed : std::random_device{}();
  }

  static Run*& current() {
    static thread_local Run* run = nullptr;
    return run;
  }
  static Trace& trace() {
    static thread_local Trace schedule;
    return schedule;
  }
  static std::vector<std::unique_ptr<Actor>>& actors() {
    static thread_local std::vector<std::unique_ptr<Actor>> pool;
    return pool;
  }
  static Fiber& outside() {
    static thread_local Fiber thread;
    return thread;
  }
};

}  // namespace pawl::test
