// The journal as a send log: what is marked is safe before the sender hears of it, costs no sync of its own where it
// can go with a save, and is known after a crash for as long as the task lives.
#include "journal_fixture.h"

namespace pawl::journal {
namespace {

using test::Collector;
using test::eventually;
using test::kSmallSegment;
using test::plain_tasks;
using test::pointers;
using test::TempDir;

/// Keeps what may be sent, and looks at the folder at that moment.
class Sender final : public SendSink {
 public:
  explicit Sender(std::filesystem::path folder = {}) : folder_(std::move(folder)) {}
  void may_send(std::span<Task* const> tasks) noexcept override {
    if (!folder_.empty()) in_doubt_ = inspect(folder_).value().in_doubt;
    collector_.done(tasks);
  }
  std::vector<Task*> wait_for(std::size_t count) { return collector_.wait_for(count); }
  [[nodiscard]] std::uint64_t in_doubt() const { return in_doubt_; }

 private:
  const std::filesystem::path folder_;
  std::atomic<std::uint64_t> in_doubt_{0};
  Collector collector_;
};

std::uint64_t in_doubt(const std::filesystem::path& folder) {
  const auto journal = test::open_journal({.folder = folder});
  std::uint64_t count = 0;
  for (const Recovered& recovered : test::read_all(*journal)) {
    count += recovered.in_doubt;
    EXPECT_TRUE(!recovered.in_doubt || recovered.sent_mark != 0);
  }
  EXPECT_EQ(journal->left().in_doubt, count);
  return count;
}

TEST(SendLog, WhatMayBeSentIsOnDiskAndMarkedInTheOrderItWasAskedFor) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path()});
  Collector sink;
  Sender sender(dir.path());
  journal->attach(sink);
  journal->attach_sender(sender);
  const auto tasks = plain_tasks(1, 100);
  const auto all = pointers(tasks);
  journal->take(all);
  sink.wait_for(100);
  for (const auto& task : tasks) EXPECT_FALSE(task->sent);
  journal->note_sending(std::span(all).first(60));
  EXPECT_EQ(sender.wait_for(60), std::vector<Task*>(all.begin(), all.begin() + 60));
  EXPECT_EQ(sender.in_doubt(), 60u) << "told before the mark was written";
  for (std::size_t i = 0; i < 60; ++i) EXPECT_TRUE(tasks[i]->sent);
  EXPECT_EQ(journal->stats().syncs, 2u) << "one for the save, one for the marks";
  EXPECT_EQ(journal->stats().sent, 60u);
}

TEST(SendLog, WhereThereIsRoomTheMarkGoesWithTheSave) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path()});
  Collector sink;
  Sender sender;
  journal->attach(sink);
  journal->attach_sender(sender);
  journal->give_room(7);
  const auto tasks = plain_tasks(1, 10);
  journal->take(pointers(tasks));
  sink.wait_for(10);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(tasks[i]->sent, i < 7) << i;
  EXPECT_EQ(journal->stats().syncs, 1u);
  EXPECT_EQ(journal->stats().sent_with_save, 7u);
  const auto more = plain_tasks(11, 3);
  journal->take(pointers(more));
  sink.wait_for(13);
  EXPECT_EQ(journal->stats().sent, 7u) << "the room is used up";
  journal->stop();
  EXPECT_EQ(in_doubt(dir.path()), 7u);
}

