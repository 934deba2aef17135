// The same history by pawl and by git fast-import: the same trees, and with the same dates the same commits.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "stage_fixture.h"

namespace pawl::test {
namespace {

constexpr std::string_view kWho = "Ada Tester <ada@example.org> 1700000000 +0130";

/// A number from the environment, for longer runs than CI's.
std::size_t number_from(const char* variable, std::size_t otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

/// All commits have one date as long as this lives.
class FixedDate {
 public:
  FixedDate() {
    for (const char* name : kNames) ::setenv(name, "@1700000000 +0130", 1);
  }
  ~FixedDate() {
    for (const char* name : kNames) ::unsetenv(name);
  }
  FixedDate(const FixedDate&) = delete;
  FixedDate& operator=(const FixedDate&) = delete;

 private:
  static constexpr std::array<const char*, 2> kNames = {"GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"};
};

struct File {
  std::string path;
  std::string content;
  std::string stream;
};

/// What fast-import reads: git-fast-import(1).
class ImportStream {
 public:
  explicit ImportStream(const std::filesystem::path& path) : out_(path, std::ios::binary) {}

  void commit(const std::string& message, const std::vector<File>& files) {
    out_ << "commit refs/heads/main\nauthor " << kWho << "\ncommitter " << kWho << '\n';
    data(message);
    for (const File& file : files) {
      out_ << "M 100644 inline " << quoted(file.path) << '\n';
      data(file.content);
    }
  }

  void close() { out_.close(); }

 private:
  void data(std::string_view bytes) { out_ << "data " << bytes.size() << '\n' << bytes << '\n'; }

  static std::string quoted(std::string_view path) {
    std::string out = "\"";
    for (const char c : path) {
      std::array<char, 8> octal{};
      std::snprintf(octal.data(), octal.size(), "\\%03o", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += octal.data();
    }
    return out + '"';
  }

  std::ofstream out_;
};

/// What the branch must become: the rules of the commit stage, told once more in the plainest way.
class History {
 public:
  explicit History(const std::filesystem::path& import) : stream_(import) {}

  /// The results of one commit, in order; a path set twice makes two commits of it, what changes nothing none.
  void add(const std::vector<File>& files) {
    std::set<std::string> seen;
    std::vector<File> changes;
    for (const File& file : files) {
      if (!seen.insert(file.path).second) {
        finish(changes);
        seen = {file.path};
      }
      const auto [present, fresh] = files_.try_emplace(file.path, file.content);
      if (!fresh && present->second == file.content) continue;
      present->second = file.content;
      changes.push_back(file);
    }
    finish(changes);
  }
  void close() { stream_.close(); }
  [[nodiscard]] std::size_t commits() const { return commits_; }
  [[nodiscard]] std::size_t files() const { return files_.size(); }

  /// Whether a file may be put at `path`: no file where it needs a folder, no folder at its place.
  [[nodiscard]] bool free(const std::string& path) const {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      if (claimed_.contains(path.substr(0, slash))) return false;
    }
    const auto next = claimed_.lower_bound(path + "/");
    return next == claimed_.end() || !next->starts_with(path + "/");
  }
  void claim(const std::string& path) { claimed_.insert(path); }

 private:
  void finish(std::vector<File>& changes) {
    if (changes.empty()) return;
    std::set<std::string> streams;
    for (const File& file : changes) streams.insert(file.stream);
    std::string subject = changes[0].stream + " " + changes[0].path + ": 200 in 0.01 s";
    for (char& c : subject) {
      if ((c >= 0 && c < 32) || c == 127) c = ' ';
    }
    if (changes.size() > 1) {
      subject = std::to_string(changes.size()) + " results from " + std::to_string(streams.size()) +
                (streams.size() == 1 ? " stream" : " streams");
    }
    stream_.commit(subject + "\n\nPawl-Run: " + git::run_name(quick_options().run) + "\nPawl-Commit: " +
                       std::to_string(++commits_) + "\nPawl-Results: " + std::to_string(changes.size()) + "\n",
                   changes);
    changes.clear();
  }

  ImportStream stream_;
  std::map<std::string, std::string> files_;
  std::set<std::string> claimed_;
  std::size_t commits_ = 0;
};

/// Files in random order: new ones, other contents of old ones, the same contents again.
class Files {
 public:
  Files(std::uint64_t seed, History& history) : random_(seed), borrowed_history_(history) {}

  [[nodiscard]] std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  [[nodiscard]] File next() {
    File file{path(), content(), "stream-" + std::to_string(below(3))};
    paths_.push_back(file.path);
    borrowed_history_.claim(file.path);
    return file;
  }

 private:
  /// Any bytes but '/' and NUL; not what git itself forbids, also under names that other systems take for it.
  std::string component() {
    std::string name;
    const std::size_t size = 1 + below(below(20) == 0 ? 120 : 6);
    while (name.size() < size) {
      const char c = below(2) == 0 ? static_cast<char>(1 + below(255)) : "ab.-~ \n"[below(7)];
      if (c != '/') name += c;
    }
    const bool forbidden = name[0] == '.' || (name[0] | 0x20) == 'g' || static_cast<unsigned char>(name[0]) >= 0xe2;
    return forbidden ? "x" + name : name;
  }
  std::string path() {
    if (!paths_.empty() && below(3) == 0) return paths_[below(paths_.size())];
    for (;;) {
      std::string path = component();
      for (std::size_t depth = below(4); depth > 0; --depth) path += "/" + component();
      if (!paths_.empty() && below(2) == 0) {  // beside another
        const std::string& other = paths_[below(paths_.size())];
        path = other.substr(0, other.rfind('/') + 1) + component();
      }
      if (borrowed_history_.free(path)) return path;
    }
  }
  std::string content() {
    std::string bytes(below(8) == 0 ? 0 : below(below(200) == 0 ? 200'000 : 300), '\0');
    const std::size_t letters = below(2) == 0 ? 256 : 2;
    for (char& c : bytes) c = static_cast<char>(below(letters));
    if (below(10) == 0) bytes = "one of few";  // the same blob at several paths
    return bytes;
  }

  std::mt19937_64 random_;
  History& borrowed_history_;
  std::vector<std::string> paths_;
};

/// The repository `dir/pawl` is what fast-import makes of `dir/import`; and so is a clone of it.
void expect_same_as_import(const TempDir& dir, History& history) {
  history.close();
  const Git here(dir.path());
  here("init -q --bare -b main imported");
  const Git imported(dir / "imported");
  imported("fast-import --quiet < " + shell_word((dir / "import").string()));
  const Git pawl(dir / "pawl");
  pawl.expect_sound();
  EXPECT_EQ(pawl("rev-parse main^{tree}"), imported("rev-parse main^{tree}"));
  EXPECT_EQ(pawl("rev-list --count main"), std::to_string(history.commits()));
  const std::string commits = imported("rev-list main");
  EXPECT_TRUE(pawl("rev-list main") == commits) << "not the same commits";
  here("clone -q --bare pawl copy");
  const Git copy(dir / "copy");
  copy.expect_sound();
  // Every object that leads to another, by name, type and size.
  const std::string objects = "cat-file --batch-all-objects --batch-check";
  const std::string all = imported(objects);
  EXPECT_TRUE(pawl(objects) == all) << "not the same objects";
  EXPECT_TRUE(copy(objects) == all) << "the clone has not the same objects";
  EXPECT_EQ(copy("ls-tree -r --name-only -z main | tr -dc '\\0' | wc -c"), std::to_string(history.files()));
}

TEST(CommitStageBesideFastImport, MakesTheSameHistory) {
  const char* given = std::getenv("PAWL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << '\n';
  const std::size_t tasks_wanted = number_from("PAWL_TASKS", 600);
  const FixedDate date;
  for (const std::size_t commit_tasks : {1, 7}) {
    const TempDir dir;
    Git(dir.path())("init -q --bare -b main pawl");
    History history(dir / "import");
    Files files(seed + commit_tasks, history);
    git::CommitOptions options = quick_options();
    options.commit_tasks = static_cast<std::uint32_t>(commit_tasks);
    options.commit_every = std::chrono::hours(1);  // only hurry() ends a commit early
    CommitRun run(dir / "pawl", options);
    for (std::size_t made = 0; made < tasks_wanted;) {
      std::vector<Task*> tasks;
      std::vector<File> commit;
      const std::size_t most = std::min<std::size_t>(tasks_wanted / 4, 1'000);  // what is waited for at once
      const std::size_t count = std::min(1 + files.below(1 + most), tasks_wanted - made);
      for (std::size_t i = 0; i < count; ++i) {
        const File& file = commit.emplace_back(files.next());
        tasks.push_back(&run.make(file.path, file.content, file.stream));
        if (commit.size() < commit_tasks && i + 1 < count) continue;
        history.add(commit);
        commit.clear();
      }
      run.give(tasks);
      run.stage().hurry();
      ASSERT_TRUE(run.all_back());
      made += count;
    }
    run.finish();
    expect_same_as_import(dir, history);
  }
}

TEST(CommitStageBesideFastImport, MakesTheSameOfLargeBodies) {
  const FixedDate date;
  const std::size_t megabytes = number_from("PAWL_BODY_MB", 1);
  const TempDir dir;
  Git(dir.path())("init -q --bare -b main pawl");
  History history(dir / "import");
  CommitRun run(dir / "pawl");
  std::mt19937_64 random(megabytes);
  std::string noise(megabytes << 20, '\0');
  for (std::size_t at = 0; at + 8 <= noise.size(); at += 8) {
    const std::uint64_t word = random();
    std::memcpy(noise.data() + at, &word, sizeof word);
  }
  for (const std::string& content : {noise, std::string(megabytes << 20, 'x'), std::string(), noise + "."}) {
    const File file{"large/body", content, "s"};
    run.put(file.path, file.content, file.stream);
    ASSERT_TRUE(run.all_back());
    history.add({file});
  }
  run.finish();
  EXPECT_EQ(history.commits(), 4u);
  expect_same_as_import(dir, history);
}

}  // namespace
}  // namespace pawl::test
