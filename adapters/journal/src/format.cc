#include "format.h"

#include <bit>
#include <concepts>
#include <cstring>
#include <string>
#include <string_view>

#include "crc32c.h"

namespace pawl::journal {
namespace {

constexpr std::string_view kMagic = "PAWLJRNL";

// Offsets in a record's header.
constexpr std::size_t kLengthAt = 0;
constexpr std::size_t kHeaderCrcAt = 4;
constexpr std::size_t kPayloadCrcAt = 8;
constexpr std::size_t kKindAt = 12;
constexpr std::size_t kRunAt = 16;
constexpr std::size_t kOrdinalAt = 24;
constexpr std::size_t kDurableAt = 32;

template <std::unsigned_integral T>
void put(std::byte* at, T value) noexcept {
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  std::memcpy(at, &value, sizeof value);
}

template <std::unsigned_integral T>
T get(const std::byte* at) noexcept {
  T value{};
  std::memcpy(&value, at, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}

/// Writes fields one after the other into space that has been measured before.
class Writer {
 public:
  explicit Writer(std::byte* at) noexcept : at_(at) {}
  template <std::unsigned_integral T>
  void number(T value) noexcept {
    put(at_, value);
    at_ += sizeof value;
  }
  void raw(const void* bytes, std::size_t count) noexcept {
    if (count > 0) std::memcpy(at_, bytes, count);
    at_ += count;
  }
  void text(std::string_view text) noexcept {
    number(static_cast<std::uint32_t>(text.size()));
    raw(text.data(), text.size());
  }

 private:
  std::byte* at_;
};

/// Reads fields one after the other; after the first that does not fit, everything is empty and ok() is false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) noexcept : left_(bytes) {}
  template <std::unsigned_integral T>
  T number() noexcept {
    const auto bytes = raw(sizeof(T));
    return bytes.empty() ? T{} : get<T>(bytes.data());
  }
  std::span<const std::byte> raw(std::size_t count) noexcept {
    if (count > left_.size()) {
      ok_ = false;
      left_ = {};
      return {};
    }
    const auto bytes = left_.first(count);
    left_ = left_.subspan(count);
    return bytes;
  }
  void text(std::string& out) {
    const auto bytes = raw(number<std::uint32_t>());
    out.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  [[nodiscard]] std::size_t left() const noexcept { return left_.size(); }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  /// Everything was read, and nothing is left over.
  [[nodiscard]] bool finished() const noexcept { return ok_ && left_.empty(); }

 private:
  std::span<const std::byte> left_;
  bool ok_ = true;
};

constexpr std::uint64_t text_bytes(std::string_view text) noexcept { return 4 + text.size(); }

std::uint64_t payload_bytes(const Request& request) noexcept {
  std::uint64_t sum = 8 + request.digest.size() + 4;
  for (const std::string* text :
       {&request.stream, &request.id, &request.method, &request.url, &request.content_type, &request.body})
    sum += text_bytes(*text);
  for (const auto& header : request.headers) sum += text_bytes(header);
  return sum;
}

std::uint64_t payload_bytes(const Outcome& outcome) noexcept {
  std::uint64_t sum = 4 + 4 + 4 + 8 + 8;
  for (const std::string* text :
       {&outcome.request_id, &outcome.content_type, &outcome.error_code, &outcome.error_message, &outcome.body})
    sum += text_bytes(*text);
  return sum;
}

/// Makes room for a record and fills its header but for what stamp() does; returns where the payload goes.
std::byte* begin_record(ByteBuffer& out, Kind kind, const TaskId& key, std::uint64_t payload) {
  const std::uint64_t length = kRecordHeaderBytes + payload;
  std::byte* record = out.extend(padded(length));
  std::memset(record, 0, kRecordHeaderBytes);
  put(record + kLengthAt, static_cast<std::uint32_t>(length));
  record[kKindAt] = std::byte{static_cast<std::uint8_t>(kind)};
  put(record + kRunAt, key.run);
  put(record + kOrdinalAt, key.ordinal);
  std::memset(record + length, 0, padded(length) - length);
  return record + kRecordHeaderBytes;
}

void end_record(std::byte* payload, std::uint64_t bytes) noexcept {
  put(payload - kRecordHeaderBytes + kPayloadCrcAt, crc32c(0, {payload, bytes}));
}

/// Of a record's header, its own place left out.
std::uint32_t header_crc(const std::byte* record, std::uint32_t seed) noexcept {
  const std::uint32_t crc = crc32c(seed, {record, kHeaderCrcAt});
  return crc32c(crc, {record + kPayloadCrcAt, kRecordHeaderBytes - kPayloadCrcAt});
}

}  // namespace

void encode_segment_header(const SegmentHeader& header, std::span<std::byte, kSegmentHeaderBytes> out) noexcept {
  Writer writer(out.data());
  writer.raw(kMagic.data(), kMagic.size());
  writer.number(kFormatVersion);
  writer.number(std::uint32_t{0});
  writer.number(header.number);
  writer.number(header.salt);
  writer.number(crc32c(0, out.first(32)));
  writer.number(std::uint32_t{0});
}

std::optional<DecodedSegmentHeader> decode_segment_header(
    std::span<const std::byte, kSegmentHeaderBytes> bytes) noexcept {
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return std::nullopt;
  if (get<std::uint32_t>(bytes.data() + 32) != crc32c(0, bytes.first(32))) return std::nullopt;
  return DecodedSegmentHeader{{get<std::uint64_t>(bytes.data() + 16), get<std::uint64_t>(bytes.data() + 24)},
                              get<std::uint32_t>(bytes.data() + 8)};
}

std::uint32_t seed_of(const SegmentHeader& header) noexcept {
  std::array<std::byte, 16> bytes{};
  put(bytes.data(), header.number);
  put(bytes.data() + 8, header.salt);
  return crc32c(0, bytes);
}

std::uint64_t record_bytes(const Request& request) noexcept {
  return padded(kRecordHeaderBytes + payload_bytes(request));
}

std::uint64_t record_bytes(const Outcome& outcome) noexcept {
  return padded(kRecordHeaderBytes + payload_bytes(outcome));
}

void append_task(ByteBuffer& out, const Request& request) {
  const std::uint64_t bytes = payload_bytes(request);
  std::byte* payload = begin_record(out, Kind::task, request.task_id, bytes);
  Writer writer(payload);
  writer.number(request.position);
  writer.raw(request.digest.data(), request.digest.size());
  writer.number(static_cast<std::uint32_t>(request.headers.size()));
  writer.text(request.stream);
  writer.text(request.id);
  writer.text(request.method);
  writer.text(request.url);
  writer.text(request.content_type);
  for (const auto& header : request.headers) writer.text(header);
  writer.text(request.body);
  end_record(payload, bytes);
}

void append_answer(ByteBuffer& out, const TaskId& key, const Outcome& outcome) {
  const std::uint64_t bytes = payload_bytes(outcome);
  std::byte* payload = begin_record(out, Kind::answer, key, bytes);
  Writer writer(payload);
  const auto started = std::chrono::duration_cast<std::chrono::nanoseconds>(outcome.started.time_since_epoch());
  writer.number(static_cast<std::uint32_t>(outcome.kind));
  writer.number(static_cast<std::uint32_t>(outcome.status_code));
  writer.number(outcome.attempts);
  writer.number(static_cast<std::uint64_t>(started.count()));
  writer.number(static_cast<std::uint64_t>(outcome.duration.count()));
  writer.text(outcome.request_id);
  writer.text(outcome.content_type);
  writer.text(outcome.error_code);
  writer.text(outcome.error_message);
  writer.text(outcome.body);
  end_record(payload, bytes);
}

void append_mark(ByteBuffer& out, Kind kind, const TaskId& key) { end_record(begin_record(out, kind, key, 0), 0); }

void append_seal(ByteBuffer& out) { end_record(begin_record(out, Kind::seal, {}, 0), 0); }

void stamp(std::span<std::byte> records, std::uint32_t seed, std::uint64_t durable) noexcept {
  for (std::size_t at = 0; at < records.size(); at += padded(get<std::uint32_t>(&records[at] + kLengthAt))) {
    std::byte* record = &records[at];
    put(record + kDurableAt, durable);
    put(record + kHeaderCrcAt, header_crc(record, seed));
  }
}

std::optional<RecordHeader> decode_record_header(std::span<const std::byte, kRecordHeaderBytes> bytes,
                                                 std::uint32_t seed) noexcept {
  const std::byte* at = bytes.data();
  RecordHeader header;
  header.length = get<std::uint32_t>(at + kLengthAt);
  if (header.length < kRecordHeaderBytes) return std::nullopt;
  if (get<std::uint32_t>(at + kHeaderCrcAt) != header_crc(at, seed)) return std::nullopt;
  header.payload_crc = get<std::uint32_t>(at + kPayloadCrcAt);
  header.kind = static_cast<Kind>(std::to_integer<std::uint8_t>(at[kKindAt]));
  header.key = {get<std::uint64_t>(at + kRunAt), get<std::uint64_t>(at + kOrdinalAt)};
  header.durable = get<std::uint64_t>(at + kDurableAt);
  return header;
}

std::uint32_t record_length(std::span<const std::byte, 4> bytes) noexcept { return get<std::uint32_t>(bytes.data()); }

bool decode_request(std::span<const std::byte> payload, Request& request) {
  Reader reader(payload);
  request.position = reader.number<std::uint64_t>();
  const auto digest = reader.raw(request.digest.size());
  if (!reader.ok()) return false;
  std::memcpy(request.digest.data(), digest.data(), digest.size());
  const auto headers = reader.number<std::uint32_t>();
  reader.text(request.stream);
  reader.text(request.id);
  reader.text(request.method);
  reader.text(request.url);
  reader.text(request.content_type);
  // Each header takes at least its length field: a count that cannot be true must not make us allocate.
  if (!reader.ok() || headers > reader.left() / 4) return false;
  request.headers.resize(headers);
  for (auto& header : request.headers) reader.text(header);
  reader.text(request.body);
  return reader.finished();
}

bool decode_outcome(std::span<const std::byte> payload, Outcome& outcome) {
  Reader reader(payload);
  const auto kind = reader.number<std::uint32_t>();
  if (kind != static_cast<std::uint32_t>(Outcome::Kind::answered) &&
      kind != static_cast<std::uint32_t>(Outcome::Kind::failed))
    return false;
  outcome.kind = static_cast<Outcome::Kind>(kind);
  outcome.status_code = static_cast<int>(reader.number<std::uint32_t>());
  outcome.attempts = reader.number<std::uint32_t>();
  const std::chrono::nanoseconds started(static_cast<std::int64_t>(reader.number<std::uint64_t>()));
  outcome.started =
      std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(started));
  outcome.duration = std::chrono::milliseconds(static_cast<std::int64_t>(reader.number<std::uint64_t>()));
  reader.text(outcome.request_id);
  reader.text(outcome.content_type);
  reader.text(outcome.error_code);
  reader.text(outcome.error_message);
  reader.text(outcome.body);
  return reader.finished();
}

}  // namespace pawl::journal
