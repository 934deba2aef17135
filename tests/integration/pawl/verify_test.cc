// `pawl verify`: silent on what pawl made, and every planted fault is named.
#include <condition_variable>
#include <mutex>
#include <span>

#include <pawl/git.h>
#include <pawl/journal.h>

#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Verified {
  int code = -1;
  std::string out;
  std::string err;
};

Verified verify(const std::filesystem::path& repo, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {PAWL_TOOL, "verify", repo.string()});
  Process process(more);
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

class PawlVerify : public PawlTool {
 protected:
  /// One repository for all tests, of a run with failures; each test works on a copy of it.
  static void SetUpTestSuite() {
    made_ = new TempDir;
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse("lognormal:3ms,1.0");
    options.error_rate = 0.1;
    options.error_codes = {400, 500};
    options.drop_rate = 0.03;
    options.seed = seed_of_test();
    const auto server = serve(options);
    Asked asked;
    write_file(*made_ / "in.jsonl", batch_lines(240, 3, options.seed, asked));
    Process run({PAWL_TOOL, "run", (*made_ / "in.jsonl").string(), "--repo", (*made_ / "repo").string(), "--base-url",
                 server->base_url() + "/v1", "--retry", "1", "--retry-delay", "5ms", "--commit-tasks", "20"});
    ASSERT_EQ(run.wait(), 1) << run.err();
  }
  static void TearDownTestSuite() { delete std::exchange(made_, nullptr); }
  void SetUp() override { std::filesystem::copy(*made_ / "repo", repo(), std::filesystem::copy_options::recursive); }

  /// Paths of the records that a commit brought.
  std::vector<std::string> brought_by(const std::string& commit) {
    std::istringstream names(git(repo(), {"show", "--name-only", "--format=", commit}));
    std::vector<std::string> paths;
    for (std::string line; std::getline(names, line);)
      if (!line.empty()) paths.push_back(line);
    return paths;
  }
  std::string id_of(const std::string& commit) { return git(repo(), {"rev-parse", commit}).substr(0, 12); }
  void commit_all() { git(repo(), {"commit", "-qam", "by hand"}); }
  void edit(const std::string& path, const std::string& text) { write_file(repo() / path, text); }

  static TempDir* made_;
};
TempDir* PawlVerify::made_ = nullptr;

TEST_F(PawlVerify, IsSilentAboutARunWithRandomFailures) {
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 0);
  EXPECT_EQ(found.out + found.err, "");
  const Verified json = verify(repo(), {"--json"});
  EXPECT_EQ(json.code, 0);
  EXPECT_THAT(json.out, AllOf(HasSubstr(R"("sound":true)"), HasSubstr(R"("records":240)"), HasSubstr(R"("streams":3)"),
                              HasSubstr(R"("findings":[])")));
}

TEST_F(PawlVerify, ChangesNothing) {
  std::filesystem::remove_all(repo() / ".git" / "pawl");
  EXPECT_EQ(verify(repo()).code, 0);
  EXPECT_FALSE(std::filesystem::exists(repo() / ".git" / "pawl"));
}

TEST_F(PawlVerify, NamesARecordThatACommitRemoved) {
  const std::string path = brought_by("HEAD~3").front();
  git(repo(), {"rm", "-q", path});
  git(repo(), {"commit", "-qm", "by hand"});
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, HasSubstr("fault: commit " + id_of("HEAD") + ": " + path + ": the record was removed"));
  git(repo(), {"revert", "--no-edit", "HEAD"});
  EXPECT_EQ(verify(repo()).code, 0) << "it is back";
}

TEST_F(PawlVerify, NamesACommitThatLostARecordByRewriting) {
  const std::string path = brought_by("HEAD").front();
  const std::string count = std::to_string(brought_by("HEAD").size());
  git(repo(), {"rm", "-q", path});
  git(repo(), {"commit", "-q", "--amend", "--no-edit"});
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, HasSubstr("commit " + id_of("HEAD") + ": it says that it holds " + count + " results"));
}

