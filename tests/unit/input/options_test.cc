#include "reading.h"
#include "temp_dir.h"

namespace pawl::input {
namespace {

std::string fault_of(const Options& options) {
  const auto valid = options.validate();
  if (valid) return "";
  EXPECT_EQ(valid.error().code, ErrorCode::usage);
  return valid.error().context;
}

TEST(Options, DefaultsAreValid) { EXPECT_EQ(fault_of({}), ""); }

TEST(Options, EachWrongOptionIsNamedWithTheReason) {
  EXPECT_EQ(fault_of({.stream_by = "user"}),
            "input option stream_by: expected a JSON pointer such as /body/user (RFC 6901), got \"user\"");
  EXPECT_EQ(fault_of({.stream_by = "/a~"}),
            "input option stream_by: expected ~0 for '~' and ~1 for '/' in a JSON pointer, got \"/a~\"");
  EXPECT_EQ(fault_of({.stream_by = "/~2"}),
            "input option stream_by: expected ~0 for '~' and ~1 for '/' in a JSON pointer, got \"/~2\"");
  EXPECT_EQ(fault_of({.base_url = "h/v1"}),
            "input option base_url: expected an absolute http or https URL, got \"h/v1\"");
  EXPECT_EQ(fault_of({.base_url = "http://h/?a"}),
            "input option base_url: expected a URL without query and fragment, got \"http://h/?a\"");
  EXPECT_EQ(fault_of({.url = "/x"}), "input option url: expected an absolute URL, or a base_url beside it, got \"/x\"");
  EXPECT_EQ(fault_of({.base_url = "http://h", .url = "/a b"}),
            "input option url: expected a URL without spaces and control characters, got \"/a b\"");
  EXPECT_EQ(fault_of({.url = "h"}), "input option url: expected an absolute http or https URL, got \"h\"");
  EXPECT_EQ(fault_of({.method = "FETCH"}),
            "input option method: expected one of GET, POST, PUT, PATCH, DELETE, got \"FETCH\"");
  EXPECT_EQ(fault_of({.content_type = "a\nb"}), "input option content_type: expected one line, got \"a\\x0ab\"");
  EXPECT_EQ(fault_of({.body_template = "\xff"}),
            "input option body_template: expected UTF-8 without NUL, got expected valid UTF-8, got byte 0xff");
  EXPECT_EQ(fault_of({.headers = {"A"}}),
            "input option headers: expected \"Name: value\" on one line, got another form");
  EXPECT_EQ(fault_of({.headers = {"A: b\r\nC: d"}}),
            "input option headers: expected \"Name: value\" on one line, got another form");
  EXPECT_EQ(fault_of({.headers = {"content-type: x"}}),
            "input option headers: expected Content-Type to be set as content_type, got \"content-type: x\"");
  EXPECT_EQ(fault_of({.line_bytes_max = 0}), "input option line_bytes_max: expected 1 to 1073741824 bytes, got 0");
  EXPECT_EQ(fault_of({.line_bytes_max = (1u << 30) + 1}),
            "input option line_bytes_max: expected 1 to 1073741824 bytes, got 1073741825");
}

TEST(Options, AnOptionThatTheFormatCannotUseIsWrong) {
  EXPECT_EQ(fault_of({.format = Format::lines}),
            "input option url: expected the URL to send each task to for format lines, got nothing");
  EXPECT_EQ(fault_of({.format = Format::files}),
            "input option url: expected the URL to send each task to for format files, got nothing");
  EXPECT_EQ(fault_of({.format = Format::batch, .body_template = "x"}),
            "input option body_template: expected nothing for format batch (it is for lines), got \"x\"");
  EXPECT_EQ(fault_of({.format = Format::urls, .stream_by = "/x"}),
            "input option stream_by: expected nothing for format urls (it is for batch and lines), got \"/x\"");
}

TEST(Source, NamesAreTheLastComponent) {
  EXPECT_EQ(source_name("-"), "stdin");
  EXPECT_EQ(source_name("in.jsonl"), "in.jsonl");
  EXPECT_EQ(source_name("a/b/in.jsonl"), "in.jsonl");
  EXPECT_EQ(source_name("/a/b//"), "b");
  EXPECT_EQ(source_name("/"), "root");
  const test::TempDir dir;
  std::filesystem::create_directory(dir / "sub");
  EXPECT_EQ(source_name((dir / "sub/.").string()), "sub");
  EXPECT_EQ(source_name((dir / "sub/..").string()), dir.path().filename().string());
  EXPECT_EQ(source_name((dir / "missing/..").string()), "root");
}

TEST(Source, OpeningSaysWhatIsWrongWithThePath) {
  const test::TempDir dir;
  const std::string missing = (dir / "missing").string();
  const Error gone = open_error({missing, ""}, {});
  EXPECT_EQ(gone.code, ErrorCode::input);
  EXPECT_EQ(gone.sys_errno, ENOENT);
  EXPECT_EQ(gone.context, "cannot open " + missing + ": No such file or directory");
  const Error folder = open_error({dir.path().string(), ""}, {.format = Format::batch});
  EXPECT_EQ(folder.code, ErrorCode::input);
  EXPECT_EQ(folder.context, dir.path().string() + " is a folder: only format files reads folders");
  const Error standard_input = open_error({"-", ""}, {.format = Format::files, .url = "http://h"});
  EXPECT_EQ(standard_input.code, ErrorCode::usage);
  EXPECT_EQ(standard_input.context, "format files needs a folder or a file, not standard input");
}

TEST(Source, ANameOfOnesOwnGoesIntoIdsAndStreams) {
  const test::TempDir dir;
  write_file(dir / "in", "x\n");
  auto reader = Reader::open({(dir / "in").string(), "mine"}, {.format = Format::lines, .url = "http://h"});
  ASSERT_TRUE(reader.has_value());
  const ReadAll all = read_all(**reader);
  EXPECT_EQ(all.tasks.at(0).id, "mine:1");
  EXPECT_EQ(all.tasks.at(0).stream, "mine");
}

TEST(NamesASecret, KnowsHeadersThatCarryCredentials) {
  for (const char* name : {"Authorization", "proxy-authorization", "Cookie", "X-API-Key", "api-key", "x-goog-api-key",
                           "Ocp-Apim-Subscription-Key", "X-Amz-Security-Token", "X-Auth", "Private-Token", "X_Secret"})
    EXPECT_TRUE(names_a_secret(name)) << name;
  for (const char* name : {"Idempotency-Key", "X-Idempotency-Key", "Accept", "X-Keyboard", "OpenAI-Organization",
                           "X-Tokenizer", "", "-", "Authority"})
    EXPECT_FALSE(names_a_secret(name)) << name;
}

}  // namespace
}  // namespace pawl::input
