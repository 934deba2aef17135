#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/git.h>

#include "layout.h"
#include "random_bytes.h"

namespace pawl::git {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

void expect_safe(const std::string& component) {
  EXPECT_FALSE(component.empty());
  EXPECT_LE(component.size(), 200u);
  EXPECT_NE(component, ".");
  EXPECT_NE(component, "..");
  EXPECT_FALSE(lower(component).starts_with(".git")) << component;
  EXPECT_EQ(component.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-%"),
            std::string::npos)
      << component;
}

TEST(SafeComponent, TurnsHostileNamesIntoHarmlessOnes) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"plain-Name_1.txt", "plain-Name_1.txt"},
      {"", "%"},
      {".", "%2E"},
      {"..", "%2E."},
      {"...", "..."},
      {"../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"},
      {"/abs", "%2Fabs"},
      {".git", "%2Egit"},
      {".GIT", "%2EGIT"},
      {".gItModules", "%2EgItModules"},
      {".git ", "%2Egit%20"},
      {".gi", ".gi"},
      {"git~1", "git%7E1"},
      {"a\nb", "a%0Ab"},
      {std::string("a\0b", 3), "a%00b"},
      {"%", "%25"},
      {"%2E", "%252E"},
      {"\xff\xfe", "%FF%FE"},
      {"\xc3\xa4", "%C3%A4"},
      {"trailing...", "trailing..."},
      {"a b:c\\d", "a%20b%3Ac%5Cd"},
      {"-rf", "-rf"},
  };
  for (const auto& [name, expected] : table) {
    EXPECT_EQ(safe_component(name), expected);
    expect_safe(safe_component(name));
  }
}

TEST(SafeComponent, CutsLongNamesToTwoHundredBytesWithAHash) {
  const std::string long_name(10'000, 'x');
  const std::string cut = safe_component(long_name);
  EXPECT_EQ(cut.size(), 200u);
  EXPECT_TRUE(cut.starts_with(std::string(167, 'x') + "."));
  EXPECT_NE(cut, safe_component(long_name + "x"));
  EXPECT_EQ(safe_component(std::string(199, 'x')), std::string(199, 'x'));
  EXPECT_EQ(safe_component(std::string(200, 'x')).substr(167, 1), ".");
}

TEST(SafeComponent, NeverCutsInTheMiddleOfAnEscape) {
  for (std::size_t lead = 0; lead < 6; ++lead) {
    const std::string component = safe_component(std::string(lead, 'x') + std::string(500, '\n'));
    expect_safe(component);
    EXPECT_EQ(component.size(), 200u);
    for (std::size_t at = component.find('%'); at != std::string::npos; at = component.find('%', at + 1)) {
      EXPECT_EQ(component.substr(at, 3), "%0A") << component;
    }
  }
}

TEST(SafeComponent, ANameThatLooksCutStaysApartFromTheCutOne) {
  const std::string name(300, 'y');
  const std::string cut = safe_component(name);
  EXPECT_NE(safe_component(cut), cut);
  EXPECT_EQ(safe_component(cut).size(), 200u);
}

TEST(SafeComponent, DifferentNamesGiveDifferentComponents) {
  test::Random random;
  std::unordered_map<std::string, std::string> names;  // by component
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = random.bytes(random.one_in(10) ? 260 : 5);
    const std::string component = safe_component(name);
    expect_safe(component);
    const auto [known, added] = names.emplace(component, name);
    ASSERT_EQ(known->second, name) << component;
  }
}

