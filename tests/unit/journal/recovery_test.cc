// Damaged and unfinished segments, and random histories against a model.
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "format.h"
#include "journal_fixture.h"

namespace pawl::journal {
namespace {

using test::Collector;
using test::kSmallSegment;
using test::plain_tasks;
using test::pointers;
using test::TempDir;

/// Writes `count` tasks, each a group of its own, and leaves them.
void leave_tasks(const Options& options, std::uint64_t count, std::size_t bytes, std::uint64_t first = 1) {
  const auto journal = test::open_journal(options);
  Collector sink;
  journal->attach(sink);
  const auto tasks = plain_tasks(first, count, bytes);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    Task* task = tasks[i].get();
    journal->take({&task, 1});
    sink.wait_for(i + 1);
  }
}

/// A segment as a killed process leaves it: without the seal a clean end writes.
std::string without_seal(const std::string& bytes) { return bytes.substr(0, bytes.size() - kRecordHeaderBytes); }

TEST(JournalRecovery, GivesTasksBackInTheOrderOfAcceptanceHoweverTheyWereSaved) {
  const TempDir dir;
  constexpr std::uint64_t kTasks = 600;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    const auto tasks = plain_tasks(1, kTasks, 500);
    auto saved = pointers(tasks);
    for (std::size_t at = 0; at + 200 <= saved.size(); at += 150)  // also across the ends of segments
      std::ranges::reverse(std::span(saved).subspan(at, 200));
    for (std::size_t i = 0; i < saved.size(); ++i) {
      journal->take({&saved[i], 1});
      sink.wait_for(i + 1);
    }
  }
  const auto journal = test::open_journal(options);
  Collector sink;
  journal->attach(sink);
  Recovered recovered;
  for (std::uint64_t i = 1; i <= kTasks; ++i) {
    const auto more = journal->next(recovered);
    ASSERT_TRUE(more && *more);
    ASSERT_EQ(recovered.request.task_id.ordinal, i);
    journal->forget(recovered);
  }
  const auto end = journal->next(recovered);
  ASSERT_TRUE(end && !*end);
  journal->stop();
  EXPECT_TRUE(test::files_in(dir.path()).empty()) << "every segment is released";
}

TEST(LeftTasks, ShowsWhatIsLeftAndChangesNothing) {
  const TempDir dir;
  const Options options{.folder = dir.path(), .segment_bytes = kSmallSegment};
  leave_tasks(options, 300, 500);
  const auto files = test::files_in(dir.path());
  auto segments = files;
  std::erase_if(segments, [](const auto& file) { return file.extension() != ".journal"; });
  const auto last = segments.back();
  const std::string unsealed = without_seal(test::read_file(last)) + "torn";
  test::write_file(last, unsealed);
  for (int look = 0; look < 2; ++look) {
    const auto left = LeftTasks::open(dir.path());
    ASSERT_TRUE(left) << left.error().context;
    Recovered recovered;
    for (std::uint64_t i = 1; i <= 300; ++i) {
      const auto more = (*left)->next(recovered);
      ASSERT_TRUE(more && *more);
      ASSERT_EQ(recovered.request.task_id.ordinal, i);
      ASSERT_EQ(recovered.outcome.kind, Outcome::Kind::none);
    }
    const auto end = (*left)->next(recovered);
    EXPECT_TRUE(end && !*end);
  }
  EXPECT_EQ(test::files_in(dir.path()), files);
  EXPECT_EQ(test::read_file(last), unsealed) << "a torn tail is not its to cut";
  const auto nothing = LeftTasks::open(dir.path() / "missing");
  ASSERT_TRUE(nothing) << nothing.error().context;
  Recovered none;
  const auto more = (*nothing)->next(none);
  EXPECT_TRUE(more && !*more);
}

TEST(JournalRecovery, ATornTailIsCutAtEveryLengthOfTheLastRecord) {
  const TempDir dir;
  leave_tasks({.folder = dir / "source"}, 3, 50);
  const std::string whole = without_seal(test::read_file(dir / "source/00000001.journal"));
  const std::size_t record = record_bytes(test::plain_request(3, 50));
  const std::size_t begin = whole.size() - record;
  for (const char filler : {'\0', 'f'}) {  // zeros as in a new segment, old bytes as in a recycled one
    for (std::size_t kept = 0; kept <= record; ++kept) {
      std::string cut = whole.substr(0, begin + kept);
      const std::string behind = kept == record ? "" : std::string(200, filler);
      std::filesystem::remove_all(dir / "cut");
      std::filesystem::create_directory(dir / "cut");
      test::write_file(dir / "cut/00000001.journal", cut + behind);
      const auto journal = test::open_journal({.folder = dir / "cut"});
      ASSERT_TRUE(journal);
      // The padding behind the last record does not matter, whatever it is.
      const std::uint32_t length = record_length(std::as_bytes(std::span(whole)).subspan(begin).first<4>());
      const std::size_t expected = kept >= length || (kept == record) ? 3 : 2;
      const auto left = test::read_all(*journal);
      ASSERT_EQ(left.size(), expected) << kept;
      for (std::size_t i = 0; i < left.size(); ++i) test::expect_same(left[i].request, test::plain_request(i + 1, 50));
      if (filler == '\0' && expected == 2) {
        std::size_t end = begin + kept;
        while (end > begin && whole[end - 1] == '\0') --end;
        // A tail whose length field is still zero is no tail.
        const bool begun = kept > 0 && whole[begin] != '\0';
        EXPECT_EQ(journal->left().torn_bytes, begun ? end - begin : 0) << kept;
      }
    }
  }
}

