#include "reading.h"
#include "temp_dir.h"

namespace pawl::input {
namespace {

class BatchFile : public testing::Test {
 protected:
  ReadAll read(std::string_view content) {
    write_file(path(), content);
    auto reader = open_reader(path(), options_);
    return reader ? read_all(*reader) : ReadAll{};
  }
  /// The context of the only error, behind "PATH:".
  std::string only_error(std::string_view content) {
    const ReadAll all = read(content);
    if (all.errors.size() != 1) return std::to_string(all.errors.size()) + " errors";
    EXPECT_EQ(all.errors[0].code, ErrorCode::input);
    const std::string& context = all.errors[0].context;
    EXPECT_TRUE(context.starts_with(path().string() + ":")) << context;
    return context.substr(path().string().size() + 1);
  }
  [[nodiscard]] std::filesystem::path path() const { return dir_ / "in.jsonl"; }

  test::TempDir dir_;
  Options options_{.format = Format::batch, .base_url = "https://api.test/v1"};
};

TEST_F(BatchFile, FillsEveryFieldAndTakesTheBodyByteForByte) {
  const ReadAll all =
      read(R"({"custom_id":"r-1","method":"POST","url":"/v1/chat", "body" : {"a": [1, 2.50] ,"b":"\u00e9"}  })"
           "\n");
  ASSERT_EQ(all.errors.size(), 0u);
  ASSERT_EQ(all.tasks.size(), 1u);
  const Request& task = all.tasks[0];
  EXPECT_EQ(task.stream, "in.jsonl");
  EXPECT_EQ(task.id, "r-1");
  EXPECT_EQ(task.method, "POST");
  EXPECT_EQ(task.url, "https://api.test/v1/chat");
  EXPECT_EQ(task.content_type, "application/json");
  EXPECT_TRUE(task.headers.empty());
  EXPECT_EQ(task.body, R"({"a": [1, 2.50] ,"b":"\u00e9"})");
}

TEST_F(BatchFile, LeavesWhatTheReaderDoesNotOwnAlone) {
  write_file(path(), R"({"custom_id":"a","method":"GET","url":"/x"})");
  auto reader = open_reader(path(), options_);
  Request request;
  request.task_id = {7, 8};
  request.position = 9;
  request.digest.fill(5);
  request.body = "old";
  request.headers = {"Old: yes"};
  ASSERT_TRUE(reader->next(request).value());
  EXPECT_EQ(request.task_id, (TaskId{7, 8}));
  EXPECT_EQ(request.position, 9u);
  EXPECT_EQ(request.digest[15], 5);
  EXPECT_EQ(request.body, "");
  EXPECT_TRUE(request.headers.empty());
}

TEST_F(BatchFile, BodiesMayBeAnyJson) {
  for (const std::string body : {"{}", "[]", "\"x\"", "12", "-1.5e3", "true", "null", "123456789012345678901234567890",
                                 "1e999", R"({"lone":"\ud800"})", R"("\ud800")", "[[[ ]],{ \"a\" :{}}]"}) {
    const ReadAll all = read(R"({"custom_id":"a","method":"PUT","body": )" + body + R"( ,"url":"/x"})");
    ASSERT_EQ(all.errors.size(), 0u) << body << ": " << all.errors[0].context;
    ASSERT_EQ(all.tasks.size(), 1u) << body;
    EXPECT_EQ(all.tasks[0].body, body);
  }
}

TEST_F(BatchFile, GetAndDeleteNeedNoBody) {
  const ReadAll all = read(R"({"custom_id":"a","method":"GET","url":"/x"})"
                           "\n"
                           R"({"custom_id":"b","method":"DELETE","url":"/x","body":null})"
                           "\n"
                           R"({"custom_id":"c","method":"DELETE","url":"/x","body":{"d":1}})");
  ASSERT_EQ(all.errors.size(), 0u);
  ASSERT_EQ(all.tasks.size(), 3u);
  EXPECT_EQ(all.tasks[0].body + all.tasks[0].content_type, "");
  EXPECT_EQ(all.tasks[1].body + all.tasks[1].content_type, "");
  EXPECT_EQ(all.tasks[2].body + all.tasks[2].content_type, R"({"d":1}application/json)");
}

TEST_F(BatchFile, SkipsBlankLinesAndTakesCrLfByteOrderMarkAndAMissingLastLineEnd) {
  const ReadAll all = read(
      "\xef\xbb\xbf"
      R"({"custom_id":"a","method":"GET","url":"/x"})"
      "\r\n"
      "\r\n \t\n"
      R"(  {"custom_id":"b","method":"GET","url":"/x"} )"
      "\r\n\n"
      R"({"custom_id":"c","method":"GET","url":"/x"})");
  ASSERT_EQ(all.errors.size(), 0u) << all.errors[0].context;
  ASSERT_EQ(all.tasks.size(), 3u);
  EXPECT_EQ(all.tasks[2].id, "c");
}

TEST_F(BatchFile, UnknownFieldsAreIgnored) {
  EXPECT_EQ(read(R"({"x":{"custom_id":3},"custom_id":"a","method":"GET","url":"/x","y":null})").tasks.size(), 1u);
}

TEST_F(BatchFile, EscapedFieldNamesAndValuesAreUnderstood) {
  const ReadAll all = read(R"({"custom\u005fid":"a\n\u00e9","m\u0065thod":"GET","url":"\/x"})");
  ASSERT_EQ(all.tasks.size(), 1u);
  EXPECT_EQ(all.tasks[0].id, "a\n\xc3\xa9");
  EXPECT_EQ(all.tasks[0].url, "https://api.test/v1/x");
}

TEST_F(BatchFile, StreamComesFromTheFieldThenThePointerThenTheInput) {
  options_.stream_by = "/body/meta/0/a~1b~0c";
  const auto line = [](std::string_view id, std::string_view value, std::string_view stream) {
    return R"({"custom_id":")" + std::string(id) + R"(","method":"POST","url":"/x","body":{"meta":[{"a/b~c":)" +
           std::string(value) + "}]}" + std::string(stream) + "}\n";
  };
  const ReadAll all =
      read(line("1", "\"u\"", R"(,"stream":"own")") + line("2", "\"u\\u00e9\"", "") + line("3", "-42", "") +
           line("4", "true", "") + line("5", "123456789012345678901234567890", ""));
  ASSERT_EQ(all.errors.size(), 0u) << all.errors[0].context;
  ASSERT_EQ(all.tasks.size(), 5u);
  const std::vector<std::string> expected = {"own", "u\xc3\xa9", "-42", "true", "123456789012345678901234567890"};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(all.tasks[i].stream, expected[i]);
}

TEST_F(BatchFile, PointerFaultsNameThePointer) {
  options_.stream_by = "/body/u";
  const auto error_of = [&](const std::string& body) {
    return only_error(R"({"custom_id":"1","method":"POST","url":"/x","body":)" + body + "}");
  };
  const std::string start = "stream-by pointer \"/body/u\": expected a string, integer or boolean, got ";
  EXPECT_EQ(error_of("{}"), "1: " + start + "nothing");
  EXPECT_EQ(error_of("3"), "1: " + start + "nothing");
  EXPECT_EQ(error_of("[{\"u\":1}]"), "1: " + start + "nothing");
  EXPECT_EQ(error_of(R"({"u":null})"), "1:57: " + start + "null");
  EXPECT_EQ(error_of(R"({"u":1.5})"), "1:57: " + start + "a number");
  EXPECT_EQ(error_of(R"({"u":{}})"), "1:57: " + start + "an object");
  EXPECT_EQ(error_of(R"({"u":""})"),
            "1:57: stream-by pointer \"/body/u\": expected a string that is not empty and without NUL, got \"\"");
}

TEST_F(BatchFile, HeadersOfTheLineWinOverTheOptions) {
  options_.headers = {"X-A: option", "X-B: option"};
  const ReadAll all =
      read(R"({"custom_id":"1","method":"POST","url":"/x","body":1,"headers":{"x-a":"line","Content-Type":"text/csv"}})"
           "\n"
           R"({"custom_id":"2","method":"POST","url":"/x","body":1})");
  ASSERT_EQ(all.tasks.size(), 2u);
  EXPECT_EQ(all.tasks[0].headers, (std::vector<std::string>{"x-a: line", "X-B: option"}));
  EXPECT_EQ(all.tasks[0].content_type, "text/csv");
  EXPECT_EQ(all.tasks[1].headers, options_.headers);
  EXPECT_EQ(all.tasks[1].content_type, "application/json");
}

TEST_F(BatchFile, UrlsAreJoinedToTheBase) {
  const auto joined = [&](std::string base, const std::string& url) -> std::string {
    options_.base_url = std::move(base);
    const ReadAll all = read(R"({"custom_id":"1","method":"GET","url":")" + url + "\"}");
    return all.tasks.size() == 1 ? all.tasks[0].url : all.errors.at(0).context;
  };
  EXPECT_EQ(joined("https://h/v1", "/v1/chat"), "https://h/v1/chat");
  EXPECT_EQ(joined("https://h/v1/", "/v1"), "https://h/v1");
  EXPECT_EQ(joined("https://h/v1", "/v1?a=b"), "https://h/v1?a=b");
  EXPECT_EQ(joined("https://h/v1", "/v10/chat"), "https://h/v1/v10/chat");
  EXPECT_EQ(joined("https://h/v1", "/chat"), "https://h/v1/chat");
  EXPECT_EQ(joined("https://h/openai/v1", "/v1/chat"), "https://h/openai/v1/chat");
  EXPECT_EQ(joined("https://h/openai/v1", "/openai/v1/chat"), "https://h/openai/v1/chat");
  EXPECT_EQ(joined("https://h/openai/v1", "/openai/chat"), "https://h/openai/v1/openai/chat");
  EXPECT_EQ(joined("https://h/openai/v1", "/1/chat"), "https://h/openai/v1/1/chat");
  EXPECT_EQ(joined("https://h/a/v1/a", "/a/v1/a/x"), "https://h/a/v1/a/x");
  EXPECT_EQ(joined("http://h:8080", "/v1/chat"), "http://h:8080/v1/chat");
  EXPECT_EQ(joined("http://[::1]:8080/", "/"), "http://[::1]:8080/");
  EXPECT_EQ(joined("https://h/v1", "HTTP://other/x?y#z"), "HTTP://other/x?y#z");
}

TEST_F(BatchFile, UrlFaultsSayWhatWasExpected) {
  options_.base_url = "";
  const auto error_of = [&](const std::string& url) {
    return only_error(R"({"custom_id":"1","method":"GET","url":")" + url + "\"}");
  };
  const std::string start = "1:39: field \"url\": expected ";
  EXPECT_EQ(error_of("/v1"), start + "an absolute URL (no base URL is set to join a path to), got \"/v1\"");
  EXPECT_EQ(error_of("ftp://h/"), start + "an http or https URL, or a path that begins with '/', got \"ftp://h/\"");
  EXPECT_EQ(error_of("http:///x"), start + "a URL with a host, got \"http:///x\"");
  EXPECT_EQ(error_of("http://:80/x"), start + "a URL with a host, got \"http://:80/x\"");
  EXPECT_EQ(error_of("http://h:x/"), start + "a port of 0 to 65535, got \"http://h:x/\"");
  EXPECT_EQ(error_of("http://h:65536/"), start + "a port of 0 to 65535, got \"http://h:65536/\"");
  EXPECT_EQ(error_of("http://[::1"), start + "an IPv6 address in brackets, got \"http://[::1\"");
  EXPECT_EQ(error_of("http://[::1]x"), start + "a port behind the IPv6 address, got \"http://[::1]x\"");
  EXPECT_EQ(error_of("http://u:p@h/"), start + "a URL without user name and password, got \"http://[credentials]@h/\"");
  EXPECT_EQ(error_of("http://h/a b"), start + "a URL without spaces and control characters, got \"http://h/a b\"");
  EXPECT_EQ(error_of("http://h/\\r\\nX: y"),
            start + "a URL without spaces and control characters, got \"http://h/\\x0d\\x0aX: y\"");
}

