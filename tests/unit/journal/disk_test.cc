// A disk that fails: real file size limits, a sync that fails, and power loss at every sync.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "journal_fixture.h"

namespace {

// Looks at, or fails, the process's syncs; empty: they go through. Set and cleared while no journal is at work.
std::function<int(int)>& on_sync() {
  static std::function<int(int)> hook;
  return hook;
}

}  // namespace

// In front of the C library's: the journal under test is the real one, its syncs come through here.
extern "C" int fdatasync(int file) {
  const int error = on_sync() ? on_sync()(file) : 0;
  if (error == 0) return static_cast<int>(::syscall(SYS_fdatasync, file));
  errno = error;
  return -1;
}

extern "C" int fsync(int file) {
  const int error = on_sync() ? on_sync()(file) : 0;
  if (error == 0) return static_cast<int>(::syscall(SYS_fsync, file));
  errno = error;
  return -1;
}

namespace pawl::journal {
namespace {

using test::Collector;
using test::plain_tasks;
using test::pointers;
using test::TempDir;

class HookedSyncs {
 public:
  explicit HookedSyncs(std::function<int(int)> hook) { on_sync() = std::move(hook); }
  ~HookedSyncs() { on_sync() = nullptr; }
  HookedSyncs(const HookedSyncs&) = delete;
  HookedSyncs& operator=(const HookedSyncs&) = delete;
};

/// Files cannot grow beyond `bytes` while this lives: writes fail with EFBIG, for real.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    before_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limit{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    ::signal(SIGXFSZ, before_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  sighandler_t before_handler_ = SIG_DFL;
};

TEST(JournalDisk, AWriteThatFailsGivesUpTheGroupAndEverythingLater) {
  const TempDir dir;
  const Options options{.folder = dir.path()};
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    journal->attach(sink);
    const auto first = plain_tasks(1, 10);
    journal->take(pointers(first));
    sink.wait_for(10);
    const auto second = plain_tasks(11, 50, 10'000);
    {
      const FileSizeLimit limit(200'000);
      journal->take(pointers(second));
      sink.wait_for(60);
    }
    for (const auto& task : first) EXPECT_EQ(task->fate, Fate::live);
    for (const auto& task : second) {
      EXPECT_EQ(task->fate, Fate::unfinished);
      EXPECT_FALSE(task->saved);
      EXPECT_EQ(task->error->code, ErrorCode::io);
      EXPECT_EQ(task->error->sys_errno, EFBIG);
      EXPECT_NE(task->error->context.find("00000001.journal"), std::string::npos) << task->error->context;
    }
    // The limit is gone, the stage stays broken.
    const auto third = plain_tasks(61, 10);
    journal->take(pointers(third));
    sink.wait_for(70);
    for (const auto& task : third) EXPECT_EQ(task->error->code, ErrorCode::io);
    for (const auto& task : first) task->outcome = test::plain_outcome();
    journal->note_answers(pointers(first));
    test::eventually([&] { return journal->stats().answers_dropped == 10; });
  }
  const auto journal = test::open_journal(options);
  ASSERT_TRUE(journal);
  EXPECT_GE(test::read_all(*journal).size(), 10u);
}

TEST(JournalDisk, ASegmentThatCannotBeMadeGivesUpTheGroup) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir / "journal"});
  Collector sink;
  journal->attach(sink);
  std::filesystem::remove_all(dir / "journal");
  const auto tasks = plain_tasks(1, 3);
  journal->take(pointers(tasks));
  sink.wait_for(3);
  for (const auto& task : tasks) {
    EXPECT_EQ(task->error->code, ErrorCode::io);
    EXPECT_EQ(task->error->sys_errno, ENOENT);
  }
}

TEST(JournalDisk, AFolderThatIsAFileIsAnIoError) {
  const TempDir dir;
  test::write_file(dir / "file", "x");
  const auto opened = Journal::open({.folder = dir / "file"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::io);
  EXPECT_EQ(opened.error().sys_errno, ENOTDIR);
}

TEST(JournalDisk, AFailedSyncIsNotRetriedAsIfItHadWorked) {
  const TempDir dir;
  const Options options{.folder = dir.path()};
  int syncs = 0;
  const auto first = plain_tasks(1, 5);
  const auto second = plain_tasks(6, 5);
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    // The first is that of the new segment's header, the second its folder's; the third is the group's.
    const HookedSyncs hooked([&](int) { return ++syncs == 3 ? EIO : 0; });
    journal->attach(sink);
    journal->take(pointers(first));
    sink.wait_for(5);
    journal->take(pointers(second));
    sink.wait_for(10);
    journal->stop();
  }
  EXPECT_EQ(syncs, 3) << "after a failed sync there must be no other";
  for (const auto* tasks : {&first, &second})
    for (const auto& task : *tasks) {
      EXPECT_EQ(task->fate, Fate::unfinished);
      EXPECT_FALSE(task->saved);
      EXPECT_EQ(task->error->sys_errno, EIO);
    }
}

