// The save stage on a healthy disk: acceptance, groups, order, release, cancelling.
#include <sys/stat.h>

#include <latch>
#include <thread>

#include "journal_fixture.h"

namespace pawl::journal {
namespace {

using test::Collector;
using test::kSmallSegment;
using test::plain_outcome;
using test::plain_tasks;
using test::pointers;
using test::TempDir;

void answer_all(Journal& journal, const std::vector<std::unique_ptr<Task>>& tasks, std::size_t bytes = 100) {
  for (const auto& task : tasks) task->outcome = plain_outcome(bytes);
  journal.note_answers(pointers(tasks));
}

TEST(JournalOptions, SayWhatIsWrong) {
  EXPECT_TRUE(Options{.folder = "x"}.validate());
  for (const Options& wrong :
       {Options{}, Options{.folder = "x", .segment_bytes = 65535}, Options{.folder = "x", .segment_bytes = 1ull << 31},
        Options{.folder = "x", .record_bytes_max = 10}, Options{.folder = "x", .record_bytes_max = 1ull << 32}}) {
    const auto valid = wrong.validate();
    ASSERT_FALSE(valid);
    EXPECT_EQ(valid.error().code, ErrorCode::usage);
    EXPECT_EQ(Journal::open(wrong).error().code, ErrorCode::usage);
  }
}

TEST(Journal, MakesItsFolderPrivateAndItsFilesToo) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir / "a/journal"});
  Collector sink;
  journal->attach(sink);
  const auto tasks = plain_tasks(1, 1);
  journal->take(pointers(tasks));
  sink.wait_for(1);
  EXPECT_EQ(std::filesystem::status(dir / "a/journal").permissions(), std::filesystem::perms::owner_all);
  for (const auto& file : test::files_in(dir / "a/journal"))
    EXPECT_EQ(static_cast<int>(std::filesystem::status(file).permissions()), 0600) << file;
}

TEST(Journal, AFinishedRunLeavesNoJournalBehind) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path(), .segment_bytes = kSmallSegment});
  Collector sink;
  journal->attach(sink);
  const auto tasks = plain_tasks(1, 2000, 1000);  // about 2 MB: many segments
  journal->take(pointers(tasks));
  sink.wait_for(tasks.size());
  answer_all(*journal, tasks, 1000);
  journal->release(pointers(tasks));
  journal->stop();
  EXPECT_TRUE(test::files_in(dir.path()).empty());
  EXPECT_EQ(journal->stats().tasks, 2000u);
  EXPECT_EQ(journal->stats().answers, 2000u);
  EXPECT_GT(journal->stats().segments_removed, 30u);
}

TEST(Journal, AnIdleRunWritesNothing) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path()});
  Collector sink;
  journal->attach(sink);
  journal->stop();
  EXPECT_TRUE(test::files_in(dir.path()).empty());
  EXPECT_EQ(journal->stats().segments_made, 0u);
}

TEST(Journal, ASingleTaskIsSyncedAtOnce) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path()});
  Collector sink;
  journal->attach(sink);
  const auto tasks = plain_tasks(1, 1);
  journal->take(pointers(tasks));
  const auto done = sink.wait_for(1);
  EXPECT_EQ(done[0]->fate, Fate::live);
  EXPECT_TRUE(done[0]->saved);
  EXPECT_EQ(done[0]->save_mark, 1u);
  EXPECT_EQ(journal->stats().syncs, 1u);
  EXPECT_EQ(journal->stats().groups, 1u);
}

TEST(Journal, AThousandTasksTakenTogetherShareOneSync) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path()});
  Collector sink;
  journal->attach(sink);
  const auto tasks = plain_tasks(1, 1000, 1000);
  journal->take(pointers(tasks));
  sink.wait_for(tasks.size());
  EXPECT_EQ(journal->stats().groups, 1u);
  EXPECT_EQ(journal->stats().syncs, 1u);
  EXPECT_EQ(journal->stats().tasks, 1000u);
}