TEST_F(BatchFile, FieldFaultsNameLineColumnAndField) {
  EXPECT_EQ(only_error("\n{}"), "2: field \"custom_id\": expected a string, got nothing");
  EXPECT_EQ(only_error(R"({"custom_id":7})"), "1:14: field \"custom_id\": expected a string, got a number");
  EXPECT_EQ(only_error(R"(  {"custom_id": ""})"),
            "1:17: field \"custom_id\": expected a string that is not empty, got \"\"");
  EXPECT_EQ(only_error(R"({"custom_id":"a\u0000b"})"),
            "1:14: field \"custom_id\": expected a string without NUL, got \"a\\x00b\"");
  EXPECT_EQ(only_error(R"({"custom_id":"\ud800"})"),
            "1:14: field \"custom_id\": expected a string of whole characters, got a lone surrogate");
  EXPECT_EQ(only_error(R"({"custom_id":"a"})"), "1: field \"method\": expected a string, got nothing");
  EXPECT_EQ(only_error(R"({"custom_id":"a","method":"post"})"),
            "1:27: field \"method\": expected one of GET, POST, PUT, PATCH, DELETE, got \"post\"");
  EXPECT_EQ(only_error(R"({"custom_id":"a","method":"POST"})"), "1: field \"url\": expected a string, got nothing");
  EXPECT_EQ(only_error(R"({"custom_id":"a","method":"POST","url":null})"),
            "1:40: field \"url\": expected a string, got null");
  for (const std::string method : {"POST", "PUT", "PATCH"}) {
    EXPECT_EQ(only_error(R"({"custom_id":"a","url":"/x","method":")" + method + "\"}"),
              "1: field \"body\": expected a JSON value for method " + method + ", got nothing");
  }
  EXPECT_EQ(only_error(R"({"custom_id":"a","method":"GET","url":"/x","stream":[]})"),
            "1:53: field \"stream\": expected a string, got an array");
  EXPECT_EQ(only_error(R"({"custom_id":"a","method":"GET","url":"/x","stream":""})"),
            "1:53: field \"stream\": expected a string that is not empty, got \"\"");
  EXPECT_EQ(only_error(R"({"custom_id":"a","method":"GET","url":"/x","url":"/y"})"),
            "1:50: field \"url\": expected one field of this name, got another");
  EXPECT_EQ(only_error(R"({"custom_id":"a","method":"GET","url":"/x","k":1,"k":2})"),
            "1:54: field \"k\": expected one field of this name, got another");
}

