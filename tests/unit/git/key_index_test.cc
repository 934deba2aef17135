#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/git.h>

#include "process.h"
#include "random_bytes.h"
#include "record.h"
#include "temp_dir.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

std::array<std::uint8_t, 16> digest_of(std::uint64_t number) {
  std::array<std::uint8_t, 16> digest{};
  for (std::size_t i = 0; i < 8; ++i) digest[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return digest;
}

struct Sample {
  Request request;
  Outcome outcome;
};

Sample sample_of(const std::string& stream, const std::string& id, std::uint64_t position) {
  Sample sample;
  sample.request.task_id = {1000, position + 1};
  sample.request.stream = stream;
  sample.request.id = id;
  sample.request.position = position;
  sample.request.method = "POST";
  sample.request.url = "https://example.org/";
  sample.request.digest = digest_of(position * 7);
  sample.outcome.kind = Outcome::Kind::answered;
  sample.outcome.status_code = position % 5 == 0 ? 500 : 200;
  sample.outcome.attempts = 1;
  sample.outcome.body = R"({"text": ")" + std::string(600, 'a') + std::to_string(position) + "\"}";
  return sample;
}

// One commit by git's own importer, on top of the branch.
class Import {
 public:
  explicit Import(const fs::path& repo) : repo_(repo), stream_(dir_ / "stream", std::ios::binary) { message("x"); }
  explicit Import(const fs::path& repo, const std::string& text)
      : repo_(repo), stream_(dir_ / "stream", std::ios::binary) {
    message(text);
  }
  Import& from_tip() {
    stream_ << "from refs/heads/main^0\n";
    return *this;
  }
  Import& file(const std::string& path, const std::string& content) {
    stream_ << "M 100644 inline " << path << "\ndata " << content.size() << "\n" << content << "\n";
    return *this;
  }
  Import& record(const Sample& sample) {
    render_record(sample.request, sample.outcome, text_);
    return file(record_path(sample.request.stream, sample.request.position, sample.request.id), text_);
  }
  void run() {
    stream_ << "done\n";
    stream_.close();
    test::Process import({"sh", "-c", "exec git -C \"$0\" fast-import --quiet --done --depth=0 < \"$1\"",
                          repo_.string(), (dir_ / "stream").string()});
    ASSERT_EQ(import.wait(), 0) << import.err();
  }

 private:
  void message(const std::string& text) {
    stream_ << "commit refs/heads/main\ncommitter A <a@example.org> 1700000000 +0000\ndata " << text.size() << "\n"
            << text << "\n";
  }

  fs::path repo_;
  test::TempDir dir_;
  std::ofstream stream_;
  std::string text_;
};

class KeyIndexTest : public testing::Test {
 protected:
  KeyIndexTest() {
    RepositoryOptions options;
    options.path = dir_ / "repo";
    options.branch = "main";
    auto opened = Repository::open(options);
    EXPECT_TRUE(opened.has_value()) << opened.error().context;
    repository_ = std::move(*opened);
  }

  std::unique_ptr<KeyIndex> open() {
    rebuilt_ = false;
    auto index = KeyIndex::open(*repository_, [&](std::uint64_t) { rebuilt_ = true; });
    EXPECT_TRUE(index.has_value()) << index.error().context;
    return std::move(*index);
  }

  fs::path repo() const { return dir_ / "repo"; }
  void git(std::vector<std::string> words) {
    words.insert(words.begin(), {"git", "-C", repo().string()});
    test::Process run(words);
    ASSERT_EQ(run.wait(), 0) << run.err();
  }
  fs::path file() const { return repository_->private_folder() / "keys"; }

  test::TempDir dir_;
  std::unique_ptr<Repository> repository_;
  bool rebuilt_ = false;
};

std::optional<CommittedKey> found(KeyIndex& index, const std::string& stream, const std::string& id) {
  auto key = index.find(stream, id);
  EXPECT_TRUE(key.has_value());
  return key ? *key : std::nullopt;
}

std::uint64_t next_position(KeyIndex& index, const std::string& stream) {
  const auto position = index.take_position(stream);
  EXPECT_TRUE(position.has_value());
  return position.value_or(~0ull);
}

