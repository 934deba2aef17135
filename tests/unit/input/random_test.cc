#include <algorithm>

#include "random_lines.h"
#include "reading.h"
#include "temp_dir.h"

namespace pawl::input {
namespace {

TEST(RandomInput, ValidLinesAreReadAsWhatTheyMean) {
  RandomLines lines(random_seed());
  std::vector<Request> expected(5'000);
  std::string content;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    content += lines.line(i, "in", expected[i]) + (lines.below(2) == 0 ? "\n" : "\r\n");
    if (lines.below(10) == 0) content += "\n";
  }
  const test::TempDir dir;
  write_file(dir / "in", content);
  const ReadAll all = read_all(*open_reader(dir / "in", kBatch));
  ASSERT_EQ(all.errors.size(), 0u) << all.errors[0].context;
  ASSERT_EQ(all.tasks.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_TRUE(same_task(all.tasks[i], expected[i])) << "task " << i << ", id " << expected[i].id;
  }
}

/// Changes, drops, doubles or swaps some bytes, or cuts the line.
std::string mutated(std::string line, RandomLines& random) {
  static constexpr std::string_view kBytes("\"\\{}[]:,\0\n\xff\xc3 0e-tu", 18);
  for (std::size_t changes = 1 + random.below(4); changes > 0 && !line.empty(); --changes) {
    const std::size_t at = random.below(line.size());
    switch (random.below(6)) {
      case 0: line[at] = kBytes[random.below(kBytes.size())]; break;
      case 1: line[at] = static_cast<char>(random.below(256)); break;
      case 2: line.erase(at, 1 + random.below(5)); break;
      case 3: line.insert(at, line.substr(random.below(line.size()), random.below(20))); break;
      case 4: line.insert(at, 1, kBytes[random.below(kBytes.size())]); break;
      default: line.resize(at); break;
    }
  }
  std::ranges::replace(line, '\n', 'n');  // one line stays one line
  return line;
}

/// Schemes are case-insensitive (RFC 3986 section 3.1), and a mutation may change the case of one letter.
bool has_http_scheme(const std::string& url) {
  std::string start = url.substr(0, 8);
  std::ranges::transform(start, start.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return start.starts_with("http://") || start == "https://";
}

TEST(RandomInput, MutatedLinesAreEachATaskOrAnInputError) {
  constexpr std::size_t kLines = 20'000;
  const std::uint64_t seed = random_seed();
  RandomLines random(seed);
  std::string content;
  std::size_t not_blank = 0;
  for (std::size_t i = 0; i < kLines; ++i) {
    Request ignored;
    const std::string line = mutated(random.line(i, "in", ignored), random);
    if (line.find_first_not_of(" \t\r") != std::string::npos) ++not_blank;
    content += line + "\n";
  }
  const test::TempDir dir;
  write_file(dir / "in", content);
  Options options = kBatch;
  options.stream_by = "/body/0";
  const ReadAll by_pointer = read_all(*open_reader(dir / "in", options));
  EXPECT_EQ(by_pointer.tasks.size() + by_pointer.errors.size(), not_blank);
  const ReadAll all = read_all(*open_reader(dir / "in", kBatch));
  EXPECT_EQ(all.tasks.size() + all.errors.size(), not_blank);
  EXPECT_GT(all.tasks.size(), 100u);  // the mutations leave some lines whole
  EXPECT_GT(all.errors.size(), 1'000u);
  for (const Error& error : all.errors) {
    ASSERT_EQ(error.code, ErrorCode::input) << error.context;
    ASSERT_TRUE(error.context.starts_with((dir / "in").string() + ":")) << error.context;
  }
  for (const Request& task : all.tasks) {
    ASSERT_FALSE(task.id.empty() || task.stream.empty() || task.method.empty());
    ASSERT_TRUE(has_http_scheme(task.url)) << task.url;
  }
}

}  // namespace
}  // namespace pawl::input
