// What a disk does to a run: full, failing, read-only; for real on a small file system, and injected into single
// calls. Each time: the file is named, the exit code is 3, and once the fault is gone everything is committed once.
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "file_shim/file_shim.h"
#include "tool.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// One call that fails.
struct Fault {
  const char* name;
  const char* rule;  // as PAWL_SHIM_RULES
  int error;         // what the message must say
  const char* file;  // and of which file
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

const Fault kFaults[] = {
    {"JournalOpen", "open */journal/new.spare 1+ ENOSPC", ENOSPC, "journal/new.spare"},
    {"JournalFill", "write */journal/new.spare 2+ EDQUOT", EDQUOT, "journal/new.spare"},
    {"JournalMadeSync", "sync */journal/new.spare 1+ EIO", EIO, "journal/new.spare"},
    {"JournalName", "rename */journal/*.journal 1+ EROFS", EROFS, "pawl/journal/"},
    {"JournalFolderSync", "sync */pawl/journal 1+ EIO", EIO, "pawl/journal"},
    {"JournalWrite", "write */journal/*.journal 1+ ENOSPC", ENOSPC, ".journal"},
    {"JournalWriteLater", "write */journal/*.journal 4+ EIO", EIO, ".journal"},
    {"JournalShortWrite", "write */journal/*.journal 3 short+ENOSPC", ENOSPC, ".journal"},
    {"JournalSync", "sync */journal/*.journal 1 EIO", EIO, ".journal"},
    {"JournalSyncLater", "sync */journal/*.journal 3 EIO", EIO, ".journal"},
    {"PackOpen", "open */tmp_pack_* 1+ EROFS", EROFS, "tmp_pack_"},
    {"PackWrite", "write */tmp_pack_* 1+ EDQUOT", EDQUOT, "tmp_pack_"},
    {"PackShortWrite", "write */tmp_pack_* 1 short+ENOSPC", ENOSPC, "tmp_pack_"},
    {"PackSync", "sync */tmp_pack_* 1 EIO", EIO, "tmp_pack_"},
    {"PackIndexWrite", "write */tmp_idx_* 1+ ENOSPC", ENOSPC, "tmp_idx_"},
    {"PackIndexSync", "sync */tmp_idx_* 1 EIO", EIO, "tmp_idx_"},
    {"PackKeep", "write */tmp_keep_* 1+ ENOSPC", ENOSPC, "tmp_keep_"},
    {"PackName", "rename */objects/pack/*.pack 1+ EIO", EIO, ".pack"},
    {"PackIndexName", "rename */objects/pack/*.idx 1+ EROFS", EROFS, ".idx"},
    {"PackFolderSync", "sync */objects/pack 3+ EIO", EIO, "objects/pack"},
    {"RefOpen", "open */refs/heads/main.lock 1+ EROFS", EROFS, "refs/heads/main"},
    {"RefWrite", "write */refs/heads/main.lock 1+ ENOSPC", ENOSPC, "refs/heads/main"},
    {"RefSync", "sync */refs/heads/main.lock 1 EIO", EIO, "refs/heads/main"},
    {"RefName", "rename */refs/heads/main 1+ EIO", EIO, "refs/heads/main"},
    {"RefLog", "write */logs/refs/heads/main 1+ ENOSPC", ENOSPC, "refs/heads/main"},
    {"IndexLock", "open */.git/index.lock 1+ EROFS", EROFS, ".git/index.lock"},
    {"IndexWrite", "write */pawl/index.new 1+ ENOSPC", ENOSPC, "pawl/index.new"},
    {"IndexName", "rename */.git/index 1+ EIO", EIO, ".git/index"},
    {"WorkTreeFolder", "mkdir */repo/stream-* 1+ ENOSPC", ENOSPC, "stream-"},
    {"WorkTreeOpen", "open */repo/stream-*.json 3 EIO", EIO, "stream-"},
    {"WorkTreeWrite", "write */repo/stream-*.json 5+ EDQUOT", EDQUOT, "stream-"},
    {"WorkTreeShortWrite", "write */repo/stream-*.json 2 short+ENOSPC", ENOSPC, "stream-"},
    {"WorkTreeMarker", "write */pawl/work-tree.new 1+ ENOSPC", ENOSPC, "pawl/work-tree.new"},
};

class PawlDisk : public PawlTool {
 protected:
  void SetUp() override { server_ = serve(); }