TEST(Journal, FlushDurabilityAcceptsWithoutSync) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .durability = Durability::flush};
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    const auto tasks = plain_tasks(1, 10);
    journal->take(pointers(tasks));
    for (const Task* task : sink.wait_for(10)) EXPECT_TRUE(task->saved);
    EXPECT_EQ(journal->stats().syncs, 0u);
  }
  EXPECT_EQ(test::read_all(*test::open_journal(options)).size(), 10u);
}

TEST(Journal, WhatIsLeftComesBackInOrderOfAcceptanceAcrossSegments) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  const auto tasks = plain_tasks(1, 3000, 500);
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    const auto all = pointers(tasks);
    for (std::size_t at = 0; at < all.size(); at += 100) journal->take(std::span(all).subspan(at, 100));
    sink.wait_for(tasks.size());
    answer_all(*journal, tasks);
  }
  const auto journal = test::open_journal(options);
  EXPECT_EQ(journal->left().tasks, 3000u);
  EXPECT_EQ(journal->left().answers, 3000u);
  EXPECT_EQ(journal->left().torn_bytes, 0u);
  const auto left = test::read_all(*journal);
  ASSERT_EQ(left.size(), tasks.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    test::expect_same(left[i].request, tasks[i]->request);
    test::expect_same(left[i].outcome, tasks[i]->outcome);
  }
}

TEST(Journal, ATaskLargerThanASegmentGetsOneOfItsOwn) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  std::vector<std::unique_ptr<Task>> tasks = plain_tasks(1, 3);
  tasks[1]->request.body.assign(1'000'000, 'x');
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    journal->take(pointers(tasks));
    sink.wait_for(3);
    answer_all(*journal, tasks, 500'000);  // together larger than a segment, too
  }
  const auto journal = test::open_journal(options);
  const auto left = test::read_all(*journal);
  ASSERT_EQ(left.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    test::expect_same(left[i].request, tasks[i]->request);
    test::expect_same(left[i].outcome, tasks[i]->outcome);
    journal->forget(left[i]);
  }
  journal->stop();
  EXPECT_TRUE(test::files_in(dir.path()).empty());
}

TEST(Journal, ATaskThatIsTooLargeIsGivenUpAloneAndAnAnswerIsDropped) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path(), .record_bytes_max = 2000});
  Collector sink;
  journal->attach(sink);
  auto tasks = plain_tasks(1, 3);
  tasks[1]->request.body.assign(3000, 'x');
  journal->take(pointers(tasks));
  sink.wait_for(3);
  EXPECT_EQ(tasks[1]->fate, Fate::unfinished);
  EXPECT_EQ(tasks[1]->error->code, ErrorCode::usage);
  EXPECT_FALSE(tasks[1]->saved);
  EXPECT_TRUE(tasks[0]->saved);
  EXPECT_TRUE(tasks[2]->saved);
  tasks[0]->outcome = plain_outcome(3000);
  tasks[2]->outcome = plain_outcome(10);
  journal->note_answers(pointers(tasks));
  EXPECT_EQ(tasks[0]->answer_mark, 0u);
  EXPECT_NE(tasks[2]->answer_mark, 0u);
  EXPECT_EQ(journal->stats().answers_dropped, 1u);
}

TEST(Journal, AnswersBeyondTheQueueBoundAreDropped) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path(), .answer_bytes_queued_max = 1000});
  Collector sink;
  journal->attach(sink);
  const auto tasks = plain_tasks(1, 10);
  journal->take(pointers(tasks));
  sink.wait_for(10);
  answer_all(*journal, tasks, 400);  // one call: only what fits the bound is kept
  EXPECT_EQ(journal->stats().answers_dropped, 8u);
  test::eventually([&] { return journal->stats().answers == 2; });
  answer_all(*journal, tasks, 400);  // the disk has caught up: the next two
  test::eventually([&] { return journal->stats().answers == 4; });
}

