#include <zlib.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/git.h>

#include "blob_encoder.h"
#include "delta.h"
#include "encoded.h"
#include "object_id.h"
#include "pack_entry.h"
#include "process.h"
#include "random_bytes.h"
#include "record.h"
#include "subject.h"
#include "temp_dir.h"

namespace pawl::git {
namespace {

struct Unpacked {
  int type = 0;
  std::string content;
};

// Reads a pack entry as gitformat-pack(5) describes it, with zlib itself.
Unpacked unpack(const std::string& entry) {
  Unpacked unpacked;
  std::size_t at = 0;
  auto byte = static_cast<std::uint8_t>(entry.at(at++));
  unpacked.type = (byte >> 4) & 7;
  std::uint64_t size = byte & 15;
  for (int shift = 4; (byte & 0x80) != 0; shift += 7) {
    byte = static_cast<std::uint8_t>(entry.at(at++));
    size |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
  }
  unpacked.content.resize(size + 1);
  uLongf inflated = unpacked.content.size();
  uLong taken = entry.size() - at;
  EXPECT_EQ(::uncompress2(reinterpret_cast<Bytef*>(unpacked.content.data()), &inflated,
                          reinterpret_cast<const Bytef*>(entry.data() + at), &taken),
            Z_OK);
  EXPECT_EQ(inflated, size);
  EXPECT_EQ(taken, entry.size() - at) << "bytes after the stream";
  unpacked.content.resize(size);
  return unpacked;
}

std::uint32_t zlib_crc32(const std::string& bytes) {
  return static_cast<std::uint32_t>(
      ::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

std::string git_hash_of(const std::string& content) {
  const test::TempDir dir;
  test::write_file(dir / "blob", content);
  std::string hex = test::git(dir.path(), {"hash-object", "--no-filters", "blob"});
  while (!hex.empty() && hex.back() == '\n') hex.pop_back();
  return hex;
}

void fill(Task& task, const std::string& body) {
  task.request.task_id = {7, 1};
  task.request.stream = "batch";
  task.request.id = "request-1";
  task.request.method = "GET";
  task.request.url = "https://example.org/data/";
  task.outcome.kind = Outcome::Kind::answered;
  task.outcome.status_code = 200;
  task.outcome.attempts = 1;
  task.outcome.duration = std::chrono::milliseconds(1236);
  task.outcome.body = body;
}

const Encoded& encoded_of(const Task& task) { return dynamic_cast<const Encoded&>(*task.encoded); }

std::unique_ptr<Encoder> encoder(Layout layout, const std::string& path_template = "{host}{path}") {
  CommitOptions options;
  options.layout = layout;
  options.path_template = path_template;
  auto made = make_encoder(options);
  EXPECT_TRUE(made.has_value());
  return std::move(*made);
}

void expect_consistent(const Encoded& encoded) {
  Encoded whole;  // as the committer has it if the base of a delta is not there
  whole.content = encoded.content;
  whole.pack_entry = encoded.pack_entry;
  whole.crc32 = encoded.crc32;
  if (encoded.delta_size != 0) encode_whole(whole);
  const Unpacked unpacked = unpack(whole.pack_entry);
  ASSERT_EQ(unpacked.type, 3);
  ASSERT_EQ(unpacked.content, encoded.content);
  ASSERT_EQ(whole.crc32, zlib_crc32(whole.pack_entry));
  ASSERT_EQ(encoded.blob_id, hash_object(ObjectType::blob, encoded.content));
}

TEST(HashObject, AgreesWithGit) {
  for (const std::string& content : {std::string(), std::string("hello\n"), std::string(100'000, '\0')}) {
    EXPECT_EQ(to_hex(hash_object(ObjectType::blob, content)), git_hash_of(content));
    EXPECT_EQ(to_hex(*hash_blob(content)), git_hash_of(content));
  }
  EXPECT_EQ(to_hex(hash_object(ObjectType::tree, "")), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

TEST(ObjectIdText, IsReadBackAndNothingElseIs) {
  const ObjectId id = hash_object(ObjectType::blob, "x");
  EXPECT_EQ(from_hex(to_hex(id)), id);
  EXPECT_EQ(from_hex("4B825DC642CB6EB9A060E54BF8D69288FBEE4904"), hash_object(ObjectType::tree, ""));
  for (const char* wrong :
       {"", "4b825dc6", "4b825dc642cb6eb9a060e54bf8d69288fbee490g", "4b825dc642cb6eb9a060e54bf8d69288fbee490455"}) {
    ASSERT_FALSE(from_hex(wrong).has_value()) << wrong;
    EXPECT_EQ(from_hex(wrong).error().code, ErrorCode::repository);
  }
}

TEST(PackEntry, IsReadBackByZlibForAnyTypeAndSize) {
  test::Random random;
  for (const std::size_t size : {0, 1, 15, 16, 2047, 2048, 100'000, 3'000'000}) {
    std::string content;
    while (content.size() < size) content += random.bytes(64) + "common text that shrinks";
    content.resize(size);
    for (const ObjectType type : {ObjectType::commit, ObjectType::tree, ObjectType::blob, ObjectType::tag}) {
      std::string out = "before";
      append_pack_entry(out, type, content);
      ASSERT_TRUE(out.starts_with("before"));
      const Unpacked unpacked = unpack(out.substr(6));
      EXPECT_EQ(unpacked.type, static_cast<int>(type));
      EXPECT_EQ(unpacked.content, content);
    }
  }
}

// Codes are kept from content to content, so what came before must not matter: neither to what is read back, nor, if it
// was quite different, so much to the size that the content would better have been stored.
TEST(PackEntry, IsReadBackWhateverCameBefore) {
  test::Random random;
  std::string words;
  for (int i = 0; i < 2'000; ++i) {
    switch (random.below(i < 1'000 ? 8 : 3)) {  // in the second half the like are together
      case 0: words = random.bytes(3'000); break;
      case 1: words.assign(random.below(2'100), static_cast<char>(random.below(256))); break;
      default:
        words.clear();
        while (words.size() < 700) words += "the answer of model " + std::to_string(random.below(1'000'000)) + " is ";
    }
    std::string out = i % 2 == 0 ? "" : "before";
    const std::size_t before = out.size();
    append_pack_entry(out, i % 3 == 0 ? ObjectType::commit : ObjectType::blob, words);
    ASSERT_EQ(unpack(out.substr(before)).content, words);
    ASSERT_LE(out.size() - before, words.size() + 20);
  }
}

TEST(PackEntry, IsSmallWhereMuchIsAlike) {
  std::size_t bytes = 0;
  std::size_t packed = 0;
  for (int i = 0; i < 1'000; ++i) {
    std::string content;
    while (content.size() < 700) content += R"({"role":"user","number":)" + std::to_string(i * 7919 % 100'003) + "},";
    std::string out;
    append_pack_entry(out, ObjectType::blob, content);
    bytes += content.size();
    packed += out.size();
  }
  EXPECT_LT(packed, bytes / 5);
}

// As a pack would have them: each is whole, or a delta of a whole one before it.
TEST(BlobEncoder, TellsWhatIsAlikeByOneThatStandsWhole) {
  test::Random random;
  BlobEncoder blob_encoder;
  std::map<ObjectId, std::string> whole;
  std::size_t deltas = 0;
  const auto encode = [&](std::string content) {
    Encoded encoded;
    encoded.content = std::move(content);
    encoded.blob_id = hash_object(ObjectType::blob, encoded.content);
    blob_encoder.encode(encoded);
    if (encoded.delta_size == 0) {
      expect_consistent(encoded);
      whole[encoded.blob_id] = encoded.content;
      return true;
    }
    ++deltas;
    std::string delta(encoded.delta_size, '\0');
    uLongf size = delta.size();
    EXPECT_EQ(::uncompress(reinterpret_cast<Bytef*>(delta.data()), &size,
                           reinterpret_cast<const Bytef*>(encoded.delta.data()), encoded.delta.size()),
              Z_OK);
    EXPECT_EQ(size, delta.size());
    std::string made;
    EXPECT_TRUE(whole.contains(encoded.base));
    EXPECT_TRUE(apply_delta(made, whole[encoded.base], delta, 1 << 20));
    EXPECT_EQ(made, encoded.content);
    return false;
  };
  const std::string head = R"({"url": "https://api.example.org/v1/chat/completions", "method": "POST", "body": )";
  for (int i = 0; i < 1000; ++i) {
    encode(head + std::to_string(i) + ",\n" + head + random.bytes(20) + "\n" + head + "\n");
  }
  EXPECT_GT(deltas, 990u);
  EXPECT_LT(deltas, 1000u) << "a base is not for ever";
  EXPECT_TRUE(encode(random.bytes(500))) << "not alike";
  EXPECT_TRUE(encode(std::string(50'000, 'x')));
  EXPECT_TRUE(encode(std::string(50'000, 'x') + 'y')) << "so large that it does not pay";
  EXPECT_TRUE(encode("")) << "empty";
}

TEST(Delta, IsNotAppliedIfItIsNone) {
  std::string out;
  const std::string base = "0123456789";
  std::string good;
  append_delta_size(good, base.size());
  append_delta_size(good, 7);
  append_copy(good, 3, 4);
  append_insert(good, "abc");
  ASSERT_TRUE(apply_delta(out, base, good, 7));
  EXPECT_EQ(out, "3456abc");
  EXPECT_FALSE(apply_delta(out, base, good, 6)) << "too large";
  EXPECT_FALSE(apply_delta(out, base + "x", good, 7)) << "of another base";
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(apply_delta(out, base, good.substr(0, size), 7)) << size;
  }
  EXPECT_FALSE(apply_delta(out, base, good + "\1a", 7)) << "more than its size";
  std::string beyond;
  append_delta_size(beyond, base.size());
  append_delta_size(beyond, 4);
  append_copy(beyond, 8, 4);
  EXPECT_FALSE(apply_delta(out, base, beyond, 7)) << "beyond the base";
}

TEST(RecordEncoder, MakesARecordReadyForThePack) {
  const auto record_encoder = encoder(Layout::record);
  Task task;
  fill(task, R"({"answer": 42})");
  task.request.position = 12'345;
  record_encoder->encode(task);
  ASSERT_EQ(task.fate, Fate::live);
  const Encoded& encoded = encoded_of(task);
  EXPECT_EQ(encoded.path, "batch/01/23/request-1.json");
  EXPECT_EQ(encoded.subject, "batch request-1: 200 in 1.24 s");
  std::string record;
  render_record(task.request, task.outcome, record);
  EXPECT_EQ(encoded.content, record);
  EXPECT_EQ(to_hex(encoded.blob_id), git_hash_of(record));
  expect_consistent(encoded);
}

TEST(RawEncoder, PutsJsonIntoOneSpellingIfAskedTo) {
  CommitOptions options;
  options.layout = Layout::raw;
  options.normalise = CommitOptions::Normalise::json;
  const auto made = make_encoder(options);
  ASSERT_TRUE(made.has_value());
  Task first;
  fill(first, R"({"b":1,"a":[2, 3.0]})");
  (*made)->encode(first);
  EXPECT_EQ(encoded_of(first).content, "{\n  \"a\": [\n    2,\n    3.0\n  ],\n  \"b\": 1\n}\n");
  expect_consistent(encoded_of(first));
  Task second;
  fill(second, R"({ "a":[2,3.0], "b":1 })");
  (*made)->encode(second);
  EXPECT_EQ(encoded_of(second).blob_id, encoded_of(first).blob_id);
  fill(second, "<p>{}</p>");
  (*made)->encode(second);
  EXPECT_EQ(encoded_of(second).content, "<p>{}</p>") << "what is no JSON stays as it is";
}

TEST(RecordEncoder, UsesASlotAgainWithoutLeavingsOfTheTaskBefore) {
  const auto record_encoder = encoder(Layout::record);
  test::Random random;
  Task task;
  const Attachment* first = nullptr;
  for (int i = 0; i < 300; ++i) {
    fill(task, random.one_in(50) ? std::string(1'000'000, 'x') : random.bytes(300));
    task.request.id = "i" + random.bytes(10);
    record_encoder->encode(task);
    if (first == nullptr) first = task.encoded.get();
    ASSERT_EQ(task.encoded.get(), first);
    std::string record;
    render_record(task.request, task.outcome, record);
    ASSERT_EQ(encoded_of(task).content, record);
    expect_consistent(encoded_of(task));
  }
}

TEST(RecordEncoder, GivesUpATaskWithoutAnOutcome) {
  for (const Layout layout : {Layout::record, Layout::raw}) {
    Task task;
    fill(task, "");
    task.outcome.kind = Outcome::Kind::none;
    encoder(layout)->encode(task);
    EXPECT_EQ(task.fate, Fate::unfinished);
    EXPECT_EQ(encoded_of(task).path, "");
  }
}

TEST(RecordEncoder, WorksOnManyThreadsAtOnce) {
  const auto record_encoder = encoder(Layout::record);
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Task task;
      for (int i = 0; i < 500; ++i) {
        fill(task, "{\"n\": " + std::to_string(t * 1000 + i) + "}");
        record_encoder->encode(task);
        expect_consistent(encoded_of(task));
      }
    });
  }
}

TEST(RawEncoder, WritesTheBodyAsItCame) {
  const auto raw_encoder = encoder(Layout::raw);
  Task task;
  const std::string body = std::string("\x89PNG\r\n\0", 7) + "rest";
  fill(task, body);
  raw_encoder->encode(task);
  EXPECT_EQ(encoded_of(task).path, "example.org/data/index");
  EXPECT_EQ(encoded_of(task).content, body);
  expect_consistent(encoded_of(task));
}

TEST(RawEncoder, WritesNothingForWhatIsNotA2xxAnswer) {
  const auto raw_encoder = encoder(Layout::raw);
  Task task;
  fill(task, "good");
  raw_encoder->encode(task);
  ASSERT_NE(encoded_of(task).path, "");
  task.outcome.status_code = 404;
  raw_encoder->encode(task);
  EXPECT_EQ(encoded_of(task).path, "");
  EXPECT_EQ(encoded_of(task).pack_entry, "");
  EXPECT_EQ(encoded_of(task).subject, "batch request-1: 404 in 1.24 s");
  fill(task, "partial");
  task.outcome.kind = Outcome::Kind::failed;
  raw_encoder->encode(task);
  EXPECT_EQ(encoded_of(task).path, "");
  EXPECT_EQ(task.fate, Fate::live);
}

TEST(MakeEncoder, RefusesABadTemplate) {
  CommitOptions options;
  options.layout = Layout::raw;
  options.path_template = "{hots}";
  const auto made = make_encoder(options);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, ErrorCode::usage);
  EXPECT_NE(made.error().context.find("{hots}"), std::string::npos);
}

std::string subject_of(const Task& task) {
  std::string subject;
  write_subject(task, subject);
  return subject;
}

TEST(Subject, TellsTheResult) {
  Task task;
  fill(task, "");
  task.outcome.duration = std::chrono::milliseconds(4);
  EXPECT_EQ(subject_of(task), "batch request-1: 200 in 0.00 s");
  task.outcome.duration = std::chrono::milliseconds(61'995);
  EXPECT_EQ(subject_of(task), "batch request-1: 200 in 62.00 s");
  task.outcome.kind = Outcome::Kind::failed;
  task.outcome.error_code = "connect_failed";
  EXPECT_EQ(subject_of(task), "batch request-1: connect_failed after 1 attempt");
  task.outcome.attempts = 5;
  EXPECT_EQ(subject_of(task), "batch request-1: connect_failed after 5 attempts");
}

TEST(Subject, KeepsToOneLineOfText) {
  Task task;
  fill(task, "");
  task.request.stream = "a\nb\x7f";
  task.request.id = "\xff\xc3\xa4\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xe2\x82\xac";
  EXPECT_EQ(subject_of(task), "a?b? ?\xc3\xa4????\xe2\x82\xac: 200 in 1.24 s");
}

TEST(Subject, CutsLongNamesBetweenCharacters) {
  Task task;
  fill(task, "");
  task.request.stream = std::string(500, 's');
  task.request.id.clear();
  for (int i = 0; i < 500; ++i) task.request.id += "\xf0\x9f\x98\x80";
  const std::string subject = subject_of(task);
  EXPECT_TRUE(subject.starts_with(std::string(23, 's') + "… \xf0\x9f\x98\x80"));
  EXPECT_TRUE(subject.ends_with("\xf0\x9f\x98\x80…: 200 in 1.24 s"));
}

TEST(Subject, IsAlwaysShortTextWhateverTheNames) {
  test::Random random;
  for (int i = 0; i < 20'000; ++i) {
    Task task;
    fill(task, "");
    task.request.stream = random.bytes(120);
    task.request.id = random.bytes(200);
    if (random.one_in(2)) {
      task.outcome.kind = Outcome::Kind::failed;
      task.outcome.error_code = random.bytes(60);
      task.outcome.attempts = 1'234'567;
    }
    const std::string subject = subject_of(task);
    std::size_t columns = 0;
    for (const char c : subject) {
      columns += (static_cast<std::uint8_t>(c) & 0xc0) != 0x80;
      ASSERT_GE(static_cast<std::uint8_t>(c), 0x20);
    }
    ASSERT_LE(columns, kSubjectColumns) << subject;
  }
}

}  // namespace
}  // namespace pawl::git
