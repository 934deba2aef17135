// The bytes themselves: CRC, records, and the worked example in format.md.
#include <sstream>
#include <thread>

#include "crc32c.h"
#include "format.h"
#include "journal_fixture.h"

namespace pawl::journal {
namespace {

std::vector<std::byte> as_bytes(std::string_view text) {
  std::vector<std::byte> bytes;
  for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}

struct CrcVector {
  std::string bytes;
  std::uint32_t crc;
};

// RFC 3720 appendix B.4 (given there as bytes on the wire, least significant first), and the usual check value.
std::vector<CrcVector> crc_vectors() {
  std::string up;
  std::string down;
  for (int i = 0; i < 32; ++i) {
    up.push_back(static_cast<char>(i));
    down.push_back(static_cast<char>(31 - i));
  }
  const unsigned char read_command[] = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                                        0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                                        0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
  return {{std::string(32, '\0'), 0x8a9136aa},
          {std::string(32, '\xff'), 0x62a8ab43},
          {up, 0x46dd794e},
          {down, 0x113fdb5c},
          {std::string(reinterpret_cast<const char*>(read_command), sizeof read_command), 0xd9963a56},
          {"123456789", 0xe3069283},
          {"", 0}};
}

TEST(Crc32c, EveryWayGivesThePublishedValues) {
  for (const auto& [text, crc] : crc_vectors()) {
    const auto bytes = as_bytes(text);
    EXPECT_EQ(crc32c(0, bytes), crc);
    EXPECT_EQ(crc32c_by_table(0, bytes), crc);
    if (crc32c_has_instruction()) {
      EXPECT_EQ(crc32c_by_instruction(0, bytes), crc);
    }
  }
}

TEST(Crc32c, InstructionAndTableAgreeAlsoInPieces) {
  if (!crc32c_has_instruction()) GTEST_SKIP() << "this processor has no CRC-32C instruction";
  test::Randomly random(test::make_seed());
  for (int round = 0; round < 500; ++round) {
    const auto bytes = as_bytes(random.bytes(600));
    const auto before = static_cast<std::uint32_t>(random.word());
    const std::size_t cut = random.below(bytes.size() + 1);
    const std::span all(bytes);
    EXPECT_EQ(crc32c_by_instruction(before, all), crc32c_by_table(before, all));
    EXPECT_EQ(crc32c(crc32c(before, all.first(cut)), all.subspan(cut)), crc32c(before, all));
  }
}

TEST(JournalFormat, RequestsAndOutcomesComeBackAsTheyWere) {
  test::Randomly random(test::make_seed());
  Request request;
  Outcome outcome;  // used again and again, as recovery does
  for (int round = 0; round < 500; ++round) {
    const Request asked = random.request({random.word(), random.word()});
    const Outcome came = random.outcome();
    ByteBuffer buffer;
    append_task(buffer, asked);
    ASSERT_EQ(buffer.size(), record_bytes(asked));
    append_answer(buffer, asked.task_id, came);
    ASSERT_EQ(buffer.size(), record_bytes(asked) + record_bytes(came));
    stamp(buffer.bytes(), 99, 12345);
    const auto all = std::as_const(buffer).bytes();
    const auto first = decode_record_header(all.first<kRecordHeaderBytes>(), 99);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->kind, Kind::task);
    EXPECT_EQ(first->durable, 12345u);
    ASSERT_TRUE(decode_request(all.subspan(kRecordHeaderBytes, first->length - kRecordHeaderBytes), request));
    request.task_id = first->key;
    test::expect_same(request, asked);
    const auto rest = all.subspan(padded(first->length));
    const auto second = decode_record_header(rest.first<kRecordHeaderBytes>(), 99);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->kind, Kind::answer);
    EXPECT_EQ(second->key, asked.task_id);
    ASSERT_TRUE(decode_outcome(rest.subspan(kRecordHeaderBytes, second->length - kRecordHeaderBytes), outcome));
    test::expect_same(outcome, came);
  }
}

TEST(JournalFormat, RecordsOfAnotherSegmentAreNotTaken) {
  ByteBuffer buffer;
  append_task(buffer, test::plain_request(1));
  stamp(buffer.bytes(), seed_of({1, 5}), 40);
  const auto head = std::as_const(buffer).bytes().first<kRecordHeaderBytes>();
  EXPECT_TRUE(decode_record_header(head, seed_of({1, 5})));
  EXPECT_FALSE(decode_record_header(head, seed_of({2, 5})));
  EXPECT_FALSE(decode_record_header(head, seed_of({1, 6})));
}

