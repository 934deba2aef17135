// SegmentReader: walks the records of one segment file and says where and how they end. Reads only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "byte_buffer.h"
#include "file.h"
#include "format.h"

namespace pawl::journal {

enum class Found : std::uint8_t {
  record,  // a whole record
  seal,    // the segment is finished; nothing is missing
  end,     // zeros or the end of the file: nothing was written here
  bad,     // something else: a torn write, old bytes, or damage
};

struct RecordView {
  RecordHeader header;
  std::uint64_t offset = 0;
  std::span<const std::byte> borrowed_payload;  // until the reader's next call
};

class SegmentReader {
 public:
  /// Errors: io; journal (its header is damaged or belongs to another segment); unsupported (a newer format).
  [[nodiscard]] static Result<SegmentReader> open(const SegmentName& name);

  /// Reads the record at offset() and goes behind it if it is whole (`record`, `seal`), else stays. Errors: io.
  [[nodiscard]] Result<Found> next(RecordView& view);

  /// Goes to a record's offset.
  void seek(std::uint64_t offset) noexcept { offset_ = offset; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

  /// Looks behind a place where no whole record is for one that was written when that place had been durable. If there
  /// is one, the place is damaged; if there is none, its write was never finished. Errors: io.
  [[nodiscard]] Result<bool> was_durable(std::uint64_t place);

  /// For reading on behind damage. The header of the record at `place`, if it is whole. Errors: io.
  [[nodiscard]] Result<std::optional<RecordHeader>> header_at(std::uint64_t place);
  /// The first place behind `place` where a whole record lies; seek() there. Errors: io.
  [[nodiscard]] Result<std::optional<std::uint64_t>> next_whole(std::uint64_t place);

  /// Bytes from `place` to the last one that is not zero. Errors: io.
  [[nodiscard]] Result<std::uint64_t> bytes_behind(std::uint64_t place);

  [[nodiscard]] const SegmentHeader& header() const noexcept { return header_; }
  /// The error that says that this segment is damaged at `place`.
  [[nodiscard]] Error damage(std::uint64_t place, std::string_view what) const;

 private:
  /// Makes bytes from `offset` on available, `count` if the file has them. Errors: io.
  [[nodiscard]] Result<std::span<const std::byte>> view(std::uint64_t offset, std::size_t count);

  File file_;
  SegmentHeader header_;
  std::uint32_t seed_ = 0;
  std::uint64_t size_ = 0;  // of the file when it was opened
  std::uint64_t offset_ = kSegmentHeaderBytes;
  ByteBuffer window_;  // of the file, from window_at_ on
  std::uint64_t window_at_ = 0;
};

}  // namespace pawl::journal
