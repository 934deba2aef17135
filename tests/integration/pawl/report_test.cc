// `pawl report` of the real tool.
#include <set>

#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class PawlReport : public PawlTool {
 protected:
  std::string report(std::vector<std::string> more = {}) const {
    std::vector<std::string> words = pawl({"report", repo().string(), "--output", page_file()});
    words.insert(words.end(), more.begin(), more.end());
    Process process(words);
    EXPECT_EQ(process.wait(), 0) << process.err();
    return read_file(page_file());
  }
  [[nodiscard]] std::string page_file() const { return (folder_ / "page.html").string(); }
};

/// Every element is closed, in order, and there is none but those of a page that does nothing.
void expect_harmless(const std::string& page) {
  static const std::set<std::string> known = {"html",  "head",  "title",  "style",      "body", "header", "main",
                                              "h1",    "h2",    "p",      "ul",         "li",   "b",      "i",
                                              "span",  "div",   "figure", "figcaption", "svg",  "g",      "path",
                                              "table", "thead", "tbody",  "tr",         "th",   "td",     "code"};
  std::vector<std::string> open;
  for (auto at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const auto end = page.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = page.substr(at + 1, end - at - 1);
    const bool closes = tag.starts_with('/');
    const std::string name = tag.substr(closes ? 1 : 0, tag.find_first_of(" /", 1) - (closes ? 1 : 0));
    for (const char* loads : {"src=", "href=", " on", "javascript:"}) EXPECT_THAT(tag, Not(HasSubstr(loads)));
    if (name == "!doctype" || name == "meta" || name == "br" || tag.ends_with('/')) continue;
    ASSERT_TRUE(known.contains(name)) << tag;
    if (closes) {
      ASSERT_FALSE(open.empty()) << tag;
      EXPECT_EQ(open.back(), name);
      open.pop_back();
    } else {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty());
  for (const char* loads : {"url(", "@import"}) EXPECT_THAT(page, Not(HasSubstr(loads)));
}

TEST_F(PawlReport, ShowsWhatHappenedAndMakesStrangersHarmless) {
  server_ = serve();
  const std::string script = R"(<script>alert(1)</script>)";
  const auto get = [&](const std::string& id, const std::string& stream, const std::string& target) {
    return fmt::format(R"({{"custom_id":"{}","stream":"{}","method":"GET","url":"{}{}"}})"
                       "\n",
                       id, stream, server_->base_url(), target);
  };
  std::string lines = get(script + "-failed", R"(\" onload=\"x' &amp;)", "/status/404") +
                      get(script + "-good", R"(</table><img src=x>)", "/echo") + get("busy", "retried", "/status/503");
  for (int i = 0; i < 60; ++i) lines += get(fmt::format("t{}", i), fmt::format("stream-{}", i), "/echo");
  Process run(run_words(input("in.jsonl", lines), {"--retry", "2"}));
  ASSERT_EQ(run.wait(), 1) << run.err();
  const std::string page = report();
  expect_harmless(page);
  EXPECT_THAT(page,
              AllOf(HasSubstr("<b>63</b><span>records"), HasSubstr("<b>2</b><span>failed"),
                    HasSubstr("<b>63</b><span>streams"), HasSubstr("50 of 63"), HasSubstr("13 more are left out")));
  EXPECT_THAT(page, AllOf(HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;-failed"),
                          HasSubstr("&quot; onload=&quot;x&#39; &amp;amp;"), HasSubstr("status 404"),
                          HasSubstr("retried/00/00/busy.json"), HasSubstr("pawl run --failed")));
  EXPECT_THAT(page, HasSubstr(R"(<th scope="row" class="name">3</th><td class="n">1</td>)")) << "three calls";
  for (const char* part : {"Timeline", "Runs", "Latency", "Retries", "Slowest tasks", "Streams", "Failures"})
    EXPECT_THAT(page, HasSubstr(fmt::format("<h2>{}</h2>", part)));

  const std::string clone = (folder_ / "clone").string();
  git(folder_.path(), {"clone", "-q", repo().string(), clone});
  Process of_clone(pawl({"report", clone, "--output", "-"}));
  EXPECT_EQ(of_clone.wait(), 0) << of_clone.err();
  EXPECT_THAT(of_clone.out(), HasSubstr("<b>63</b><span>records")) << "git is enough";
}

TEST_F(PawlReport, SaysWhatWaitsInTheJournalAndNeedsNoRecords) {
  git(folder_.path(), {"init", "-q", repo().string()});
  const std::string empty = report();
  expect_harmless(empty);
  EXPECT_THAT(empty, AllOf(HasSubstr("<b>0</b><span>records"), HasSubstr("None.")));
  server_ = serve();
  Asked asked;
  Process run(run_words(input("in.jsonl", batch_lines(20, 2, 3, asked)), {"--budget-calls", "5"}));
  ASSERT_EQ(run.wait(), 7) << run.err();
  const std::string page = report();
  expect_harmless(page);
  EXPECT_THAT(page,
              AllOf(HasSubstr("<b>5</b><span>records"), HasSubstr("The journal holds "), HasSubstr("pawl resume ")));
}

TEST_F(PawlReport, RefusesWhatHasNoRecords) {
  server_ = serve();
  const std::string urls = input("urls.txt", server_->base_url() + "/echo\n");
  ASSERT_EQ(Process(run_words(urls, {"--layout", "raw"})).wait(), 0);
  Process raw(pawl({"report", repo().string(), "--output", page_file()}));
  EXPECT_EQ(raw.wait(), 2);
  EXPECT_THAT(raw.err(), HasSubstr("layout raw"));
  EXPECT_FALSE(std::filesystem::exists(page_file()));
  EXPECT_EQ(Process(pawl({"report", (folder_ / "nothing").string()})).wait(), 3);
}

}  // namespace
}  // namespace pawl::test