TEST_F(PawlVerify, NamesACommitThatIsGone) {
  git(repo(), {"rebase", "-q", "--onto", "HEAD~3", "HEAD~2"});
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, AllOf(HasSubstr("commit " + id_of("HEAD~1")), HasSubstr("what came between is gone"),
                               HasSubstr("the stream has no record at")));
}

TEST_F(PawlVerify, NamesCommitsThatChangedPlaces) {
  Process rebase({"git", "-C", repo().string(), "-c", "sequence.editor=sed -i -e '1{h;d}' -e '2{G}'", "rebase", "-q",
                  "-i", "HEAD~2"});
  ASSERT_EQ(rebase.wait(), 0) << rebase.err();
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, AllOf(HasSubstr("they have changed places"), HasSubstr("of the same run and stream")));
}

TEST_F(PawlVerify, NamesSwappedRecords) {
  const auto paths = brought_by("HEAD~1");
  const std::string first = read_file(repo() / paths[0]), second = read_file(repo() / paths[1]);
  edit(paths[0], second);
  edit(paths[1], first);
  commit_all();
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, AllOf(HasSubstr(paths[0] + ": it holds the record of " + paths[1]),
                               HasSubstr(paths[1] + ": it holds the record of " + paths[0])));
}

TEST_F(PawlVerify, NamesAnEditedRecordAsANoteIfItIsStillOneElseAsAFault) {
  const std::string path = brought_by("HEAD").front();
  std::string record = read_file(repo() / path);
  record.insert(record.rfind('}'), ",\n  \"comment\": \"looked at\"\n");
  edit(path, record);
  commit_all();
  Verified found = verify(repo());
  EXPECT_EQ(found.code, 0);
  EXPECT_THAT(found.out, HasSubstr("note: commit " + id_of("HEAD") + ": " + path));
  edit(path, record.substr(0, record.size() / 2));
  commit_all();
  found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, HasSubstr("fault: commit " + id_of("HEAD") + ": " + path + ": the record was changed"));
}

TEST_F(PawlVerify, NamesARecordAtAWrongPath) {
  const std::string path = brought_by("HEAD").front();
  const std::string moved = path.substr(0, path.rfind('/') + 1) + "elsewhere.json";
  git(repo(), {"mv", path, moved});
  commit_all();
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, AllOf(HasSubstr(path + ": the record was removed"),
                               HasSubstr(moved + ": it holds the record of " + path)));
}

TEST_F(PawlVerify, NamesACacheOfKeysThatIsWrong) {
  {
    auto repository = git::Repository::open({repo(), {}, git::RepositoryOptions::Missing::fail});
    ASSERT_TRUE(repository.has_value());
    auto index = git::KeyIndex::open(**repository);
    ASSERT_TRUE(index.has_value());
    ASSERT_TRUE((*index)->put("stream-0", "never committed", {7, {}, true}).has_value());
    ASSERT_TRUE((*index)->mark_clean(**repository, 1).has_value());
  }
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, HasSubstr("the cache of keys holds 241 keys, the branch 240"));
}

TEST_F(PawlVerify, LeavesOtherPeoplesFilesAlone) {
  std::filesystem::create_directories(repo() / "notes/00/00");
  edit("README.md", "mine\n");
  edit("notes/00/00/x.json", "{}\n");
  std::filesystem::copy(repo() / brought_by("HEAD").front(), repo() / "notes/00/00/copy.json");
  git(repo(), {"add", "."});
  commit_all();
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 0);
  EXPECT_EQ(found.out, "");
}

TEST_F(PawlVerify, SaysHowMuchOfAShallowCloneItSaw) {
  git(repo(), {"clone", "-q", "--depth", "2", "file://" + repo().string(), (folder_ / "clone").string()});
  const Verified found = verify(folder_ / "clone");
  EXPECT_EQ(found.code, 0) << found.out;
  EXPECT_THAT(found.out, HasSubstr("note: "));
}

TEST_F(PawlVerify, SaysWhatItCannotRead) {
  EXPECT_EQ(verify(folder_ / "nothing").code, 3);
  EXPECT_EQ(verify(repo(), {"--branch", "no-such"}).code, 2);
  EXPECT_EQ(Process(pawl({"verify"})).wait(), 2);
}