TEST_F(BatchFile, HeaderFaultsNameTheHeader) {
  const auto error_of = [&](const std::string& headers) {
    return only_error(R"({"custom_id":"a","method":"GET","url":"/x","headers":)" + headers + "}");
  };
  EXPECT_EQ(error_of("[]"), "1:54: field \"headers\": expected an object of strings, got an array");
  EXPECT_EQ(error_of(R"({"A":1})"), "1:59: field \"headers.A\": expected a string, got a number");
  EXPECT_EQ(error_of(R"({"A":"x\r\nB: y"})"),
            "1:59: field \"headers.A\": expected a string without CR, LF and NUL, got \"x\\x0d\\x0aB: y\"");
  EXPECT_EQ(error_of(R"({"A\n":"x"})"),
            "1:61: field \"headers\": expected header names of letters, digits and '-', got \"A\\x0a\"");
  EXPECT_EQ(error_of(R"({"A:":"x"})"),
            "1:60: field \"headers\": expected header names of letters, digits and '-', got \"A:\"");
  EXPECT_EQ(error_of(R"({"":"x"})"),
            "1:58: field \"headers\": expected header names of letters, digits and '-', got \"\"");
  EXPECT_EQ(error_of(R"({"A":"x","A":"y"})"), "1:67: field \"A\": expected one header of this name, got another");
}