TEST(JournalFormat, CorruptPayloadsAreRefusedOrReadWithinBounds) {
  // Their CRC would have caught it; decoding must be safe all the same (the sanitizers watch).
  test::Randomly random(test::make_seed());
  Request request;
  Outcome outcome;
  std::uint64_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    ByteBuffer buffer;
    if (round % 2 == 0) {
      append_task(buffer, test::plain_request(1, 30));
    } else {
      append_answer(buffer, {1, 1}, test::plain_outcome(30));
    }
    std::vector<std::byte> payload(buffer.bytes().begin() + kRecordHeaderBytes, buffer.bytes().end());
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      payload[random.below(payload.size())] = static_cast<std::byte>(random.below(256));
    payload.resize(random.below(payload.size() + 1));
    const bool taken = round % 2 == 0 ? decode_request(payload, request) : decode_outcome(payload, outcome);
    if (!taken) ++refused;
  }
  EXPECT_GT(refused, 15'000u);
}

// The blocks marked ```segment in format.md: lines "offset: hex bytes | what they are".
std::string example_from_format_md() {
  std::ifstream in(PAWL_JOURNAL_FORMAT_MD);
  std::string bytes;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      inside = line == "```segment";
      continue;
    }
    if (!inside) continue;
    const std::size_t colon = line.find(':');
    EXPECT_EQ(std::stoul(line.substr(0, colon), nullptr, 16), bytes.size()) << line;
    std::istringstream hex(line.substr(colon + 1, line.find('|') - colon - 1));
    for (std::string byte; hex >> byte;) bytes.push_back(static_cast<char>(std::stoi(byte, nullptr, 16)));
  }
  return bytes;
}

Recovered example() {
  Recovered recovered;
  Request& request = recovered.request;
  request.task_id = {1'700'000'000'000'000, 1};
  request.stream = "s";
  request.id = "a";
  request.position = 2;
  request.method = "POST";
  request.url = "http://h/";
  request.content_type = "text/plain";
  request.headers = {"X: y"};
  request.body = "hi";
  for (std::uint8_t i = 0; i < 16; ++i) request.digest[i] = i;
  Outcome& outcome = recovered.outcome;
  outcome.kind = Outcome::Kind::answered;
  outcome.status_code = 200;
  outcome.attempts = 1;
  outcome.started = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'001));
  outcome.duration = std::chrono::milliseconds(250);
  outcome.request_id = "r1";
  outcome.content_type = "text/plain";
  outcome.body = "ok";
  return recovered;
}

std::string to_hex(std::string_view bytes) {
  std::ostringstream out;
  out << std::hex;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i % 8 == 0) out << "\n" << i << ":";
    out << " " << (bytes[i] & 0xf0 ? "" : "0") << (static_cast<unsigned>(bytes[i]) & 0xff);
  }
  return out.str();
}

TEST(JournalFormat, TheWorkedExampleIsWhatIsWritten) {
  const SegmentHeader header{7, 0x0123456789abcdef};
  ByteBuffer buffer;
  encode_segment_header(
      header, std::span<std::byte, kSegmentHeaderBytes>(buffer.extend(kSegmentHeaderBytes), kSegmentHeaderBytes));
  append_task(buffer, example().request);
  append_mark(buffer, Kind::sent, example().request.task_id);
  stamp(buffer.bytes().subspan(kSegmentHeaderBytes), seed_of(header), kSegmentHeaderBytes);
  const std::size_t durable = buffer.size();
  append_mark(buffer, Kind::settled, example().request.task_id);
  append_mark(buffer, Kind::sent, example().request.task_id);
  append_answer(buffer, example().request.task_id, example().outcome);
  append_seal(buffer);
  stamp(buffer.bytes().subspan(durable), seed_of(header), durable);
  const std::string written(reinterpret_cast<const char*>(buffer.data()), buffer.size());
  EXPECT_EQ(example_from_format_md(), written) << "what is written:" << to_hex(written);
}

TEST(JournalFormat, TheWorkedExampleReadsBack) {
  const test::TempDir dir;
  test::write_file(dir / "00000007.journal", example_from_format_md());
  const auto journal = test::open_journal({.folder = dir.path()});
  ASSERT_TRUE(journal);
  const auto left = test::read_all(*journal);
  ASSERT_EQ(left.size(), 1u);
  test::expect_same(left[0].request, example().request);
  test::expect_same(left[0].outcome, example().outcome);
  EXPECT_EQ(left[0].save_mark, 7u);
  EXPECT_EQ(left[0].answer_mark, 7u);
  EXPECT_FALSE(left[0].in_doubt) << "it has an answer";
}

}  // namespace
}  // namespace pawl::journal