TEST(RecordPath, FansOutByPosition) {
  EXPECT_EQ(record_path("s", 0, "a"), "s/00/00/a.json");
  EXPECT_EQ(record_path("s", 99, "a"), "s/00/00/a.json");
  EXPECT_EQ(record_path("s", 100, "a"), "s/00/01/a.json");
  EXPECT_EQ(record_path("s", 9'999, "a"), "s/00/99/a.json");
  EXPECT_EQ(record_path("s", 10'000, "a"), "s/01/00/a.json");
  EXPECT_EQ(record_path("s", 999'999, "a"), "s/99/99/a.json");
  EXPECT_EQ(record_path("s", 1'000'000, "a"), "s/100/00/a.json");
  EXPECT_EQ(record_path("../x", 0, ".git"), "..%2Fx/00/00/%2Egit.json");
  EXPECT_NE(record_path("s", 0, "x"), record_path("s", 0, "x.json"));
}

TEST(RecordPath, KeepsComponentsWithinWhatFileSystemsTake) {
  const std::string path = record_path(std::string(1000, '\n'), 7, std::string(10'000, 'z'));
  std::size_t begin = 0;
  for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = path.find('/', begin);
    EXPECT_LE(path.substr(begin, end - begin).size(), 255u);
  }
}

TEST(RecordId, IsReadBackAndHasOneSpelling) {
  for (const TaskId task_id : {TaskId{0, 0}, TaskId{1, 1}, TaskId{1'790'000'000'123'456, 42}, TaskId{~0ull, ~0ull}}) {
    EXPECT_EQ(parse_record_id(record_id(task_id)), task_id);
  }
  EXPECT_EQ(record_id({0xabc, 7}), "pawl-0000000000000abc-7");
  for (const char* wrong :
       {"", "pawl-", "pawl-0000000000000abc", "pawl-0000000000000abc-", "pawl-0000000000000ABC-7",
        "pawl-0000000000000abc-07", "pawl-0000000000000abc-7 ", "pawl-0000000000000abc--7", "pawl-000000000000abc-7",
        "pawl-0000000000000abc-18446744073709551616", "PAWL-0000000000000abc-7", "pawl-+000000000000abc-7"}) {
    EXPECT_FALSE(parse_record_id(wrong).has_value()) << wrong;
  }
}

TEST(RunName, IsUtcWithMicroseconds) {
  EXPECT_EQ(run_name(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(run_name(1'234'567'890'012'345), "2009-02-13T23:31:30.012345Z");
}

std::string filled(std::string_view path_template, const Request& request) {
  std::string path = "left over";
  auto parsed = PathTemplate::parse(path_template);
  EXPECT_TRUE(parsed.has_value());
  if (parsed) parsed->fill(request, path);
  return path;
}

TEST(PathTemplate, FillsFieldsAndMakesEveryComponentSafe) {
  Request request;
  request.stream = "feeds";
  request.id = "a/b";
  const auto path_of = [&](std::string_view url, std::string_view path_template = "{host}{path}") {
    request.url = url;
    return filled(path_template, request);
  };
  EXPECT_EQ(path_of("https://example.org/a/b.html"), "example.org/a/b.html");
  EXPECT_EQ(path_of("https://EXAMPLE.org"), "example.org/index");
  EXPECT_EQ(path_of("https://example.org/"), "example.org/index");
  EXPECT_EQ(path_of("https://example.org/a/"), "example.org/a/index");
  EXPECT_EQ(path_of("https://example.org/a/?x=1#frag"), "example.org/a/index");
  EXPECT_EQ(path_of("https://example.org?x=1"), "example.org/index");
  EXPECT_EQ(path_of("http://example.org:8080/x"), "example.org%3A8080/x");
  EXPECT_EQ(path_of("http://user:secret@example.org/x"), "example.org/x");
  EXPECT_EQ(path_of("http://example.org/../../.git/config"), "example.org/%2E./%2E./%2Egit/config");
  EXPECT_EQ(path_of("http://example.org/%2e%2e/%2Fetc"), "example.org/%2E./%2Fetc");
  EXPECT_EQ(path_of("http://example.org/a%20b%zz%4"), "example.org/a%20b%25zz%254");
  EXPECT_EQ(path_of("http://example.org/a//b"), "example.org/a/%/b");
  EXPECT_EQ(path_of("http://example.org/x?q=a/b", "out/{path}.{query}"), "out/%/x.q%3Da%2Fb");
  EXPECT_EQ(path_of("http://example.org/x", "{path}.txt"), "x.txt");
  EXPECT_EQ(path_of("http://example.org/x?page=2", "{path}{?query}.txt"), "x%3Fpage%3D2.txt");
  EXPECT_EQ(path_of("http://example.org/?page=2", "{host}{path}{?query}"), "example.org/index%3Fpage%3D2");
  EXPECT_EQ(path_of("http://example.org/x", "{path}{?query}.txt"), "x.txt");
  EXPECT_EQ(path_of("http://example.org/x?", "{path}{?query}.txt"), "x.txt");
  EXPECT_EQ(path_of("http://example.org/x", "/{stream}/{id}"), "feeds/a/b");
}

TEST(PathTemplate, RefusesWhatItDoesNotKnow) {
  for (const char* wrong : {"", "{", "}", "{host", "host}", "{nonsense}", "{}", "{host}{", "a}b{c"}) {
    const auto parsed = PathTemplate::parse(wrong);
    ASSERT_FALSE(parsed.has_value()) << wrong;
    EXPECT_EQ(parsed.error().code, ErrorCode::usage);
  }
}

TEST(PathTemplate, NeverLeavesTheRepositoryWhateverTheUrl) {
  test::Random random;
  for (int i = 0; i < 20'000; ++i) {
    Request request;
    request.url = "https://" + random.bytes(20) + "/" + random.bytes(60);
    request.stream = random.bytes(20);
    request.id = random.bytes(20);
    const std::string path = "/" + filled("{host}{path}/{stream}/{id}{query}", request) + "/";
    ASSERT_EQ(path.find("//"), std::string::npos) << path;
    ASSERT_EQ(path.find("/./"), std::string::npos) << path;
    ASSERT_EQ(path.find("/../"), std::string::npos) << path;
    ASSERT_EQ(lower(path).find("/.git"), std::string::npos) << path;
  }
}

}  // namespace
}  // namespace pawl::git