TEST(Journal, SegmentsGoAwayAsTheirTasksAreReleasedAndAreUsedAgain) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path(), .segment_bytes = kSmallSegment});
  Collector sink;
  journal->attach(sink);
  std::size_t count = 0;
  for (std::uint64_t round = 0; round < 100; ++round) {
    const auto tasks = plain_tasks(1 + round * 50, 50, 1000);
    journal->take(pointers(tasks));
    sink.wait_for(count += tasks.size());
    answer_all(*journal, tasks, 100);
    journal->release(pointers(tasks));
  }
  test::eventually([&] { return test::files_in(dir.path()).size() <= 3; });
  EXPECT_GT(journal->stats().segments_reused, 50u);
  EXPECT_LT(journal->stats().segments_made, 10u);
}

TEST(Journal, AnAnswerPinsItsSegmentUntilItsTaskIsReleased) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  const auto old = plain_tasks(1, 1);
  std::uint64_t answer_segment = 0;
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    journal->take(pointers(old));
    sink.wait_for(1);
    // Fill segments, so that the answer lies in another segment than its task; then release all but that task.
    const auto fill = plain_tasks(2, 200, 1000);
    journal->take(pointers(fill));
    sink.wait_for(201);
    answer_all(*journal, old);
    test::eventually([&] { return journal->stats().answers == 1; });
    const auto more = plain_tasks(202, 200, 1000);
    journal->take(pointers(more));
    sink.wait_for(401);
    answer_segment = fill.back()->save_mark;
    journal->release(pointers(fill));
    journal->release(pointers(more));
    journal->stop();
    EXPECT_EQ(test::files_in(dir.path()).size(), 2u);  // the task's and the answer's
  }
  const auto journal = test::open_journal(options);
  bool found = false;
  Recovered recovered;
  while (journal->next(recovered).value()) {
    if (recovered.request.task_id == old[0]->request.task_id) {
      found = true;
      test::expect_same(recovered.outcome, old[0]->outcome);
      EXPECT_NE(recovered.answer_mark, recovered.save_mark);
      EXPECT_EQ(recovered.answer_mark, answer_segment);
    }
    journal->forget(recovered);
  }
  EXPECT_TRUE(found);
  journal->stop();
  EXPECT_TRUE(test::files_in(dir.path()).empty());
}

TEST(Journal, AnswersAreReadableAndSyncedWithoutAnyFurtherTask) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path()});
  Collector sink;
  journal->attach(sink);
  const auto tasks = plain_tasks(1, 5);
  journal->take(pointers(tasks));
  sink.wait_for(5);
  answer_all(*journal, tasks);
  test::eventually([&] { return journal->stats().syncs == 2; });
  const auto left = inspect(dir.path());
  ASSERT_TRUE(left);
  EXPECT_EQ(left->tasks, 5u);
  EXPECT_EQ(left->answers, 5u);
}

TEST(Journal, CancelledTasksComeBackUnsaved) {
  for (const Cancel how : {Cancel::waiting, Cancel::all}) {
    const TempDir dir;
    const auto journal = test::open_journal({.folder = dir.path()});
    Collector sink;
    journal->attach(sink);
    const auto before = plain_tasks(1, 10);
    journal->take(pointers(before));
    sink.wait_for(10);
    journal->cancel(how);
    const auto after = plain_tasks(11, 10);
    journal->take(pointers(after));
    sink.wait_for(20);
    for (const auto& task : before) EXPECT_TRUE(task->saved);
    for (const auto& task : after) {
      EXPECT_EQ(task->fate, Fate::unfinished);
      EXPECT_EQ(task->error->code, ErrorCode::cancelled);
      EXPECT_FALSE(task->saved);
    }
    journal->stop();
    EXPECT_EQ(inspect(dir.path())->tasks, 10u);
    EXPECT_EQ(journal->gauge().waiting + journal->gauge().active, 0u);
  }
}