TEST_F(BatchFile, LinesThatAreNotJsonNameTheColumn) {
  EXPECT_EQ(only_error("hello"), "1:1: expected a JSON object, got 'h'");
  EXPECT_EQ(only_error(" [1]"), "1:2: expected a JSON object, got '['");
  EXPECT_EQ(only_error(R"({"custom_id":"a")"), "1:17: not valid JSON: expected ',' or '}', got the end of the line");
  EXPECT_EQ(only_error(R"({"custom_id":"a)"),
            "1:16: not valid JSON: expected '\"' at the end of the string, got the end of the line");
  EXPECT_EQ(only_error(R"( {"custom_id":"a"} x)"), "1:20: not valid JSON: expected the end of the line, got 'x'");
  EXPECT_EQ(only_error(R"({"custom_id":"a","x":{"y":tru}})"), "1:30: not valid JSON: expected true, got '}'");
  EXPECT_EQ(only_error(R"({"a":01})"), "1:7: not valid JSON: expected ',' or '}', got '1'");
  EXPECT_EQ(only_error("{\"custom_id\":\"a\xff\"}"), "1:16: expected valid UTF-8, got byte 0xff");
  EXPECT_EQ(only_error("\n\n{\"custom_id\":\"\xed\xa0\x80\"}"), "3:15: expected valid UTF-8, got byte 0xed");
  EXPECT_EQ(only_error(std::string_view("{\"custom_id\":\"a\0\"}", 18)), "1:16: expected text, got a NUL byte");
  EXPECT_EQ(only_error(std::string_view("\0{}", 3)), "1:1: expected text, got a NUL byte");
}

