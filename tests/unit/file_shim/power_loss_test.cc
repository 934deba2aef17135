// What survives a simulated power loss is what was synced.
#include "power_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "process.h"
#include "temp_dir.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;

class PowerLoss : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(root());
    fs::create_directory(state());
  }
  [[nodiscard]] fs::path root() const { return folder_ / "root"; }
  [[nodiscard]] fs::path state() const { return folder_ / "state"; }

  void steps(std::vector<std::string> words, const std::string& rules = "") {
    words.insert(words.begin(), {"env", "-C", root().string(), PAWL_FILE_STEPS});
    Process::Options options;
    options.environment = {std::string("LD_PRELOAD=") + PAWL_FILE_SHIM, "PAWL_SHIM_ROOT=" + root().string(),
                           "PAWL_SHIM_RULES=" + rules, "PAWL_SHIM_STATE=" + state().string()};
    Process process(words, options);
    ASSERT_NE(process.wait(), 99) << process.err();
  }
  PowerLossReport lose(double lost = 1, std::uint64_t seed = 1,
                       PowerLossOptions::Names names = PowerLossOptions::Names::in_any_order) {
    const auto report = lose_power({state(), root(), seed, lost, names, 4096});
    EXPECT_EQ(report.misfits, 0u);
    return report;
  }
  /// What is in root(), as `name=content`; folders as `name/`.
  [[nodiscard]] std::set<std::string> tree() const {
    std::set<std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(root())) {
      const std::string name = entry.path().lexically_relative(root()).string();
      all.insert(entry.is_directory() ? name + "/" : name + "=" + read_file(entry.path()));
    }
    return all;
  }
  void start_over() {
    fs::remove_all(root());
    fs::remove_all(state());
    SetUp();
  }
  using Tree = std::set<std::string>;

  TempDir folder_;
};

TEST_F(PowerLoss, TakesAFileWithoutASync) {
  steps({"a:f:text", "m:folder", "a:folder/g:text"});
  lose();
  EXPECT_EQ(tree(), Tree());
}

TEST_F(PowerLoss, ANameWithoutContentIsAnEmptyFile) {
  steps({"a:f:text", "s:."});
  lose();
  EXPECT_EQ(tree(), Tree{"f="});
}

TEST_F(PowerLoss, ContentWithoutANameIsGone) {
  steps({"a:f:text", "d:f"});
  lose();
  EXPECT_EQ(tree(), Tree());
}

TEST_F(PowerLoss, LeavesWhatWasSynced) {
  steps({"m:folder", "a:folder/f:text", "d:folder/f", "s:folder", "s:.", "a:folder/f:more"});
  lose();
  EXPECT_EQ(tree(), (Tree{"folder/", "folder/f=text"}));
}

TEST_F(PowerLoss, AFolderWhoseNameIsNotSyncedTakesItsContentAlong) {
  steps({"m:folder", "a:folder/f:text", "d:folder/f", "s:folder"});
  lose();
  EXPECT_EQ(tree(), Tree());
  start_over();
  steps({"m:folder", "a:folder/f:text", "d:folder/f", "s:folder"});
  lose(1, 1, PowerLossOptions::Names::in_order);
  EXPECT_EQ(tree(), (Tree{"folder/", "folder/f=text"})) << "a journal keeps what came before what was synced";
}

TEST_F(PowerLoss, UndoesOverwritingCuttingRenamingAndRemoving) {
  steps({"a:a:old content", "d:a", "a:b:other", "d:b", "a:c:third", "d:c", "s:."});
  steps({"w:a:0:NEW", "t:a:5", "r:a:b", "u:c", "v:d:fresh"});
  EXPECT_EQ(tree(), (Tree{"b=NEW c", "d=fresh"}));
  lose();
  EXPECT_EQ(tree(), (Tree{"a=old content", "b=other", "c=third"}));
}

TEST_F(PowerLoss, ARenameIsSureWithEitherFolder) {
  steps({"m:x", "m:y", "s:.", "a:x/f:text", "d:x/f", "s:x", "r:x/f:y/g", "s:y"});
  lose();
  EXPECT_EQ(tree(), (Tree{"x/", "y/", "y/g=text"}));
}

TEST_F(PowerLoss, FollowsFilesThroughARenamedFolder) {
  steps({"m:x", "s:.", "a:x/f:text", "a:x/g:text", "d:x/g", "r:x:y", "s:y", "s:.", "a:y/f:more", "d:y/f", "a:y/h:1"});
  lose();
  EXPECT_EQ(tree(), (Tree{"y/", "y/f=textmore", "y/g=text"}));
}

TEST_F(PowerLoss, AFailedSyncIsNotMadeGoodByALaterOne) {
  steps({"a:f:12", "d:f", "s:."});
  steps({"a:f:34", "d:f", "d:f", "a:f:56", "d:f"}, "sync */f 1 EIO");
  EXPECT_EQ(tree(), Tree{"f=123456"});
  lose();
  const std::string content = read_file(root() / "f");
  EXPECT_TRUE(content == "12" || content == std::string("12\0\0", 4) + "56") << content;
}

TEST_F(PowerLoss, TearsAFileIntoUnits) {
  std::set<std::string> shapes;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    start_over();
    steps({"a:f:12288*A", "d:f", "s:.", "w:f:0:12288*B"});
    lose(0.5, seed);
    const std::string content = read_file(root() / "f");
    ASSERT_EQ(content.size(), 12288u);
    std::string shape;
    for (std::size_t unit = 0; unit < 3; ++unit) {
      EXPECT_EQ(content.substr(unit * 4096, 4096), std::string(4096, content[unit * 4096]));
      shape += content[unit * 4096];
    }
    shapes.insert(shape);
  }
  EXPECT_EQ(shapes.size(), 8u) << "each unit for itself";
}

TEST_F(PowerLoss, RenamesAreDoneAsAWholeOrNotAtAll) {
  std::set<Tree> seen;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    start_over();
    steps({"a:a:1", "d:a", "a:b:2", "d:b", "s:.", "r:a:b", "r:b:c"});
    lose(0.5, seed);
    seen.insert(tree());
  }
  EXPECT_EQ(seen, (std::set<Tree>{{"a=1", "b=2"}, {"b=1"}, {"c=1"}}));
}

TEST_F(PowerLoss, SurvivesWhatWasSyncedWhateverElseIsLost) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    start_over();
    steps({"m:x", "s:.", "a:x/tmp:right", "d:x/tmp", "r:x/tmp:x/f", "s:x", "a:x/new:1", "w:x/f:5:more",
           "r:x/new:x/newer", "v:x/g:1", "u:x/g"});
    lose(0.5, seed, seed % 2 == 0 ? PowerLossOptions::Names::in_order : PowerLossOptions::Names::in_any_order);
    EXPECT_TRUE(read_file(root() / "x" / "f").starts_with("right")) << seed;
  }
}

TEST_F(PowerLoss, AKilledProgramLeavesAGoodLog) {
  steps({"a:f:12", "d:f", "s:.", "a:f:34", "r:f:g", "s:."}, "rename */g 1 kill-after");
  EXPECT_EQ(tree(), Tree{"g=1234"});
  lose();
  EXPECT_EQ(tree(), Tree{"f=12"});
}

}  // namespace
}  // namespace pawl::test
