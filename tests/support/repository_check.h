// What a repository of results must look like: read with the git program, compared with what was asked for.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "process.h"

namespace pawl::test {

/// One record as committed.
struct CommittedRecord {
  std::string stream, id, path;
  std::uint64_t seq = 0;
  std::int64_t status_code = 0;  // 0: a recorded failure
  std::string request_body, response_body;
};

inline CommittedRecord parse_committed(const std::string& path, const std::string& text) {
  static simdjson::dom::parser parser;
  CommittedRecord record;
  record.path = path;
  simdjson::dom::element json;
  EXPECT_EQ(parser.parse(text).get(json), simdjson::SUCCESS) << path << "\n" << text;
  record.stream = std::string(json["stream"].get_string().value_unsafe());
  record.id = std::string(json["custom_id"].get_string().value_unsafe());
  record.seq = json["seq"].get_uint64().value_unsafe();
  const simdjson::dom::element response = json["response"].value_unsafe();
  if (!response.is_null()) {
    record.status_code = response["status_code"].get_int64().value_unsafe();
    record.response_body = simdjson::minify(response["body"].value_unsafe());
  }
  record.request_body = simdjson::minify(json["request"]["body"].value_unsafe());
  return record;
}

/// The records that each commit touched, oldest commit first, within a commit by position. A record that was replaced
/// appears once for each commit that touched it, with its content of today. Needs a work tree.
inline std::vector<std::vector<CommittedRecord>> committed_records(const std::filesystem::path& repo) {
  std::map<std::string, CommittedRecord> by_path;
  std::vector<std::vector<CommittedRecord>> commits;
  std::istringstream log(
      git(repo, {"log", "--reverse", "--first-parent", "--no-renames", "-z", "--name-only", "--format=commit %H"}));
  for (std::string token; std::getline(log, token, '\0');) {
    const std::string path = token.starts_with('\n') ? token.substr(1) : token;
    if (path.starts_with("commit ")) commits.emplace_back();
    if (!path.ends_with(".json")) continue;
    if (!by_path.contains(path)) by_path[path] = parse_committed(path, read_file(repo / path));
    commits.back().push_back(by_path[path]);
  }
  for (auto& commit : commits)
    std::sort(commit.begin(), commit.end(), [](const auto& a, const auto& b) { return a.seq < b.seq; });
  return commits;
}

/// git fsck --strict must be silent, the work tree clean.
inline void expect_sound(const std::filesystem::path& repo) {
  Process fsck({"git", "-C", repo.string(), "fsck", "--strict", "--no-progress", "--no-dangling"});
  EXPECT_EQ(fsck.wait(), 0);
  EXPECT_EQ(fsck.out() + fsck.err(), "");
  EXPECT_EQ(git(repo, {"status", "--porcelain"}), "");
}

/// Every key of `asked` (stream → ids in order) is committed exactly once, and each stream's records were committed in
/// the order of their positions.
inline void expect_exactly_once_in_order(const std::filesystem::path& repo,
                                         const std::map<std::string, std::vector<std::string>>& asked) {
  std::map<std::string, std::vector<std::string>> found;
  std::map<std::pair<std::string, std::string>, int> times;
  std::map<std::string, std::uint64_t> last_seq;
  for (const auto& commit : committed_records(repo)) {
    for (const auto& record : commit) {
      const int count = ++times[{record.stream, record.id}];
      EXPECT_EQ(count, 1) << "committed twice: " << record.stream << " " << record.id;
      const auto [last, first] = last_seq.try_emplace(record.stream, record.seq);
      if (!first) {
        EXPECT_GT(record.seq, last->second) << "order broken in " << record.stream << " at " << record.id;
        last->second = record.seq;
      }
      found[record.stream].push_back(record.id);
    }
  }
  EXPECT_EQ(found.size(), asked.size());
  for (const auto& [stream, ids] : asked) EXPECT_EQ(found[stream], ids) << "stream " << stream;
}

}  // namespace pawl::test
