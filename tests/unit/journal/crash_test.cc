// SIGKILL at any moment: what was reported as accepted is there afterwards.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "journal_fixture.h"

namespace pawl::journal {
namespace {

using test::kSmallSegment;

/// Tells the parent which tasks were accepted or answered, one word each, in one write per group.
class PipeSink final : public StageSink {
 public:
  explicit PipeSink(int pipe) : pipe_(pipe) {}
  void done(std::span<Task* const> tasks) noexcept override {
    std::vector<std::uint64_t> words;
    for (const Task* task : tasks)
      if (task->saved) words.push_back(task->request.task_id.ordinal);
    const auto bytes = words.size() * sizeof(std::uint64_t);
    if (::write(pipe_, words.data(), bytes) != static_cast<ssize_t>(bytes)) ::_exit(2);
    count_.fetch_add(tasks.size(), std::memory_order_release);  // release: the tasks may be looked at again
  }
  void wait_for(std::uint64_t count) const {
    while (count_.load(std::memory_order_acquire) < count) std::this_thread::yield();
  }

 private:
  int pipe_;
  std::atomic<std::uint64_t> count_{0};  // written by the journal's writer, read by the child's main thread
};

/// The child: recovers, releases some, accepts more, until it is killed.
[[noreturn]] void run_child(const Options& options, std::uint64_t first, int pipe) {
  auto opened = Journal::open(options);
  if (!opened) ::_exit(3);
  PipeSink sink(pipe);
  (*opened)->attach(sink);
  Recovered recovered;
  for (;;) {
    const auto more = (*opened)->next(recovered);
    if (!more) ::_exit(4);
    if (!*more) break;
  }
  std::vector<std::vector<std::unique_ptr<Task>>> alive;
  std::uint64_t count = 0;
  for (std::uint64_t next = first;; next += 7) {
    alive.push_back(test::plain_tasks(next, 7, 900));
    (*opened)->take(test::pointers(alive.back()));
    sink.wait_for(count += 7);
    for (auto& task : alive.back()) task->outcome = test::plain_outcome(300);
    (*opened)->note_answers(test::pointers(alive.back()));
    // Every other group is released, so that segments are given up and used again. The parent expects only the rest.
    if ((next - first) / 7 % 2 == 1) (*opened)->release(test::pointers(alive.back()));
  }
}

TEST(JournalCrash, WhatWasAcceptedBeforeASigkillIsRecovered) {
  const std::uint64_t seed = test::make_seed();
  test::Randomly random(seed);
  const test::TempDir dir;
  for (const Durability durability : {Durability::sync, Durability::flush}) {
    const Options options{.folder = dir / (durability == Durability::sync ? "sync" : "flush"),
                          .segment_bytes = kSmallSegment,
                          .durability = durability};
    std::set<std::uint64_t> expected;
    std::uint64_t first = 1;
    for (int kill_count = 0; kill_count < 12; ++kill_count) {
      std::array<int, 2> pipe{};
      ASSERT_EQ(::pipe(pipe.data()), 0);
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        ::close(pipe[0]);
        run_child(options, first, pipe[1]);
      }
      ::close(pipe[1]);
      // Kill it after a random number of reports, then a random number of spins later: anywhere in its work.
      std::array<std::uint64_t, 7> words{};
      std::vector<std::uint64_t> accepted;
      const std::uint64_t reports = random.below(150);
      const auto read_some = [&] {
        const ssize_t got = ::read(pipe[0], words.data(), sizeof words);
        if (got <= 0) return false;
        EXPECT_EQ(got % 8, 0);
        accepted.insert(accepted.end(), words.begin(), words.begin() + got / 8);
        return true;
      };
      for (std::uint64_t i = 0; i < reports && read_some();) ++i;
      for (std::uint64_t spins = random.below(200'000); spins > 0; --spins)
        std::atomic_signal_fence(std::memory_order_seq_cst);
      ::kill(child, SIGKILL);
      while (read_some()) {
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
      ::close(pipe[0]);
      for (const std::uint64_t ordinal : accepted)
        if ((ordinal - first) / 7 % 2 == 0) expected.insert(ordinal);
      first += 7 * 100'000;

      const auto journal = test::open_journal(options);
      ASSERT_TRUE(journal);
      std::set<std::uint64_t> found;
      for (const Recovered& recovered : test::read_all(*journal)) {
        test::expect_same(recovered.request, test::plain_request(recovered.request.task_id.ordinal, 900));
        if (recovered.outcome.kind != Outcome::Kind::none)
          test::expect_same(recovered.outcome, test::plain_outcome(300));
        EXPECT_TRUE(found.insert(recovered.request.task_id.ordinal).second) << "given back twice";
      }
      for (const std::uint64_t ordinal : expected) ASSERT_TRUE(found.contains(ordinal)) << ordinal << " is lost";
    }
    EXPECT_FALSE(expected.empty());
  }
}

}  // namespace
}  // namespace pawl::journal