TEST(SendLog, AnAnswerOrASettlingEndsTheDoubtAndSendingAgainBringsItBack) {
  const TempDir dir;
  {
    const auto journal = test::open_journal({.folder = dir.path()});
    Collector sink;
    Sender sender;
    journal->attach(sink);
    journal->attach_sender(sender);
    journal->give_room(5);
    const auto tasks = plain_tasks(1, 5);
    const auto all = pointers(tasks);
    journal->take(all);
    sink.wait_for(5);
    tasks[0]->outcome = test::plain_outcome();
    journal->note_answers(std::span(all).first(1));
    journal->note_settled(std::span(all).subspan(1, 2));
    EXPECT_FALSE(tasks[1]->sent);
    journal->note_sending(std::span(all).subspan(2, 1));
    sender.wait_for(1);
    journal->stop();
    EXPECT_EQ(journal->stats().settled, 2u);
  }
  const auto journal = test::open_journal({.folder = dir.path()});
  const auto left = test::read_all(*journal);
  ASSERT_EQ(left.size(), 5u);
  EXPECT_FALSE(left[0].in_doubt) << "answered";
  EXPECT_FALSE(left[1].in_doubt) << "settled";
  EXPECT_TRUE(left[2].in_doubt) << "settled, and sent again";
  EXPECT_TRUE(left[3].in_doubt);
  EXPECT_TRUE(left[4].in_doubt);
  EXPECT_EQ(journal->left().in_doubt, 3u);
}

TEST(SendLog, AMarkLivesAsLongAsItsTaskAndNoLonger) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  const auto tasks = plain_tasks(1, 1);
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    Sender sender;
    journal->attach(sink);
    journal->attach_sender(sender);
    journal->take(pointers(tasks));
    sink.wait_for(1);
    // Other segments come and go; the mark lies in one of them.
    const auto others = plain_tasks(2, 1000, 1000);
    const auto all = pointers(others);
    for (std::size_t at = 0; at < all.size(); at += 50) {
      journal->take(std::span(all).subspan(at, 50));
      sink.wait_for(1 + at + 50);
      if (at != 500) continue;
      journal->note_sending(pointers(tasks));
      sender.wait_for(1);
    }
    journal->release(all);
    eventually([&] { return journal->stats().segments_removed > 10; });
    journal->stop();
    EXPECT_GT(tasks[0]->sent_mark, tasks[0]->save_mark);
    EXPECT_EQ(test::files_in(dir.path()).size(), 2u) << "the segment of the task and that of its mark";
  }
  const auto journal = test::open_journal(options);
  Collector sink;
  journal->attach(sink);
  const auto left = test::read_all(*journal);
  const auto own = std::ranges::find_if(left, [](const Recovered& one) { return one.request.task_id.ordinal == 1; });
  ASSERT_NE(own, left.end());
  EXPECT_TRUE(own->in_doubt);
  for (const Recovered& one : left) journal->forget(one);
  eventually([&] { return journal->stats().segments_removed == 2; });
  journal->stop();
  EXPECT_TRUE(test::files_in(dir.path()).empty());
}

TEST(SendLog, DurabilityDecidesWhatTheDiskHasWhenATaskIsAccepted) {
  using Clock = std::chrono::steady_clock;
  for (const Durability durability : {Durability::sync, Durability::flush, Durability::none}) {
    const TempDir dir;
    const auto journal = test::open_journal({.folder = dir.path(), .durability = durability});
    Collector sink;
    Sender sender;
    journal->attach(sink);
    journal->attach_sender(sender);
    journal->give_room(10);
    const auto tasks = plain_tasks(1, 10);
    const auto began = Clock::now();
    journal->take(pointers(tasks));
    sink.wait_for(10);
    const auto seen = inspect(dir.path()).value();
    const bool soon = Clock::now() - began < std::chrono::milliseconds(150);
    EXPECT_EQ(journal->stats().syncs, durability == Durability::sync ? 1u : 0u);
    if (durability != Durability::none) {
      EXPECT_EQ(seen.tasks, 10u);
      EXPECT_EQ(seen.in_doubt, 10u);
    } else if (soon) {
      EXPECT_EQ(seen.tasks, 0u) << "in the memory of this process";
    }
    eventually([&] { return inspect(dir.path()).value().tasks == 10; });
    EXPECT_EQ(journal->stats().syncs, durability == Durability::sync ? 1u : 0u);
  }
}

}  // namespace
}  // namespace pawl::journal