TEST_F(BatchFile, OverLongLinesAreErrorsAndPassedOver) {
  options_.line_bytes_max = 60;
  const std::string good = R"({"custom_id":"a","method":"GET","url":"/x"})";
  const std::string long_line(700'000, 'x');  // more than the buffer holds at first
  const ReadAll all =
      read(long_line + "\n" + good + "\n" + std::string(61, 'y') + "\n" + std::string(60, ' ') + "\n" + long_line);
  ASSERT_EQ(all.tasks.size(), 1u);
  ASSERT_EQ(all.errors.size(), 3u);
  const std::string what = ": expected a line of at most 60 bytes, got a longer one";
  EXPECT_EQ(all.errors[0].context, path().string() + ":1" + what);
  EXPECT_EQ(all.errors[1].context, path().string() + ":3" + what);
  EXPECT_EQ(all.errors[2].context, path().string() + ":5" + what);
}

TEST_F(BatchFile, DuplicateIdsNameBothLines) {
  const auto line = [](const std::string& id) {
    return R"({"custom_id":")" + id +
           R"(","method":"GET","url":"/x"})"
           "\n";
  };
  EXPECT_EQ(only_error(line("a") + "\n" + line("b") + line("a") + line("c")),
            "4: field \"custom_id\": expected an id that no earlier line has, got \"a\", which line 1 has");
}

TEST_F(BatchFile, AnIdOfABadLineMayBeUsedAgain) {
  const ReadAll all = read(R"({"custom_id":"a","method":"NO","url":"/x"})"
                           "\n"
                           R"({"custom_id":"a","method":"GET","url":"/x"})");
  EXPECT_EQ(all.errors.size(), 1u);
  EXPECT_EQ(all.tasks.size(), 1u);
}

TEST_F(BatchFile, GoesOnBehindABadLine) {
  const ReadAll all = read(
      "x\n"
      R"({"custom_id":"a","method":"GET","url":"/x"})"
      "\n{\n"
      R"({"custom_id":"b","method":"GET","url":"/x"})");
  EXPECT_EQ(all.errors.size(), 2u);
  ASSERT_EQ(all.tasks.size(), 2u);
  EXPECT_EQ(all.tasks[1].id, "b");
}

TEST_F(BatchFile, DeepNestingIsReadAndTooDeepIsAnError) {
  const auto line = [](std::size_t depth) {
    return R"({"custom_id":"a","method":"POST","url":"/x","body":)" + std::string(depth, '[') +
           std::string(depth, ']') + "}";
  };
  EXPECT_EQ(read(line(1000)).tasks.size(), 1u);
  EXPECT_EQ(read(line(1023)).tasks.size(), 1u);
  EXPECT_EQ(only_error(line(1024)), "1:1075: not valid JSON: expected at most 1024 levels of nesting, got '['");
  EXPECT_EQ(only_error(line(1'000'000)), "1:1075: not valid JSON: expected at most 1024 levels of nesting, got '['");
}

TEST_F(BatchFile, ProgressCountsLinesAndBytes) {
  const std::string content = R"({"custom_id":"a","method":"GET","url":"/x"})"
                              "\n\n";
  write_file(path(), content);
  auto reader = open_reader(path(), options_);
  EXPECT_EQ(reader->bytes_total(), content.size());
  EXPECT_EQ(reader->line(), 0u);
  Request request;
  ASSERT_TRUE(reader->next(request).value());
  EXPECT_EQ(reader->line(), 1u);
  ASSERT_FALSE(reader->next(request).value());
  EXPECT_EQ(reader->bytes_read(), content.size());
  EXPECT_FALSE(reader->cancelled());
}

}  // namespace
}  // namespace pawl::input
