// The audit of a journal folder: planted damage is named with segment and offset, and the rest is still read.
#include <algorithm>

#include <pawl/journal_audit.h>

#include "format.h"
#include "journal_fixture.h"

namespace pawl::journal {
namespace {

using test::Collector;
using test::plain_tasks;
using test::TempDir;

class JournalAudit : public ::testing::Test {
 protected:
  /// `count` tasks of 1,000 bytes in segments of 64 KiB, each a group of its own.
  void leave_tasks(std::uint64_t count) {
    const auto journal = test::open_journal({.folder = folder(), .segment_bytes = 64 * 1024});
    Collector sink;
    journal->attach(sink);
    const auto tasks = plain_tasks(1, count, 1000);
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      Task* task = tasks[i].get();
      journal->take({&task, 1});
      sink.wait_for(i + 1);
    }
  }
  Audit audit_folder() const {
    auto found = audit(folder());
    EXPECT_TRUE(found.has_value()) << (found ? "" : found.error().context);
    return found ? std::move(*found) : Audit{};
  }
  [[nodiscard]] std::filesystem::path folder() const { return dir_ / "journal"; }
  [[nodiscard]] std::filesystem::path segment(unsigned number) const {
    return folder() / ("0000000" + std::to_string(number) + ".journal");
  }
  static void flip(const std::filesystem::path& path, std::size_t offset) {
    std::string bytes = test::read_file(path);
    bytes.at(offset) = static_cast<char>(bytes[offset] ^ 4);
    test::write_file(path, bytes);
  }
  static std::size_t record_size() { return record_bytes(test::plain_request(1, 1000)); }

  TempDir dir_;
};

TEST_F(JournalAudit, FindsNothingInWhatARunLeft) {
  EXPECT_EQ(audit_folder().segments, 0u) << "a missing folder holds nothing";
  leave_tasks(150);
  const Audit found = audit_folder();
  EXPECT_TRUE(found.damage.empty());
  EXPECT_TRUE(found.missing.empty());
  EXPECT_EQ(found.segments, 3u);
  EXPECT_EQ(found.left.tasks, 150u);
  ASSERT_EQ(found.tasks.size(), 150u);
  EXPECT_EQ(found.tasks[149].task_id, (TaskId{7, 150}));
  EXPECT_EQ(found.tasks[149].segment, 3u);
  EXPECT_FALSE(found.tasks[149].answered);
}

TEST_F(JournalAudit, NamesSegmentOffsetAndTaskOfAFlippedBitAndReadsOnBehindIt) {
  leave_tasks(150);
  const std::size_t second = kSegmentHeaderBytes + record_size();
  flip(segment(2), second + kRecordHeaderBytes + 500);
  const Audit found = audit_folder();
  ASSERT_EQ(found.damage.size(), 1u);
  EXPECT_EQ(found.damage[0].segment, segment(2));
  EXPECT_EQ(found.damage[0].offset, second);
  ASSERT_TRUE(found.damage[0].task.has_value());
  EXPECT_EQ(found.tasks.size(), 149u);
  EXPECT_TRUE(
      std::ranges::none_of(found.tasks, [&](const auto& task) { return task.task_id == found.damage[0].task; }));
}

TEST_F(JournalAudit, FindsEveryFlippedByteOfARecordThatCounts) {
  leave_tasks(5);
  const std::string whole = test::read_file(segment(1));
  const std::size_t begin = kSegmentHeaderBytes + 2 * record_size();
  const std::uint32_t length = record_length(std::as_bytes(std::span(whole)).subspan(begin).first<4>());
  for (std::size_t at = 0; at < length; at += at < kRecordHeaderBytes ? 1 : 37) {
    flip(segment(1), begin + at);
    const Audit found = audit_folder();
    ASSERT_EQ(found.damage.size(), 1u) << at;
    EXPECT_EQ(found.damage[0].offset, begin) << at;
    EXPECT_EQ(found.tasks.size(), 4u) << at;
    test::write_file(segment(1), whole);
  }
}

TEST_F(JournalAudit, NamesADamagedHeaderAndReadsTheOtherSegments) {
  leave_tasks(150);
  flip(segment(1), 20);
  const Audit found = audit_folder();
  ASSERT_EQ(found.damage.size(), 1u);
  EXPECT_EQ(found.damage[0].segment, segment(1));
  EXPECT_EQ(found.damage[0].offset, 0u);
  EXPECT_LT(found.tasks.size(), 150u);
  EXPECT_EQ(found.tasks.back().task_id, (TaskId{7, 150}));
}

TEST_F(JournalAudit, TellsAMissingEndFromATornTail) {
  leave_tasks(150);
  const std::string last = test::read_file(segment(3));
  test::write_file(segment(3), last.substr(0, last.size() - kRecordHeaderBytes - 30));
  Audit found = audit_folder();
  EXPECT_TRUE(found.damage.empty()) << "the last write of all may be unfinished";
  EXPECT_GT(found.left.torn_bytes, 0u);
  EXPECT_EQ(found.tasks.size(), 149u);

  const std::string second = test::read_file(segment(2));
  test::write_file(segment(2), second.substr(0, kSegmentHeaderBytes + 2 * record_size()));
  found = audit_folder();
  ASSERT_EQ(found.damage.size(), 1u) << "that of an earlier segment may not";
  EXPECT_EQ(found.damage[0].segment, segment(2));
  EXPECT_EQ(found.damage[0].offset, kSegmentHeaderBytes + 2 * record_size());
}

TEST_F(JournalAudit, NamesMissingSegments) {
  leave_tasks(300);
  std::filesystem::remove(segment(2));
  std::filesystem::remove(segment(3));
  const Audit found = audit_folder();
  ASSERT_EQ(found.missing.size(), 1u);
  EXPECT_EQ(found.missing[0].first, 2u);
  EXPECT_EQ(found.missing[0].last, 3u);
  EXPECT_TRUE(found.damage.empty());
}

}  // namespace
}  // namespace pawl::journal