TEST(Journal, ManyThreadsMayNoteAnswersWhileTasksComeAndGo) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path(), .segment_bytes = kSmallSegment});
  Collector sink;
  journal->attach(sink);
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kRounds = 100;
  constexpr std::uint64_t kBatch = 20;
  constexpr std::uint64_t kAll = kThreads * kRounds * kBatch;
  const auto first = plain_tasks(1, kAll, 300);
  const auto second = plain_tasks(kAll + 1, kAll, 300);
  journal->take(pointers(first));
  sink.wait_for(kAll);
  std::mutex one_releaser;  // the port promises one caller of release() at a time
  std::latch begin(kThreads + 1);
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      begin.arrive_and_wait();
      for (std::uint64_t round = 0; round < kRounds; ++round) {
        const std::span tasks = std::span(first).subspan((thread * kRounds + round) * kBatch, kBatch);
        std::vector<Task*> mine;
        for (const auto& task : tasks) mine.push_back(task.get());
        for (Task* task : mine) task->outcome = plain_outcome(200);
        journal->note_answers(mine);
        const std::lock_guard guard(one_releaser);
        journal->release(mine);
      }
    });
  }
  threads.emplace_back([&] {
    begin.arrive_and_wait();
    const auto all = pointers(second);
    for (std::size_t at = 0; at < all.size(); at += kBatch) journal->take(std::span(all).subspan(at, kBatch));
  });
  for (auto& thread : threads) thread.join();
  sink.wait_for(2 * kAll);
  journal->release(pointers(second));
  journal->stop();
  EXPECT_EQ(journal->stats().tasks, 2 * kAll);
  EXPECT_EQ(journal->stats().answers, kAll);
  EXPECT_TRUE(test::files_in(dir.path()).empty());
}

TEST(Journal, RecoveredTasksAreAnsweredAndReleasedLikeOthers) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    const auto tasks = plain_tasks(1, 300, 1000);
    journal->take(pointers(tasks));
    sink.wait_for(300);
  }
  {
    // The second run answers all and is killed before it releases anything: its destructor must keep them.
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    std::vector<std::unique_ptr<Task>> tasks;
    for (Recovered& recovered : test::read_all(*journal)) {
      EXPECT_EQ(recovered.outcome.kind, Outcome::Kind::none);
      tasks.push_back(std::make_unique<Task>());
      tasks.back()->request = std::move(recovered.request);
      tasks.back()->save_mark = recovered.save_mark;
      tasks.back()->answer_mark = recovered.answer_mark;
      tasks.back()->saved = true;
    }
    answer_all(*journal, tasks);
    const auto all = pointers(tasks);
    journal->release(std::span(all).first(100));
  }
  const auto journal = test::open_journal(options);
  Collector sink;
  journal->attach(sink);
  std::size_t answered = 0;
  for (const Recovered& recovered : test::read_all(*journal)) {
    if (recovered.outcome.kind == Outcome::Kind::answered) ++answered;
    journal->forget(recovered);
  }
  EXPECT_GE(answered, 200u);
  journal->stop();
  EXPECT_TRUE(test::files_in(dir.path()).empty());
}

TEST(Journal, WhatWasNotStreamedIsKept) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    const auto tasks = plain_tasks(1, 300, 1000);
    journal->take(pointers(tasks));
    sink.wait_for(300);
  }
  {
    const auto journal = test::open_journal(options);
    Recovered recovered;
    for (int i = 0; i < 150; ++i) {
      ASSERT_TRUE(journal->next(recovered).value());
      journal->forget(recovered);
    }
  }
  const auto journal = test::open_journal(options);
  const auto left = test::read_all(*journal);
  ASSERT_GE(left.size(), 150u);
  EXPECT_LT(left.size(), 300u);
  EXPECT_EQ(left.back().request.task_id.ordinal, 300u);
}

}  // namespace
}  // namespace pawl::journal