TEST(JournalRecovery, AppendingGoesOnBehindATornTailUnderANewNumber) {
  const TempDir dir;
  const Options options{.folder = dir / "journal"};
  leave_tasks(options, 3, 50);
  const auto path = dir / "journal/00000001.journal";
  const std::string whole = without_seal(test::read_file(path));
  test::write_file(path, whole.substr(0, whole.size() - 60));
  leave_tasks(options, 2, 70, 4);
  EXPECT_TRUE(std::filesystem::exists(dir / "journal/00000002.journal"));
  const auto journal = test::open_journal(options);
  const auto left = test::read_all(*journal);
  ASSERT_EQ(left.size(), 4u);
  EXPECT_EQ(left[1].request.body, test::plain_request(2, 50).body);
  EXPECT_EQ(left[2].request.body, test::plain_request(4, 70).body);
  EXPECT_EQ(journal->left().torn_bytes, 0u);
}

TEST(JournalRecovery, EveryFlippedBitIsFoundOrHarmless) {
  const TempDir dir;
  leave_tasks({.folder = dir / "source"}, 3, 20);
  const std::string whole = test::read_file(dir / "source/00000001.journal");
  std::filesystem::create_directory(dir / "flipped");
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    test::write_file(dir / "flipped/00000001.journal", flipped);
    const auto left = inspect(dir / "flipped");
    if (left) {
      // Found none: then it hit padding, the seal (the last record), or a reserved byte.
      ASSERT_EQ(left->tasks, 3u) << "bit " << bit;
    } else {
      ASSERT_TRUE(left.error().code == ErrorCode::journal || left.error().code == ErrorCode::unsupported);
      ASSERT_NE(left.error().context.find("00000001.journal"), std::string::npos);
    }
  }
}

TEST(JournalRecovery, DamageToADurableRecordIsAnErrorThatNamesSegmentAndOffset) {
  const TempDir dir;
  const Options options{.folder = dir / "journal"};
  leave_tasks(options, 3, 50);
  const auto path = dir / "journal/00000001.journal";
  std::string bytes = without_seal(test::read_file(path));
  const std::size_t second = kSegmentHeaderBytes + record_bytes(test::plain_request(1, 50));
  bytes[second + 60] ^= 1;
  test::write_file(path, bytes);
  const auto opened = Journal::open(options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::journal);
  EXPECT_NE(opened.error().context.find("00000001.journal"), std::string::npos) << opened.error().context;
  EXPECT_NE(opened.error().context.find("byte " + std::to_string(second)), std::string::npos) << opened.error().context;
  EXPECT_EQ(test::read_file(path), bytes) << "a damaged journal must not be changed";
}

TEST(JournalRecovery, ADurableRecordThatTurnedToZerosIsAnErrorToo) {
  const TempDir dir;
  const Options options{.folder = dir / "journal"};
  leave_tasks(options, 3, 50);
  const auto path = dir / "journal/00000001.journal";
  std::string bytes = without_seal(test::read_file(path));
  const std::size_t size = record_bytes(test::plain_request(1, 50));
  bytes.replace(kSegmentHeaderBytes + size, size, std::string(size, '\0'));
  test::write_file(path, bytes);
  EXPECT_EQ(Journal::open(options).error().code, ErrorCode::journal);
}

