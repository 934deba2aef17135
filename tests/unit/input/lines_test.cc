#include "reading.h"
#include "temp_dir.h"

namespace pawl::input {
namespace {

class LinesFile : public testing::Test {
 protected:
  ReadAll read(std::string_view content) {
    write_file(path(), content);
    auto reader = open_reader(path(), options_);
    return reader ? read_all(*reader) : ReadAll{};
  }
  [[nodiscard]] std::filesystem::path path() const { return dir_ / "in.txt"; }

  test::TempDir dir_;
  Options options_{.format = Format::lines, .url = "http://h/p"};
};

TEST_F(LinesFile, ALineIsABodyAndItsNumberTheId) {
  const ReadAll all = read("one \n\n  \ntwo\r\n");
  ASSERT_EQ(all.tasks.size(), 2u);
  EXPECT_EQ(all.tasks[0].id, "in.txt:1");
  EXPECT_EQ(all.tasks[0].stream, "in.txt");
  EXPECT_EQ(all.tasks[0].method, "POST");
  EXPECT_EQ(all.tasks[0].url, "http://h/p");
  EXPECT_EQ(all.tasks[0].content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(all.tasks[0].body, "one ");
  EXPECT_EQ(all.tasks[1].id, "in.txt:4");
  EXPECT_EQ(all.tasks[1].body, "two");
}

TEST_F(LinesFile, OptionsSetMethodTypeAndHeaders) {
  options_.method = "PUT";
  options_.content_type = "text/csv";
  options_.headers = {"X-A: 1"};
  options_.url = "/q";
  options_.base_url = "https://h/v2";
  const ReadAll all = read("a\n");
  ASSERT_EQ(all.tasks.size(), 1u);
  EXPECT_EQ(all.tasks[0].method, "PUT");
  EXPECT_EQ(all.tasks[0].content_type, "text/csv");
  EXPECT_EQ(all.tasks[0].headers, options_.headers);
  EXPECT_EQ(all.tasks[0].url, "https://h/v2/q");
}

TEST_F(LinesFile, TheFirstLineOrATemplateDecidesTheType) {
  EXPECT_EQ(read("\n {\"a\":1}\nx\n").tasks.at(1).content_type, "application/json");
  EXPECT_EQ(read("[1]\n").tasks.at(0).content_type, "application/json");
  EXPECT_EQ(read("x\n{}\n").tasks.at(1).content_type, "text/plain; charset=utf-8");
  options_.body_template = "{\"p\": {line:json}}";
  EXPECT_EQ(read("x\n").tasks.at(0).content_type, "application/json");
}

TEST_F(LinesFile, TheTemplateWrapsTheLineAndLeavesOtherBracesAlone) {
  options_.body_template = R"({"p": {line:json}, "q": "{line}", "r": {}, "{lin}": "{{line}}"})";
  const ReadAll all = read("say \"{line}\\\t\x01\xc3\xa9\"\n");
  ASSERT_EQ(all.tasks.size(), 1u);
  EXPECT_EQ(all.tasks[0].body, std::string(R"({"p": "say \"{line}\\\t\u0001é\"", "q": ")") +
                                   "say \"{line}\\\t\x01\xc3\xa9\"" + R"(", "r": {}, "{lin}": "{)" +
                                   "say \"{line}\\\t\x01\xc3\xa9\"" + "}\"}");
}

TEST_F(LinesFile, StreamByLooksIntoTheLine) {
  options_.stream_by = "/user";
  const ReadAll all = read("{\"user\":\"u\"}\nnot json\n{\"user\":null}\n{\"user\":5}\n{\"user\":\n");
  ASSERT_EQ(all.tasks.size(), 2u);
  EXPECT_EQ(all.tasks[0].stream, "u");
  EXPECT_EQ(all.tasks[0].body, "{\"user\":\"u\"}");
  EXPECT_EQ(all.tasks[1].stream, "5");
  ASSERT_EQ(all.errors.size(), 3u);
  EXPECT_EQ(all.errors[0].context, path().string() + ":2:1: expected a JSON object, got 'n'");
  EXPECT_EQ(all.errors[1].context, path().string() +
                                       ":3:9: stream-by pointer \"/user\": expected a string, integer "
                                       "or boolean, got null");
  EXPECT_EQ(all.errors[2].context, path().string() + ":5:9: not valid JSON: expected a value, got the end of the line");
}

TEST_F(LinesFile, BytesThatAreNotTextAreErrors) {
  const ReadAll all = read(std::string_view("a\nb\xc3\nc\0d\ne\n", 11));
  EXPECT_EQ(all.tasks.size(), 2u);
  ASSERT_EQ(all.errors.size(), 2u);
  EXPECT_EQ(all.errors[0].context, path().string() + ":2:2: expected valid UTF-8, got byte 0xc3");
  EXPECT_EQ(all.errors[1].context, path().string() + ":3:2: expected text, got a NUL byte");
}

class UrlsFile : public LinesFile {
 protected:
  UrlsFile() { options_ = Options{.format = Format::urls}; }
};

TEST_F(UrlsFile, ALineIsAUrlToGetAndItsOwnId) {
  const ReadAll all = read("# mine\n http://h/a \n\n\t#http://h/no\nhttps://h:8443/b?c=d\n");
  ASSERT_EQ(all.errors.size(), 0u);
  ASSERT_EQ(all.tasks.size(), 2u);
  EXPECT_EQ(all.tasks[0].id, "http://h/a");
  EXPECT_EQ(all.tasks[0].url, "http://h/a");
  EXPECT_EQ(all.tasks[0].method, "GET");
  EXPECT_EQ(all.tasks[0].stream, "in.txt");
  EXPECT_EQ(all.tasks[0].content_type + all.tasks[0].body, "");
  EXPECT_EQ(all.tasks[1].id, "https://h:8443/b?c=d");
}

TEST_F(UrlsFile, FaultsNameLineAndColumn) {
  const ReadAll all = read("http://h/a\n  nonsense\nhttp://\nhttp://h/a\nhttp://h/b\n");
  EXPECT_EQ(all.tasks.size(), 2u);
  ASSERT_EQ(all.errors.size(), 3u);
  const std::string start = path().string();
  EXPECT_EQ(all.errors[0].context, start + ":2:3: expected an absolute http or https URL, got \"nonsense\"");
  EXPECT_EQ(all.errors[1].context, start + ":3:1: expected a URL with a host, got \"http://\"");
  EXPECT_EQ(all.errors[2].context, start + ":4: expected a new URL, got \"http://h/a\", which line 1 has");
}

class Automatic : public LinesFile {
 protected:
  Automatic() { options_ = Options{.url = "http://h/p"}; }
  std::string choice(std::string_view content) {
    write_file(path(), content);
    auto reader = open_reader(path(), options_);
    if (!reader) return "";
    EXPECT_TRUE(reader->how_chosen().starts_with(name_of(reader->format())));
    return reader->how_chosen();
  }
};

TEST_F(Automatic, ChoosesByTheFirstLineThatIsNotBlank) {
  EXPECT_EQ(choice("\n \n{\"custom_id\":1}\n"), "batch: line 3 is a JSON object with a custom_id");
  EXPECT_EQ(choice("\xef\xbb\xbf{\"custom_id\":\"a\"}"), "batch: line 1 is a JSON object with a custom_id");
  EXPECT_EQ(choice("{\"custom_id\":\"a\",}"), "batch: line 1 begins like a JSON object and has a custom_id");
  EXPECT_EQ(choice("{\"a\":{\"custom_id\":1}}"), "lines: line 1 is a JSON object without custom_id");
  EXPECT_EQ(choice("{a}"), "lines: line 1 begins with '{' but is not JSON");
  EXPECT_EQ(choice("HTTPS://h\n"), "urls: line 1 is a URL");
  EXPECT_EQ(choice("hello http://h\n"), "lines: line 1 is neither a JSON object nor a URL");
  EXPECT_EQ(choice(""), "batch: the input is empty");
  EXPECT_EQ(choice(" \n\n"), "batch: the input is empty");
}

TEST_F(Automatic, GivesTheLineThatItLookedAt) {
  const ReadAll all = read("\nfirst\nsecond\n");
  ASSERT_EQ(all.tasks.size(), 2u);
  EXPECT_EQ(all.tasks[0].id, "in.txt:2");
  EXPECT_EQ(all.tasks[0].body, "first");
}

TEST_F(Automatic, AChoiceThatLacksAnOptionIsAUsageErrorThatSaysHowItWasChosen) {
  write_file(path(), "hello\n");
  const Error error = open_error({path().string(), ""}, Options{});
  EXPECT_EQ(error.code, ErrorCode::usage);
  EXPECT_EQ(error.context,
            "input option url: expected the URL to send each task to for format lines, got nothing "
            "(lines: line 1 is neither a JSON object nor a URL)");
}

}  // namespace
}  // namespace pawl::input