TEST_F(KeyIndexTest, IsEmptyOnAnUnbornBranch) {
  const auto index = open();
  EXPECT_EQ(index->size(), 0u);
  EXPECT_EQ(found(*index, "s", "a"), std::nullopt);
  EXPECT_EQ(next_position(*index, "s"), 0u);
  EXPECT_EQ(next_position(*index, "s"), 1u);
  EXPECT_EQ(next_position(*index, "t"), 0u);
}

TEST_F(KeyIndexTest, FindsWhatTheBranchHoldsAndPassesOverTheRest) {
  Sample moved = sample_of("s", "moved", 3);
  std::string text;
  render_record(moved.request, moved.outcome, text);
  Import(repo())
      .record(sample_of("s", "a", 0))
      .record(sample_of("s", "b", 120))
      .record(sample_of("s/../\n", "\xff", 1'000'000))
      .file("s/00/00/moved-by-hand.json", text)
      .file("s/00/00/broken.json", "{\"id\":")
      .file("s/00/00/README", "hello")
      .file("s/notes/00/x.json", text)
      .file("README.md", "hello")
      .file("src/main.c", "int main;")
      .run();
  const auto index = open();
  EXPECT_TRUE(rebuilt_);
  EXPECT_EQ(index->size(), 3u);
  const auto first = found(*index, "s", "a");
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->position, 0u);
  EXPECT_FALSE(first->success) << "a 500";
  const auto second = found(*index, "s", "b");
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->position, 120u);
  EXPECT_EQ(second->digest, digest_of(120 * 7));
  EXPECT_FALSE(found(*index, "s", "moved").has_value());
  EXPECT_FALSE(found(*index, "sa", "").has_value());
  ASSERT_TRUE(found(*index, "s/../\n", "\xff").has_value());
  EXPECT_EQ(next_position(*index, "s"), 121u);
  EXPECT_EQ(next_position(*index, "s/../\n"), 1'000'001u);
  EXPECT_EQ(next_position(*index, "other"), 0u);
}

TEST_F(KeyIndexTest, IsNotKeptWhenOthersHaveCommittedMeanwhile) {
  const std::string ours = "one\n\nPawl-Run: " + run_name(1) + "\nPawl-Commit: 1\n";
  for (const bool foreign : {false, true}) {
    {
      const auto index = open();
      Import(repo(), ours).file("of-this-run", foreign ? "1" : "0").run();
      if (foreign) Import(repo(), "a person\n").from_tip().file("theirs", "x").run();
      Import(repo(), ours).from_tip().file("of-this-run", "2").run();
      ASSERT_TRUE(index->mark_clean(*repository_, 1).has_value());
    }
    const auto index = open();
    EXPECT_EQ(rebuilt_, foreign);
    git({"update-ref", "-d", "refs/heads/main"});
    static_cast<void>(open());
  }
}

TEST_F(KeyIndexTest, ReadsRecordsHoweverGitKeepsThem) {
  Import import(repo());
  for (std::uint64_t i = 0; i < 300; ++i) import.record(sample_of("s", std::to_string(i), i));
  import.run();
  const auto rebuild = [&] {
    fs::remove(file());
    const auto index = open();
    EXPECT_TRUE(rebuilt_);
    EXPECT_EQ(index->size(), 300u);
    for (std::uint64_t i = 0; i < 300; ++i) {
      const auto key = found(*index, "s", std::to_string(i));
      ASSERT_TRUE(key.has_value());
      EXPECT_EQ(key->digest, digest_of(i * 7));
      EXPECT_EQ(key->task_id, (TaskId{1000, i + 1}));
    }
  };
  rebuild();
  git({"repack", "-adfq", "--depth=50"});  // as deltas of each other
  rebuild();
  test::Process unpack(
      {"sh", "-c",
       "cd \"$0\" && mv .git/objects/pack/*.pack p && rm -f .git/objects/pack/* && git unpack-objects -q < p",
       repo().string()});
  ASSERT_EQ(unpack.wait(), 0) << unpack.err();  // each in a file
  rebuild();
}