TEST(JournalRecovery, AMissingEndInAnOlderSegmentIsAnError) {
  const TempDir dir;
  const Options options{.folder = dir / "journal", .segment_bytes = kSmallSegment};
  leave_tasks(options, 150, 1000);  // three segments
  const auto path = dir / "journal/00000002.journal";
  const std::string bytes = test::read_file(path);
  test::write_file(path, bytes.substr(0, 30'000));
  const auto opened = Journal::open(options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::journal);
  EXPECT_NE(opened.error().context.find("00000002.journal"), std::string::npos) << opened.error().context;
}

TEST(JournalRecovery, UnfinishedWritesBehindTheDurableEndAreCutEvenIfLaterPartsArrived) {
  // Power loss may keep the end of a group and lose its beginning.
  const TempDir dir;
  const Options options{.folder = dir / "journal"};
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    const auto first = plain_tasks(1, 2);
    journal->take(pointers(first));
    sink.wait_for(2);
    const auto second = plain_tasks(3, 20);
    journal->take(pointers(second));
    sink.wait_for(22);
  }
  const auto path = dir / "journal/00000001.journal";
  std::string bytes = without_seal(test::read_file(path));
  const std::size_t third = kSegmentHeaderBytes + 2 * record_bytes(test::plain_request(1));
  bytes[third + 50] ^= 1;
  test::write_file(path, bytes);
  const auto journal = test::open_journal(options);
  ASSERT_TRUE(journal);
  EXPECT_EQ(test::read_all(*journal).size(), 2u);
  EXPECT_EQ(journal->left().torn_bytes, bytes.find_last_not_of('\0') + 1 - third);
}

TEST(JournalRecovery, ForeignAndNewerSegmentsAreRefused) {
  const TempDir dir;
  test::write_file(dir / "00000001.journal", std::string(100, 'x'));
  EXPECT_EQ(inspect(dir.path()).error().code, ErrorCode::journal);
  std::array<std::byte, kSegmentHeaderBytes> header{};
  encode_segment_header({2, 1}, header);
  const std::string_view bytes(reinterpret_cast<const char*>(header.data()), header.size());
  test::write_file(dir / "00000001.journal", bytes);  // a copy under another number
  EXPECT_EQ(inspect(dir.path()).error().code, ErrorCode::journal);
  std::filesystem::remove(dir / "00000001.journal");
  test::write_file(dir / "00000002.journal", bytes);
  EXPECT_EQ(inspect(dir.path())->tasks, 0u);
}

TEST(JournalRecovery, LeavesAloneWhatIsNotASegment) {
  const TempDir dir;
  test::write_file(dir / "README", "not mine");
  test::write_file(dir / "1.journal", "too few digits");
  const auto journal = test::open_journal({.folder = dir.path()});
  EXPECT_EQ(journal->left().tasks, 0u);
  EXPECT_EQ(test::files_in(dir.path()).size(), 2u);
}

TEST(JournalRecovery, InspectOfAMissingFolderFindsNothing) {
  const TempDir dir;
  EXPECT_EQ(inspect(dir / "missing")->tasks, 0u);
}

TEST(JournalRecovery, InspectBesideALiveWriterNeverFails) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path(), .segment_bytes = kSmallSegment});
  Collector sink;
  journal->attach(sink);
  std::atomic<bool> over{false};
  std::uint64_t looks = 0;
  std::thread looker([&] {
    while (!over.load(std::memory_order_relaxed)) {  // relaxed: any later look sees it
      const auto left = inspect(dir.path());
      EXPECT_TRUE(left) << left.error().context;
      ++looks;
    }
  });
  std::size_t count = 0;
  for (std::uint64_t round = 0; round < 200; ++round) {
    const auto tasks = plain_tasks(1 + round * 40, 40, 1000);
    journal->take(pointers(tasks));
    sink.wait_for(count += tasks.size());
    journal->release(pointers(tasks));
  }
  over.store(true, std::memory_order_relaxed);
  looker.join();
  EXPECT_GT(looks, 0u);
  EXPECT_GT(journal->stats().segments_reused, 10u);
}