  std::vector<std::string> words(const std::string& file) {
    return run_words(file, {"--parallel-max", "8", "--commit-every", "10ms", "--commit-tasks", "20"});
  }
  /// The fault is gone: what was accepted is finished, then the same input brings what was not.
  void expect_all_is_well_after(const std::string& file, const Asked& asked) {
    Process resume(pawl({"resume", repo().string()}));
    ASSERT_EQ(resume.wait(), 0) << resume.err();
    EXPECT_TRUE(!fs::exists(journal()) || fs::is_empty(journal()));
    expect_sound(repo());
    Process again(words(file));
    ASSERT_EQ(again.wait(), 0) << again.err();
    expect_exactly_once_in_order(repo(), asked);
    expect_sound(repo());
    EXPECT_TRUE(!fs::exists(journal()) || fs::is_empty(journal()));
  }
};

class PawlDiskFault : public PawlDisk, public ::testing::WithParamInterface<Fault> {};

TEST_P(PawlDiskFault, NamesTheFileLosesNothingAndGoesOn) {
  const Fault& fault = GetParam();
  git(folder_.path(), {"init", "-q", "-b", "main", repo().string()});
  git(repo(), {"commit", "-q", "--allow-empty", "-m", "start"});
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(150, 3, 21, asked));
  Process::Options shim;
  const std::string fired = (folder_ / "fired").string();
  shim.environment = {std::string("LD_PRELOAD=") + PAWL_FILE_SHIM,
                      std::string(shim::kRootName) + "=" + fs::canonical(folder_.path()).string(),
                      std::string(shim::kRulesName) + "=" + fault.rule, std::string(shim::kFiredName) + "=" + fired};
  Process run(words(file), shim);
  EXPECT_EQ(run.wait(std::chrono::seconds{60}), 3) << run.err();
  EXPECT_NE(read_file(fired), "") << "the fault never happened";
  EXPECT_THAT(run.err(), HasSubstr(fault.file));
  EXPECT_THAT(run.err(), HasSubstr(std::strerror(fault.error)));
  EXPECT_THAT(run.err(), HasSubstr("pawl resume"));
  expect_all_is_well_after(file, asked);
}

INSTANTIATE_TEST_SUITE_P(Each, PawlDiskFault, ::testing::ValuesIn(kFaults),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

/// A small file system in memory, as the kernel makes it; gone with the test.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path at) : at_(std::move(at)) {
    fs::create_directory(at_);
    mounted_ = ::mount("tmpfs", at_.c_str(), "tmpfs", 0, "size=3m") == 0;
    why_not_ = std::strerror(errno);
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const noexcept { return mounted_; }
  [[nodiscard]] const std::string& why_not() const noexcept { return why_not_; }
  void remount(unsigned long flags, const char* size) const {
    ASSERT_EQ(::mount("tmpfs", at_.c_str(), "tmpfs", MS_REMOUNT | flags, size), 0) << std::strerror(errno);
  }

 private:
  fs::path at_;
  bool mounted_ = false;
  std::string why_not_;
};

TEST_F(PawlDisk, AFullOneEndsTheRunAndRoomLetsItGoOn) {
  const SmallDisk disk(repo());
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs (needs root): " << disk.why_not();
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(3000, 5, 22, asked));
  Process run(words(file));
  EXPECT_EQ(run.wait(), 3) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("No space left on device"));
  EXPECT_THAT(run.err(), HasSubstr(repo().string()));
  const std::uint64_t calls = server_->stats().calls;
  Process still(pawl({"resume", repo().string()}));
  EXPECT_NE(still.wait(), 0) << "there is no room yet";
  disk.remount(0, "size=512m");
  expect_all_is_well_after(file, asked);
  fmt::print("{} of 3000 calls before the disk was full, {} in all\n", calls, server_->stats().calls);
}

TEST_F(PawlDisk, AReadOnlyOneIsNamedAndNothingIsCalled) {
  const SmallDisk disk(repo());
  if (!disk.mounted()) GTEST_SKIP() << "cannot mount a tmpfs (needs root): " << disk.why_not();
  disk.remount(0, "size=64m");
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(60, 3, 23, asked));
  const std::string first = input("first.jsonl", batch_line("first", "other", "q"));
  ASSERT_EQ(Process(words(first)).wait(), 0);
  asked["other"].push_back("first");
  disk.remount(MS_RDONLY, "size=64m");
  const std::uint64_t calls = server_->stats().calls;
  Process run(words(file));
  EXPECT_EQ(run.wait(), 3) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("Read-only file system"));
  EXPECT_THAT(run.err(), HasSubstr(repo().string()));
  EXPECT_EQ(server_->stats().calls, calls);
  disk.remount(0, "size=64m");
  expect_all_is_well_after(file, asked);
}

TEST_F(PawlDisk, TooLittleMemoryLosesNothing) {
  Asked asked;
  const std::string file = input("in.jsonl", batch_lines(150, 3, 24, asked));
  std::map<int, unsigned> ends;
  for (const unsigned mebibytes : {90, 130, 180, 250, 330, 420, 520, 650, 800}) {
    std::vector<std::string> limited = {"sh", "-c", fmt::format("ulimit -v {}; exec \"$@\"", mebibytes * 1024), "sh"};
    const auto run_words = words(file);
    limited.insert(limited.end(), run_words.begin(), run_words.end());
    Process run(limited);
    const int end = run.wait(std::chrono::seconds{60});
    ++ends[end];
    EXPECT_THAT(end, ::testing::AnyOf(0, 3, 70, 127)) << mebibytes << " MiB: " << run.err();
    EXPECT_TRUE(end == 0 || run.err() != "") << mebibytes << " MiB: no word about why";
  }
  for (const auto& [end, times] : ends) fmt::print("exit {}: {} times\n", end, times);
  Process last(words(file));
  ASSERT_EQ(last.wait(), 0) << last.err();
  expect_exactly_once_in_order(repo(), asked);
  expect_sound(repo());
  EXPECT_TRUE(!fs::exists(journal()) || fs::is_empty(journal()));
}

}  // namespace
}  // namespace pawl::test