TEST(JournalDisk, AFailedSyncOfAnswersBreaksTheStage) {
  const TempDir dir;
  const auto journal = test::open_journal({.folder = dir.path()});
  Collector sink;
  std::atomic<bool> fail{false};
  const HookedSyncs hooked([&](int) { return fail.load() ? EIO : 0; });
  journal->attach(sink);
  const auto tasks = plain_tasks(1, 5);
  journal->take(pointers(tasks));
  sink.wait_for(5);
  fail.store(true);
  for (const auto& task : tasks) task->outcome = test::plain_outcome();
  journal->note_answers(pointers(tasks));
  test::eventually([&] { return journal->stats().syncs == 2; });
  const auto later = plain_tasks(6, 1);
  journal->take(pointers(later));
  sink.wait_for(6);
  EXPECT_EQ(later[0]->error->sys_errno, EIO);
  journal->stop();
}

// What the disk holds if the power fails in the middle of a sync: of the file being synced, any mixture of old and new
// sectors; of the others what was synced before.
class PowerLoss {
 public:
  PowerLoss(const std::filesystem::path& folder, const std::filesystem::path& images, std::uint64_t seed)
      : folder_(folder), images_(images), random_(seed) {}

  int sync(int file) {
    const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file));
    if (!std::filesystem::is_regular_file(path)) return 0;  // folders: entries count as durable at once
    const std::string now = test::read_file(path);
    std::string& durable = durable_[file_number(path)];
    if (path.extension() == ".journal" && random_.below(3) == 0) take_image(path, durable, now);
    durable = now;
    return 0;
  }

  [[nodiscard]] std::size_t images() const { return accepted_.size(); }
  /// Tasks that had been accepted when image `i` was taken: ordinals 1 … n.
  [[nodiscard]] std::uint64_t accepted(std::size_t i) const { return accepted_[i]; }
  std::atomic<std::uint64_t> accepted_now{0};

 private:
  static std::uint64_t file_number(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_ino;
  }

  void take_image(const std::filesystem::path& path, const std::string& durable, const std::string& now) {
    const auto image = images_ / std::to_string(accepted_.size());
    std::filesystem::create_directories(image);
    for (const auto& other : test::files_in(folder_))
      if (other != path) std::filesystem::copy_file(other, image / other.filename());
    constexpr std::size_t kSector = 512;
    std::string mixed = now;
    mixed.resize(random_.below(2) == 0 ? now.size() : std::max(durable.size(), kSector), '\0');
    const std::uint64_t kept = random_.below(5);  // of four new sectors
    for (std::size_t at = 0; at < mixed.size(); at += kSector) {
      if (random_.below(4) < kept) continue;
      const std::string old = at < durable.size() ? durable.substr(at, kSector) : std::string();
      for (std::size_t i = 0; i < kSector && at + i < mixed.size(); ++i) mixed[at + i] = i < old.size() ? old[i] : '\0';
    }
    test::write_file(image / path.filename(), mixed);
    accepted_.push_back(accepted_now.load(std::memory_order_acquire));
  }

  std::filesystem::path folder_;
  std::filesystem::path images_;
  test::Randomly random_;
  std::map<std::uint64_t, std::string> durable_;  // by inode: the content at its last sync
  std::vector<std::uint64_t> accepted_;
};

TEST(JournalDisk, WhatWasAcceptedSurvivesPowerLossInAnySync) {
  const std::uint64_t seed = test::make_seed();
  const TempDir dir;
  const Options options{.folder = dir / "journal", .segment_bytes = 64 * 1024};
  std::filesystem::create_directory(options.folder);
  PowerLoss power(options.folder, dir / "images", seed);
  test::Randomly random(seed + 1);
  constexpr std::uint64_t kKept = 7;  // every seventh group stays, the others are released so that segments are re-used
  const auto is_kept = [&](std::uint64_t ordinal) { return (ordinal - 1) / 10 % kKept == 0; };
  {
    const auto journal = test::open_journal(options);
    Collector sink;
    const HookedSyncs hooked([&](int file) { return power.sync(file); });
    journal->attach(sink);
    std::vector<std::vector<std::unique_ptr<Task>>> all;
    for (std::uint64_t group = 0; group < 120; ++group) {
      all.push_back(plain_tasks(1 + group * 10, 10, 200 + random.below(1500)));
      const auto tasks = pointers(all.back());
      journal->take(tasks);
      sink.wait_for((group + 1) * 10);
      power.accepted_now.store((group + 1) * 10, std::memory_order_release);
      for (Task* task : tasks) task->outcome = test::plain_outcome(random.below(300));
      journal->note_answers(tasks);
      if (group % kKept != 0) journal->release(tasks);
    }
    journal->stop();
    EXPECT_GT(journal->stats().segments_reused, 0u);
  }
  ASSERT_GT(power.images(), 20u);
  for (std::size_t i = 0; i < power.images(); ++i) {
    const auto journal = test::open_journal({.folder = dir / "images" / std::to_string(i)});
    ASSERT_TRUE(journal) << "image " << i;
    std::set<std::uint64_t> found;
    for (const Recovered& recovered : test::read_all(*journal)) found.insert(recovered.request.task_id.ordinal);
    for (std::uint64_t ordinal = 1; ordinal <= power.accepted(i); ++ordinal)
      ASSERT_TRUE(!is_kept(ordinal) || found.contains(ordinal)) << ordinal << " is lost in image " << i;
  }
}

}  // namespace
}  // namespace pawl::journal
