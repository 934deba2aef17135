// What the shim does to calls on files, seen from a program that makes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "process.h"
#include "temp_dir.h"

namespace pawl::test {
namespace {

using ::testing::ElementsAre;

class FileShim : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(root()); }
  [[nodiscard]] std::filesystem::path root() const { return folder_ / "root"; }
  [[nodiscard]] std::filesystem::path fired() const { return folder_ / "fired"; }

  /// Runs the steps in root() under `rules`; what each printed.
  std::vector<std::string> steps(const std::string& rules, std::vector<std::string> words) {
    words.insert(words.begin(), {"env", "-C", root().string(), PAWL_FILE_STEPS});
    Process::Options options;
    options.environment = {std::string("LD_PRELOAD=") + PAWL_FILE_SHIM, "PAWL_SHIM_ROOT=" + root().string(),
                           "PAWL_SHIM_RULES=" + rules, "PAWL_SHIM_FIRED=" + fired().string()};
    Process process(words, options);
    end_ = process.wait();
    std::vector<std::string> lines;
    std::istringstream out(process.out());
    for (std::string line; std::getline(out, line);) lines.push_back(line);
    EXPECT_EQ(process.err(), "");
    return lines;
  }
  static std::string number(int value) { return std::to_string(value); }

  TempDir folder_;
  int end_ = 0;
};

TEST_F(FileShim, LetsEverythingThroughWithoutARule) {
  EXPECT_THAT(steps("", {"m:folder", "a:folder/f:text", "s:folder/f", "r:folder/f:g", "l:g:h", "u:h"}),
              ElementsAre("ok", "ok", "ok", "ok", "ok", "ok"));
  EXPECT_EQ(read_file(root() / "g"), "text");
}

TEST_F(FileShim, FailsTheChosenCallOnce) {
  EXPECT_THAT(steps("write *.data 2 ENOSPC", {"a:f.data:1", "a:other:1", "a:f.data:2", "a:f.data:3"}),
              ElementsAre("ok", "ok", number(ENOSPC), "ok"));
  EXPECT_EQ(read_file(root() / "f.data"), "13");
  EXPECT_EQ(read_file(fired()), "0 write " + (root() / "f.data").string() + "\n");
}

TEST_F(FileShim, FailsTheChosenCallAndAllLaterOnes) {
  EXPECT_THAT(steps("open|mkdir * 2+ EROFS", {"a:f:1", "a:f:2", "m:folder", "u:f"}),
              ElementsAre("ok", number(EROFS), number(EROFS), "ok"));
}

TEST_F(FileShim, WritesHalfAndThenFails) {
  EXPECT_THAT(steps("write */f 1 short+ENOSPC", {"a:f:12345678", "a:f:9"}),
              ElementsAre(number(ENOSPC), number(ENOSPC)));
  EXPECT_EQ(read_file(root() / "f"), "1234");
}

TEST_F(FileShim, AShortWriteAloneIsContinuedByTheProgram) {
  EXPECT_THAT(steps("write */f 1 short", {"a:f:12345678"}), ElementsAre("ok"));
  EXPECT_EQ(read_file(root() / "f"), "12345678");
}

TEST_F(FileShim, FailsEachKindOfCall) {
  for (const auto& [op, word] : std::vector<std::pair<std::string, std::string>>{{"open", "a:f:x"},
                                                                                 {"write", "w:f:0:x"},
                                                                                 {"write", "v:f:x"},
                                                                                 {"sync", "s:f"},
                                                                                 {"sync", "d:f"},
                                                                                 {"rename", "r:f:g"},
                                                                                 {"link", "l:f:g"},
                                                                                 {"unlink", "u:f"},
                                                                                 {"truncate", "t:f:0"},
                                                                                 {"close", "a:f:x"},
                                                                                 {"mkdir", "m:folder"}}) {
    write_file(root() / "f", "content");
    const auto lines = steps(op + " * 1 EIO", {word});
    ASSERT_EQ(lines.size(), 1u);
    // A stream keeps no errno.
    if (word[0] == 'v')
      EXPECT_NE(lines[0], "ok") << op << " " << word;
    else
      EXPECT_EQ(lines[0], number(EIO)) << op << " " << word;
  }
}

TEST_F(FileShim, MatchesARenameByEitherName) {
  EXPECT_THAT(steps("rename */to 1 EIO;rename */from 2 EACCES", {"a:from:x", "r:from:to", "r:from:other"}),
              ElementsAre("ok", number(EIO), number(EACCES)));
}

TEST_F(FileShim, KillsBeforeAndAfterACall) {
  EXPECT_THAT(steps("rename */b 1 kill", {"a:a:x", "r:a:b"}), ElementsAre("ok"));
  EXPECT_EQ(end_, -SIGKILL);
  EXPECT_TRUE(std::filesystem::exists(root() / "a"));
  EXPECT_THAT(steps("rename */b 1 kill-after", {"r:a:b"}), ElementsAre());
  EXPECT_EQ(end_, -SIGKILL);
  EXPECT_TRUE(std::filesystem::exists(root() / "b"));
}

TEST_F(FileShim, RefusesARuleItDoesNotUnderstand) {
  for (const char* rule : {"wriet * 1 EIO", "write * 0 EIO", "write * 1 EWHAT", "write *"}) {
    Process::Options options;
    options.environment = {std::string("LD_PRELOAD=") + PAWL_FILE_SHIM, std::string("PAWL_SHIM_RULES=") + rule};
    Process process({PAWL_FILE_STEPS, "m:" + (root() / "x").string()}, options);
    EXPECT_EQ(process.wait(), 99) << rule;
    EXPECT_NE(process.err().find("cannot understand the rule"), std::string::npos);
  }
}

}  // namespace
}  // namespace pawl::test
