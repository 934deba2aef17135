// Names, dates and the bytes of a commit.
#include "commit_text.h"

#include <gtest/gtest.h>

#include <pawl/git.h>

#include "object_id.h"

namespace pawl::test {
namespace {

using namespace git;

TEST(CommitText, TakesFromNamesWhatGitTakes) {
  EXPECT_EQ(clean_name("  Ada <Lovelace>\n, "), "Ada Lovelace");
  EXPECT_EQ(clean_name("\"A. B.\""), "A. B");
  EXPECT_EQ(clean_name("<>"), "");
}

TEST(CommitText, ReadsTheDatesGitWrites) {
  struct Case {
    const char* text;
    std::int64_t seconds;
    int minutes;
  };
  for (const Case& c :
       {Case{"@1700000000 +0130", 1700000000, 90}, Case{"1700000000 -0800", 1700000000, -480},
        Case{"1700000000", 1700000000, 0}, Case{"2023-11-14T22:13:20Z", 1700000000, 0},
        Case{"2023-11-14 23:13:20 +0100", 1700000000, 60}, Case{"2023-11-14T23:13:20+01:00", 1700000000, 60}}) {
    const auto moment = parse_moment(c.text);
    ASSERT_TRUE(moment.has_value()) << c.text;
    EXPECT_EQ(moment->seconds, c.seconds) << c.text;
    EXPECT_EQ(moment->offset_minutes, c.minutes) << c.text;
  }
  for (const char* text : {"", "yesterday", "@", "1700000000 +1", "2023-13-01T00:00:00Z", "2023-02-30 00:00:00",
                           "1700000000 +0100x", "-5"}) {
    EXPECT_FALSE(parse_moment(text).has_value()) << text;
  }
}

TEST(CommitText, IsOneSubjectLineAndATrailer) {
  const Person person{"Ada", "ada@example.org", Person::Moment{1700000000, -330}};
  std::string out = "old content";
  CommitText text;
  text.subject = "two\nlines\tand\x01more";
  text.trailer = "Pawl-Run: x";
  render_commit(out, text, {person, person}, {1, 0});
  EXPECT_EQ(out,
            "tree 0000000000000000000000000000000000000000\n"
            "author Ada <ada@example.org> 1700000000 -0530\n"
            "committer Ada <ada@example.org> 1700000000 -0530\n"
            "\n"
            "two lines and more\n"
            "\n"
            "Pawl-Run: x\n");
}

TEST(CommitText, CountsInPlainWords) {
  EXPECT_EQ(subject_of_many(12, 3), "12 results from 3 streams");
  EXPECT_EQ(subject_of_many(2, 1), "2 results from 1 stream");
}

TEST(CommitOptions, SayWhatIsWrong) {
  CommitOptions options;
  EXPECT_TRUE(options.validate().has_value());
  options.commit_tasks = 0;
  EXPECT_FALSE(options.validate().has_value());
  options = {};
  options.publish_every = std::chrono::milliseconds(-1);
  EXPECT_FALSE(options.validate().has_value());
  options = {};
  options.layout = Layout::raw;
  options.path_template.clear();
  EXPECT_FALSE(options.validate().has_value());
}

}  // namespace
}  // namespace pawl::test