// ---- the journal ------------------------------------------------------------------------------------------------

class Everything final : public StageSink {
 public:
  void done(std::span<Task* const> tasks) noexcept override {
    const std::lock_guard lock(mutex_);
    count_ += tasks.size();
    changed_.notify_all();
  }
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds{60}, [&] { return count_ >= count; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
};

class PawlVerifyJournal : public PawlVerify {
 protected:
  static constexpr std::uint64_t kRun = 1'800'000'000'000'000;

  void SetUp() override {
    PawlVerify::SetUp();
    const auto opened = journal::Journal::open({.folder = journal(), .segment_bytes = 64 * 1024});
    ASSERT_TRUE(opened.has_value());
    Everything sink;
    (*opened)->attach(sink);
    std::vector<std::unique_ptr<Task>> tasks;
    for (std::uint64_t i = 1; i <= 150; ++i) {
      Task& task = *tasks.emplace_back(std::make_unique<Task>());
      task.request.task_id = {kRun, i};
      task.request.stream = "waiting";
      task.request.id = fmt::format("w-{}", i);
      task.request.position = i - 1;
      task.request.method = "POST";
      task.request.url = "http://127.0.0.1:9/";
      task.request.body.assign(1000, 'b');
      Task* one = &task;
      (*opened)->take({&one, 1});
      sink.wait_for(i);
    }
    (*opened)->stop();
  }
  [[nodiscard]] std::filesystem::path segment(unsigned number) const {
    return journal() / fmt::format("{:08}.journal", number);
  }
};

TEST_F(PawlVerifyJournal, IsSilentAboutTasksThatWait) {
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 0);
  EXPECT_EQ(found.out, "");
}

TEST_F(PawlVerifyJournal, NamesSegmentOffsetAndTaskOfAFlippedBit) {
  std::string bytes = read_file(segment(2));
  bytes.at(bytes.find("bbbbbbbbbb", bytes.size() / 2)) ^= 1;
  write_file(segment(2), bytes);
  const Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, AllOf(HasSubstr("fault: " + segment(2).string() + ": byte "), HasSubstr("task pawl-")));
}

TEST_F(PawlVerifyJournal, NamesAMissingSegmentAndTheTasksInIt) {
  std::filesystem::remove(segment(2));
  Verified found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out,
              AllOf(HasSubstr("segment 2 is missing"), HasSubstr("neither in the journal nor on the branch")));
  std::filesystem::remove(segment(1));
  found = verify(repo());
  EXPECT_EQ(found.code, 1);
  EXPECT_THAT(found.out, AllOf(HasSubstr("segment 1 to 2 is missing"), HasSubstr(git::record_id({kRun, 1}))));
}

TEST_F(PawlVerify, IsCleanBesideALiveRunAfterAKillAndAfterResume) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("lognormal:20ms,1.0");
  server_ = serve(options);
  Asked asked;
  const std::string file = input("more.jsonl", batch_lines(1500, 3, 11, asked));
  Process run(run_words(file, {"--parallel-max", "30", "--commit-every", "20ms", "--commit-tasks", "10"}));
  for (const std::uint64_t until : {100u, 300u, 500u}) {
    ASSERT_TRUE(eventually([&] { return server_->stats().answered >= until; })) << run.err();
    const Verified live = verify(repo());
    EXPECT_EQ(live.code, 0) << live.out << live.err;
    // Somebody else commits: pawl's commits are built again on top, and keep their numbers. It may meet a lock.
    Process({"git", "-C", repo().string(), "commit", "-q", "--allow-empty", "-m", "by hand"}).wait();
  }
  run.signal(SIGKILL);
  const int ended = run.wait();
  ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;  // 0: verify took longer than the rest of the run
  const Verified killed = verify(repo());
  EXPECT_EQ(killed.code, 0) << killed.out;
  Process resume(pawl({"resume", repo().string()}));
  ASSERT_EQ(resume.wait(), 0) << resume.err();
  const Verified resumed = verify(repo());
  EXPECT_EQ(resumed.code, 0);
  EXPECT_EQ(resumed.out, "");
}

}  // namespace
}  // namespace pawl::test
