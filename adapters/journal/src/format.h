// The bytes of a segment: headers, records and their payloads. format.md says what they mean; nothing here touches
// files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <pawl/task.h>

#include "byte_buffer.h"

namespace pawl::journal {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSegmentHeaderBytes = 40;
inline constexpr std::size_t kRecordHeaderBytes = 40;
inline constexpr std::size_t kRecordAlignment = 8;
/// Zero bytes that follow the last record written, so that old bytes of a recycled segment are not mistaken for a
/// damaged record. The next record overwrites them.
inline constexpr std::size_t kTerminatorBytes = 8;

enum class Kind : std::uint8_t {
  task = 1,     // a request, accepted once durable
  sent = 2,     // from here on the task's call may be on its way
  answer = 3,   // an outcome
  seal = 4,     // nothing follows in this segment
  settled = 5,  // the call is not on its way any more, and there is no outcome
};

struct SegmentHeader {
  std::uint64_t number = 0;  // as in the file's name
  std::uint64_t salt = 0;    // random: tells this segment's records from older bytes and from bytes of others
};

struct RecordHeader {
  std::uint32_t length = 0;  // header and payload, without padding
  std::uint32_t payload_crc = 0;
  Kind kind = Kind::task;  // may be one this version does not know
  TaskId key;
  std::uint64_t durable = 0;  // everything in the segment before this offset had been synced when this was written
};

/// Where the next record begins after one of `length` bytes.
[[nodiscard]] constexpr std::uint64_t padded(std::uint64_t length) noexcept {
  return (length + (kRecordAlignment - 1)) & ~std::uint64_t{kRecordAlignment - 1};
}

void encode_segment_header(const SegmentHeader& header, std::span<std::byte, kSegmentHeaderBytes> out) noexcept;

struct DecodedSegmentHeader {
  SegmentHeader header;
  std::uint32_t version = 0;
};
/// Nothing if magic or CRC are wrong. A version other than kFormatVersion is for the caller to refuse.
[[nodiscard]] std::optional<DecodedSegmentHeader> decode_segment_header(
    std::span<const std::byte, kSegmentHeaderBytes> bytes) noexcept;

/// What every record CRC of a segment starts from.
[[nodiscard]] std::uint32_t seed_of(const SegmentHeader& header) noexcept;

/// Bytes a record takes in a segment, padding included.
[[nodiscard]] std::uint64_t record_bytes(const Request& request) noexcept;
[[nodiscard]] std::uint64_t record_bytes(const Outcome& outcome) noexcept;
inline constexpr std::uint64_t kMarkBytes = padded(kRecordHeaderBytes);  // of a record without payload

/// Append a padded record that is whole but for stamp(). REQUIRES: record_bytes() < 4 GiB.
void append_task(ByteBuffer& out, const Request& request);
void append_answer(ByteBuffer& out, const TaskId& key, const Outcome& outcome);
/// `kind`: sent or settled.
void append_mark(ByteBuffer& out, Kind kind, const TaskId& key);
void append_seal(ByteBuffer& out);

/// Completes every record in `records` (whole, padded records) with what is only known once their place is.
void stamp(std::span<std::byte> records, std::uint32_t seed, std::uint64_t durable) noexcept;

/// Nothing if the header's CRC is wrong or the length impossible.
[[nodiscard]] std::optional<RecordHeader> decode_record_header(std::span<const std::byte, kRecordHeaderBytes> bytes,
                                                               std::uint32_t seed) noexcept;

/// The record's length field alone; 0 ends a segment.
[[nodiscard]] std::uint32_t record_length(std::span<const std::byte, 4> bytes) noexcept;

/// Fill all fields but the task_id. False if the payload is not one; what is filled is then unspecified.
[[nodiscard]] bool decode_request(std::span<const std::byte> payload, Request& request);
[[nodiscard]] bool decode_outcome(std::span<const std::byte> payload, Outcome& outcome);

}  // namespace pawl::journal