TEST_F(KeyIndexTest, IsUsedAgainOnlyWhenCleanAndOfTheTip) {
  Import(repo()).record(sample_of("s", "a", 0)).run();
  {
    const auto index = open();
    EXPECT_TRUE(rebuilt_);
  }
  {
    const auto index = open();
    EXPECT_FALSE(rebuilt_) << "a rebuilt index is clean";
    EXPECT_EQ(next_position(*index, "s"), 1u) << "from the table, not from a walk";
    ASSERT_TRUE(index->put("s", "b", {7, digest_of(1), true}).has_value());
  }
  {
    const auto index = open();
    EXPECT_TRUE(rebuilt_) << "not marked clean";
    EXPECT_FALSE(found(*index, "s", "b").has_value()) << "was never committed";
    EXPECT_EQ(next_position(*index, "s"), 1u);
    ASSERT_TRUE(index->put("s", "b", {7, digest_of(1), true}).has_value());
    ASSERT_TRUE(index->mark_clean(*repository_, 1).has_value());
  }
  {
    const auto index = open();
    EXPECT_FALSE(rebuilt_);
    EXPECT_TRUE(found(*index, "s", "b").has_value());
    EXPECT_EQ(next_position(*index, "s"), 8u);
  }
  Import(repo()).from_tip().record(sample_of("s", "c", 9)).run();
  const auto index = open();
  EXPECT_TRUE(rebuilt_) << "the branch has moved";
  EXPECT_FALSE(found(*index, "s", "b").has_value());
  EXPECT_TRUE(found(*index, "s", "c").has_value());
  EXPECT_EQ(next_position(*index, "s"), 10u);
}

TEST_F(KeyIndexTest, APositionSeenIsNotGivenAgain) {
  const auto index = open();
  index->see_position("s", 41);
  EXPECT_EQ(next_position(*index, "s"), 42u);
  index->see_position("s", 7);
  EXPECT_EQ(next_position(*index, "s"), 43u);
  ASSERT_TRUE(index->put("s", "a", {99, {}, true}).has_value());
  EXPECT_EQ(next_position(*index, "s"), 100u);
}

TEST_F(KeyIndexTest, RefusesAPositionItCannotHold) {
  const auto index = open();
  const auto done = index->put("s", "a", {1ull << 48, {}, true});
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ErrorCode::usage);
  EXPECT_EQ(index->size(), 0u);
}

TEST_F(KeyIndexTest, AgreesWithAMapThroughReopening) {
  test::Random random;
  std::map<std::pair<std::string, std::string>, CommittedKey> model;
  std::map<std::string, std::uint64_t> next;
  auto index = open();
  for (int i = 0; i < 20'000; ++i) {
    const std::string stream = "s" + std::to_string(random.below(20));
    const std::string id = std::to_string(random.below(5'000));
    switch (random.below(4)) {
      case 0: {
        const auto key = found(*index, stream, id);
        const auto known = model.find({stream, id});
        ASSERT_EQ(key.has_value(), known != model.end());
        if (key) {
          ASSERT_EQ(key->position, known->second.position);
          ASSERT_EQ(key->digest, known->second.digest);
          ASSERT_EQ(key->success, known->second.success);
        }
        break;
      }
      case 1: ASSERT_EQ(next_position(*index, stream), next[stream]++); break;
      default: {
        const CommittedKey key{random.below(100'000), digest_of(random.below(~0ull)), random.one_in(2)};
        ASSERT_TRUE(index->put(stream, id, key).has_value());
        model[{stream, id}] = key;
        next[stream] = std::max(next[stream], key.position + 1);
      }
    }
    if (random.one_in(4'000)) {
      ASSERT_TRUE(index->mark_clean(*repository_, 1).has_value());
      index.reset();
      index = open();
      ASSERT_FALSE(rebuilt_);
      // What was taken and never committed is free again.
      next.clear();
      for (const auto& [key, committed] : model) {
        next[key.first] = std::max(next[key.first], committed.position + 1);
      }
      // Replacing a key may lower its position; the stream's next one never goes back.
      for (auto& [name, position] : next) {
        const std::uint64_t taken = next_position(*index, name);
        ASSERT_GE(taken, position);
        position = taken + 1;
      }
    }
  }
  EXPECT_EQ(index->size(), model.size());
}

TEST_F(KeyIndexTest, IsRebuiltWhenItsFileIsDamaged) {
  Import import(repo());
  for (std::uint64_t i = 0; i < 50; ++i) import.record(sample_of("s", std::to_string(i), i));
  import.run();
  {
    const auto index = open();
  }
  std::ifstream in(file(), std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  test::Random random;
  for (int i = 0; i < 100; ++i) {
    std::string bad = good;
    if (random.one_in(3)) {
      bad.resize(random.below(bad.size()));
    } else {
      const std::size_t at = random.one_in(2) ? random.below(100) : random.below(bad.size());
      bad[at] = static_cast<char>(bad[at] ^ (1 << random.below(8)));
    }
    std::ofstream(file(), std::ios::binary | std::ios::trunc) << bad;
    const auto index = open();
    ASSERT_EQ(index->size(), 50u);
    for (std::uint64_t key = 0; key < 50; ++key) {
      const auto known = found(*index, "s", std::to_string(key));
      ASSERT_TRUE(known.has_value());
      ASSERT_EQ(known->position, key);
    }
    ASSERT_EQ(next_position(*index, "s"), 50u);
  }
}

TEST_F(KeyIndexTest, GivesEveryThreadPositionsOfItsOwn) {
  const auto index = open();
  std::vector<std::vector<std::uint64_t>> taken(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < taken.size(); ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 500; ++i) {
          taken[t].push_back(next_position(*index, "s"));
          EXPECT_TRUE(index->put("t" + std::to_string(t), std::to_string(i), {taken[t].back(), {}, true}).has_value());
          EXPECT_TRUE(found(*index, "t" + std::to_string(t), std::to_string(i)).has_value());
        }
      });
    }
  }
  std::vector<std::uint64_t> all;
  for (const auto& some : taken) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], i);
}

