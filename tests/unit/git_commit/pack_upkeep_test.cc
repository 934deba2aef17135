// Packs joined: nothing is lost, whatever they hold, and there are never many.
#include <algorithm>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "pack_upkeep.h"
#include "packed_blobs.h"
#include "stage_fixture.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> packs_of(const fs::path& git_dir) {
  std::vector<fs::path> packs;
  for (const auto& entry : fs::directory_iterator(git_dir / "objects" / "pack")) {
    if (entry.path().extension() == ".pack") packs.push_back(entry.path());
  }
  return packs;
}

/// A bare repository after `runs` runs of `publications` packs each, every one with some commits, deltas, a blob that
/// others have, too, and a file that goes to and fro between two contents, so that whole trees come again.
void fill(const fs::path& repository, int runs, int publications, int first = 0) {
  git::CommitOptions options = quick_options();
  options.commit_tasks = 2;
  int number = first;
  for (int r = 0; r < runs; ++r) {
    CommitRun run(repository, options);
    for (int p = 0; p < publications; ++p, ++number) {
      std::vector<Task*> tasks;
      for (int i = 0; i < 6; ++i) {
        const std::string n = std::to_string(6 * number + i);
        tasks.push_back(&run.make("s/" + std::to_string(i % 3) + "/" + n, i == 0 ? "the same" : "content " + n));
      }
      tasks.push_back(&run.make("a/to-and-fro", number % 2 == 0 ? "to" : "fro"));
      run.give(tasks);
      run.stage().hurry();
      ASSERT_TRUE(run.all_back());
    }
    run.finish();
    EXPECT_EQ(run.stats().upkeep_problem, "");
  }
}

/// A bare repository where sixteen packs may stand, four fifths of twenty.
void init(const TempDir& dir) {
  Git(dir.path())("init -q --bare -b main bare");
  Git(dir / "bare")("config gc.autoPackLimit 20");
}

TEST(PackUpkeep, KeepsPacksFewInARunAndFromRunToRun) {
  const TempDir dir;
  init(dir);
  const Git git(dir / "bare");
  fill(dir / "bare", 2, 8);
  EXPECT_EQ(packs_of(dir / "bare").size(), 16u);
  fill(dir / "bare", 1, 24, 16);
  EXPECT_LE(packs_of(dir / "bare").size(), 16u);
  fill(dir / "bare", 18, 1, 40);
  git.expect_sound();
  EXPECT_LE(packs_of(dir / "bare").size(), 16u);
  EXPECT_EQ(git("ls-tree -r --name-only main | wc -l"), std::to_string((40 + 18) * 6 + 1));
  Git(dir.path())("clone -q --bare bare copy");
  const std::string objects = "cat-file --batch-all-objects --batch-check";
  EXPECT_TRUE(Git(dir / "copy")(objects) == git(objects))
      << "a clone has what leads from the branch, and no more is here";
}

TEST(PackUpkeep, LeavesPacksOfOthersAndThoseThatAreKept) {
  const TempDir dir;
  init(dir);
  const Git git(dir / "bare");
  fill(dir / "bare", 1, 3);
  git("repack -q -a -d");
  const std::vector<fs::path> foreign = packs_of(dir / "bare");
  ASSERT_EQ(foreign.size(), 1u);
  fill(dir / "bare", 1, 1, 3);
  fs::path kept;
  for (const fs::path& pack : packs_of(dir / "bare")) {
    if (pack != foreign[0]) kept = pack;
  }
  std::ofstream(fs::path(kept).replace_extension(".keep")) << "a person's\n";
  fill(dir / "bare", 1, 40, 4);
  git.expect_sound();
  EXPECT_TRUE(fs::exists(foreign[0]));
  EXPECT_TRUE(fs::exists(kept));
  EXPECT_LT(packs_of(dir / "bare").size(), 20u);
}

TEST(PackUpkeep, WaitsWhileGitIsHousekeeping) {
  const TempDir dir;
  init(dir);
  std::ofstream(dir / "bare/gc.pid") << "1 here\n";
  fill(dir / "bare", 1, 20);
  EXPECT_GE(packs_of(dir / "bare").size(), 20u);
  fs::remove(dir / "bare/gc.pid");
  fill(dir / "bare", 1, 1, 20);
  EXPECT_LT(packs_of(dir / "bare").size(), 10u);
  Git(dir / "bare").expect_sound();
}

TEST(PackUpkeep, LetsAsManyStandAsGitsConfigurationAllows) {
  const TempDir dir;
  Git(dir.path())("init -q --bare -b main bare");
  const Git git(dir / "bare");
  const auto repository = git::Repository::open({.path = dir / "bare", .branch = {}});
  ASSERT_TRUE(repository.has_value()) << repository.error().context;
  const auto let_stand = [&] { return git::PackUpkeep::let_stand(git::handle(**repository)); };
  EXPECT_EQ(let_stand(), 40u);
  git("config gc.autoPackLimit 10");
  EXPECT_EQ(let_stand(), 8u);
  git("config gc.autoPackLimit 1");
  EXPECT_EQ(let_stand(), 1u);
  git("config gc.autoPackLimit 0");
  EXPECT_EQ(let_stand(), 0u) << "all";
  fill(dir / "bare", 1, 20);
  EXPECT_EQ(packs_of(dir / "bare").size(), 20u);
  git("config gc.autoPackLimit 1");
  fill(dir / "bare", 1, 1, 20);
  EXPECT_LE(packs_of(dir / "bare").size(), 2u) << "of two sizes, perhaps";
  git.expect_sound();
}