// Random histories. The model: what was accepted, in order; what was answered; what was released.
class ModelRun {
 public:
  ModelRun(const std::filesystem::path& folder, std::uint64_t seed) : random_(seed) {
    options_.folder = folder;
    options_.segment_bytes = kSmallSegment + random_.below(200'000);
    if (random_.below(4) == 0) options_.durability = Durability::flush;
  }

  void session() {
    journal_ = test::open_journal(options_);
    ASSERT_TRUE(journal_);
    sink_ = std::make_unique<Collector>();
    given_ = 0;
    open_.clear();
    ++run_;
    ordinal_ = 0;
    const bool attached = random_.below(10) != 0;
    sender_ = std::make_unique<Marked>();
    marked_ = 0;
    if (attached) {
      journal_->attach(*sink_);
      journal_->attach_sender(*sender_);
    }
    check_left();
    if (attached)
      for (std::uint64_t steps = random_.below(25); steps > 0 && !::testing::Test::HasFailure(); --steps) step();
    if (random_.below(8) == 0) release(open_.size());
    journal_->stop();
    if (live_.empty()) {
      EXPECT_TRUE(test::files_in(options_.folder).empty());
    }
    journal_.reset();
  }

 private:
  struct Known {
    Request request;
    Outcome outcome;
    bool sent = false;
  };
  struct Marked final : SendSink {
    void may_send(std::span<Task* const> tasks) noexcept override { collector.done(tasks); }
    Collector collector;
  };

  /// Everything live is there, in order, with its answer; what is beside it was released before.
  void check_left() {
    std::size_t at = 0;
    for (const Recovered& recovered : test::read_all(*journal_)) {
      const TaskId id = recovered.request.task_id;
      if (at < order_.size() && order_[at] == id) {
        test::expect_same(recovered.request, live_[id].request);
        test::expect_same(recovered.outcome, live_[id].outcome);
        EXPECT_EQ(recovered.in_doubt, live_[id].sent && live_[id].outcome.kind == Outcome::Kind::none);
        ++at;
        adopt(recovered);
      } else {
        EXPECT_TRUE(released_.contains(id)) << "never accepted, or out of order";
        journal_->forget(recovered);
      }
    }
    EXPECT_EQ(at, order_.size()) << "accepted tasks are missing";
  }

  void adopt(const Recovered& recovered) {
    open_.push_back(std::make_unique<Task>());
    Task& task = *open_.back();
    task.request = recovered.request;
    task.outcome = recovered.outcome;
    task.save_mark = recovered.save_mark;
    task.answer_mark = recovered.answer_mark;
    task.sent_mark = recovered.sent_mark;
    task.sent = recovered.in_doubt;
    task.saved = true;
  }

  void step() {
    const std::uint64_t what = random_.below(6);
    if (what <= 1) accept();
    if (what == 2) answer();
    if (what == 3) release(random_.below(open_.size() + 1));
    if (what == 4) send();
    if (what == 5) settle();
  }

  /// Marks some that are not marked.
  void send() {
    std::vector<Task*> batch;
    for (const auto& task : open_)
      if (!task->sent && task->outcome.kind == Outcome::Kind::none && random_.below(2) == 0)
        batch.push_back(task.get());
    journal_->note_sending(batch);
    marked_ += batch.size();
    sender_->collector.wait_for(marked_);
    for (const Task* task : batch) live_[task->request.task_id].sent = true;
  }

  void settle() {
    std::vector<Task*> batch;
    for (const auto& task : open_)
      if (task->sent && task->outcome.kind == Outcome::Kind::none && random_.below(2) == 0) batch.push_back(task.get());
    journal_->note_settled(batch);
    for (const Task* task : batch) live_[task->request.task_id].sent = false;
  }

  void accept() {
    std::vector<Task*> batch;
    for (std::uint64_t i = random_.below(20) + 1; i > 0; --i) {
      open_.push_back(std::make_unique<Task>());
      open_.back()->request = random_.request({run_, ++ordinal_});
      batch.push_back(open_.back().get());
    }
    journal_->take(batch);
    sink_->wait_for(given_ += batch.size());
    for (const Task* task : batch) {
      ASSERT_TRUE(task->saved);
      live_[task->request.task_id] = {task->request, {}};
      order_.push_back(task->request.task_id);
    }
  }

  void answer() {
    std::vector<Task*> batch;
    for (const auto& task : open_)
      if (task->answer_mark == 0 && random_.below(2) == 0) batch.push_back(task.get());
    for (Task* task : batch) task->outcome = live_[task->request.task_id].outcome = random_.outcome();
    journal_->note_answers(batch);
  }

  void release(std::size_t count) {
    std::vector<Task*> batch;
    std::shuffle(open_.begin(), open_.end(), std::mt19937_64(random_.word()));
    for (std::size_t i = 0; i < count; ++i) batch.push_back(open_[open_.size() - 1 - i].get());
    journal_->release(batch);
    for (const Task* task : batch) {
      live_.erase(task->request.task_id);
      std::erase(order_, task->request.task_id);
      released_.insert(task->request.task_id);
    }
    open_.resize(open_.size() - count);
  }

  test::Randomly random_;
  Options options_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Collector> sink_;
  std::unique_ptr<Marked> sender_;
  std::size_t marked_ = 0;
  std::size_t given_ = 0;
  std::uint64_t run_ = 0;
  std::uint64_t ordinal_ = 0;
  std::vector<std::unique_ptr<Task>> open_;  // of this session, not released
  std::map<TaskId, Known> live_;
  std::vector<TaskId> order_;
  std::set<TaskId> released_;
};

TEST(JournalRecovery, RandomHistoriesAgreeWithTheModel) {
  const std::uint64_t seed = test::make_seed();
  for (std::uint64_t history = 0; history < 12 && !HasFailure(); ++history) {
    const TempDir dir;
    ModelRun run(dir.path(), seed + history);
    for (int session = 0; session < 12 && !HasFailure(); ++session) run.session();
  }
}

}  // namespace
}  // namespace pawl::journal
