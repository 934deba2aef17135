// Applies the rules to the tree.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "rules.h"

namespace pawl::rules {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostLines = 600;

std::vector<SourceFile> files_under(const std::vector<std::string>& folders) {
  const fs::path root = PAWL_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const std::string& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const fs::path extension = entry.path().extension();
      if (!entry.is_regular_file() || (extension != ".h" && extension != ".cc")) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      files.push_back({entry.path().lexically_relative(root).generic_string(),
                       std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>())});
    }
  }
  std::ranges::sort(files, {}, &SourceFile::path);
  return files;
}

void expect_none(const std::vector<SourceFile>& files, const std::function<Violations(const SourceFile&)>& rule) {
  ASSERT_FALSE(files.empty()) << "no source under " PAWL_SOURCE_DIR;
  for (const SourceFile& file : files) {
    for (const std::string& violation : rule(file)) ADD_FAILURE() << violation;
  }
}

// "pawl/task.h" for the engine's, "http:pawl/http.h" for an adapter's own.
std::set<std::string> installed_headers() {
  std::set<std::string> headers;
  for (const SourceFile& file : files_under({"engine/include", "adapters"})) {
    const auto at = file.path.find("/include/pawl/");
    if (at == std::string::npos) continue;
    const std::string header = file.path.substr(at + 9);
    const bool of_adapter = file.path.starts_with("adapters/");
    headers.insert(of_adapter ? file.path.substr(9, at - 9) + ":" + header : header);
  }
  return headers;
}

TEST(Tree, ThirdPartyHeadersStayInTheirFolders) {
  expect_none(files_under({"engine", "adapters", "tools"}), check_third_parties);
}

TEST(Tree, ArrowsRunOneWay) {
  const auto headers = installed_headers();
  ASSERT_TRUE(headers.contains("pawl/task.h"));
  expect_none(files_under({"engine", "adapters", "tools"}),
              [&](const SourceFile& file) { return check_arrows(file, headers); });
}

TEST(Tree, TheEngineHasNoLocks) { expect_none(files_under({"engine"}), check_no_locks); }

TEST(Tree, HasNoSmells) { expect_none(files_under({"engine", "adapters", "tools", "tests", "bench"}), check_smells); }

TEST(Tree, HeadersSayWhatTheyAre) {
  expect_none(files_under({"engine", "adapters", "tools", "tests", "bench"}), check_header_shape);
}

TEST(Tree, FilesFitOneSitting) {
  expect_none(files_under({"engine", "adapters", "tools", "tests", "bench"}),
              [](const SourceFile& file) { return check_length(file, kMostLines); });
}

}  // namespace
}  // namespace pawl::rules