/// A record-like text, so that one is told as a delta of another.
std::string record(int number) {
  const std::string n = std::to_string(number);
  return "{\n  \"id\": \"" + n + "\",\n  \"response\": {\"status_code\": 200, \"request_id\": \"\", \"body\": \"" +
         std::string(static_cast<std::size_t>(number % 40), 'b') + n +
         "\"},\n  \"url\": \"https://api.example.org/v1/" + n + "\",\n  \"content_type\": \"application/json\"\n}\n";
}

// Deltas whose base is in an earlier pack, or comes later, are told whole; packs with deltas are joined; and all is
// read by git and by our own reader.
TEST(PackedBlobs, ReadsRecordsThatAreTellingEachOther) {
  const TempDir dir;
  init(dir);
  const Git git(dir / "bare");
  constexpr int kRuns = 2, kPacks = 12, kTasks = 30;
  int number = 0;
  for (int r = 0; r < kRuns; ++r) {
    CommitRun run(dir / "bare");
    for (int p = 0; p < kPacks; ++p) {
      std::vector<Task*> tasks;
      for (int i = 0; i < kTasks; ++i, ++number) {
        tasks.push_back(&run.make("s/" + std::to_string(number), record(number)));
      }
      if (p % 3 == 1) std::ranges::reverse(tasks);  // the base last
      run.give(tasks);
      run.stage().hurry();
      ASSERT_TRUE(run.all_back());
    }
    run.finish();
    EXPECT_EQ(run.stats().upkeep_problem, "");
  }
  git.expect_sound();
  EXPECT_LE(packs_of(dir / "bare").size(), 16u);
  std::size_t deltas = 0;
  std::string wrong;
  for (const fs::path& pack : packs_of(dir / "bare")) {
    const std::string listed = git("verify-pack -v " + shell_word(pack.string()));
    std::istringstream lines(listed);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string id, type, size, in_pack, offset, depth;
      words >> id >> type >> size >> in_pack >> offset;
      if (type != "blob" || !(words >> depth)) continue;
      ++deltas;
      if (depth != "1") wrong += line + '\n';
    }
  }
  EXPECT_GT(deltas, static_cast<std::size_t>(number) / 2);
  EXPECT_EQ(wrong, "") << "no delta of a delta";
  const git::PackedBlobs packed = git::PackedBlobs::open(dir / "bare/objects/pack");
  git::PackedBlobs::Cursor cursor;
  std::string content;
  for (int n = 0; n < number; ++n) {
    ASSERT_TRUE(packed.read(git::hash_object(git::ObjectType::blob, record(n)), cursor, content)) << n;
    ASSERT_EQ(content, record(n));
  }
  for (const int n : {0, number / 2, number - 1}) {
    EXPECT_EQ(git("show main:s/" + std::to_string(n)) + '\n', record(n));
  }
}

TEST(PackJoin, RefusesWhatIsNoWholePackAndLeavesNothing) {
  const TempDir dir;
  Git(dir.path())("init -q --bare -b main bare");
  fill(dir / "bare", 1, 2);
  std::vector<fs::path> stems = packs_of(dir / "bare");
  ASSERT_EQ(stems.size(), 2u);
  for (fs::path& stem : stems) stem.replace_extension();
  const git::PackFolders folders{dir / "bare/objects/pack", dir / "bare/pawl"};
  const git::Interrupt interrupt;
  const auto temporary_files = [&folders] {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folders.scratch)) {
      count += entry.path().filename().string().starts_with("tmp_") ? 1 : 0;
    }
    return count;
  };
  {
    const auto joined = git::PackFiles::join(stems, folders, interrupt);
    ASSERT_TRUE(joined.has_value()) << joined.error().context;
    EXPECT_EQ(temporary_files(), 2u);
  }
  const fs::path pack = stems[1].string() + ".pack";
  fs::permissions(pack, fs::perms::owner_all);
  fs::resize_file(pack, fs::file_size(pack) - 1);
  const auto cut = git::PackFiles::join(stems, folders, interrupt);
  ASSERT_FALSE(cut.has_value());
  EXPECT_THAT(cut.error().context, testing::HasSubstr("is not a whole pack"));
  fs::remove(pack);
  EXPECT_FALSE(git::PackFiles::join(stems, folders, interrupt).has_value());
  EXPECT_EQ(temporary_files(), 0u);
}

}  // namespace
}  // namespace pawl::test