double micros_each(std::chrono::steady_clock::duration taken, std::uint64_t count) {
  return std::chrono::duration<double, std::micro>(taken).count() / static_cast<double>(count);
}

// Also tells the speed; what is checked is that every key comes back through growth and a rebuild.
TEST_F(KeyIndexTest, HoldsAHundredThousandKeysAndRebuildsThem) {
  constexpr std::uint64_t kKeys = 100'000;
  constexpr std::uint64_t kStreams = 64;
  Import import(repo());
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    import.record(sample_of("stream-" + std::to_string(i % kStreams), "id-" + std::to_string(i), i / kStreams));
  }
  import.run();
  auto begin = std::chrono::steady_clock::now();
  auto index = open();
  const double rebuild = micros_each(std::chrono::steady_clock::now() - begin, kKeys);
  ASSERT_EQ(index->size(), kKeys);
  begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    const auto key = found(*index, "stream-" + std::to_string(i % kStreams), "id-" + std::to_string(i));
    ASSERT_TRUE(key.has_value());
    ASSERT_EQ(key->position, i / kStreams);
  }
  const double find = micros_each(std::chrono::steady_clock::now() - begin, kKeys);
  begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    ASSERT_TRUE(index->put("new-" + std::to_string(i % kStreams), "id-" + std::to_string(i), {i / kStreams, {}, true})
                    .has_value());
  }
  const double put = micros_each(std::chrono::steady_clock::now() - begin, kKeys);
  EXPECT_EQ(index->size(), 2 * kKeys);
  ASSERT_TRUE(index->mark_clean(*repository_, 1).has_value());
  index.reset();
  begin = std::chrono::steady_clock::now();
  index = open();
  const double reopen = micros_each(std::chrono::steady_clock::now() - begin, 1);
  EXPECT_FALSE(rebuilt_);
  EXPECT_EQ(index->size(), 2 * kKeys);
  std::cout << "us per key: rebuild " << rebuild << ", find " << find << ", put " << put << "; clean open " << reopen
            << " us\n";
}

TEST_F(KeyIndexTest, HoldsTellsWhetherTheBranchHasThisTaskOrAYoungerOne) {
  const Sample sample = sample_of("s", "a", 5);
  const auto held = [&](const Request& request, Layout layout = Layout::record) {
    const auto answer = holds(*repository_, request, layout);
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(false);
  };
  EXPECT_FALSE(held(sample.request)) << "unborn branch";
  Import(repo()).record(sample).file("s/00/01/broken.json", "{").run();
  EXPECT_TRUE(held(sample.request));
  EXPECT_FALSE(held(sample.request, Layout::raw));
  Request other = sample.request;
  other.task_id.ordinal -= 1;
  EXPECT_TRUE(held(other)) << "the branch has a younger one";
  other.task_id.ordinal += 2;
  EXPECT_FALSE(held(other)) << "this one is younger";
  other = sample.request;
  other.id = "b";
  EXPECT_FALSE(held(other));
  other.id = "broken";
  other.position = 100;
  EXPECT_FALSE(held(other)) << "no record";
}

}  // namespace
}  // namespace pawl::git
