#include "segment_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <string>

#include "crc32c.h"

namespace pawl::journal {
namespace {

constexpr std::size_t kWindowBytes = 256 * 1024;
constexpr std::size_t kWindowBytesKept = 4 * 1024 * 1024;

}  // namespace

Result<SegmentReader> SegmentReader::open(const SegmentName& name) {
  SegmentReader reader;
  auto file = File::open(name.path, O_RDONLY);
  if (!file) return std::unexpected(std::move(file.error()));
  reader.file_ = std::move(*file);
  auto size = reader.file_.size();
  if (!size) return std::unexpected(std::move(size.error()));
  reader.size_ = *size;
  std::array<std::byte, kSegmentHeaderBytes> bytes{};
  if (auto got = reader.file_.read_at(0, bytes); !got) return std::unexpected(std::move(got.error()));
  const auto decoded = decode_segment_header(bytes);
  if (!decoded) return std::unexpected(reader.damage(0, "the segment's header is not one of pawl's or is damaged"));
  if (decoded->version != kFormatVersion)
    return failure(ErrorCode::unsupported, "journal segment " + name.path.string() + " has format " +
                                               std::to_string(decoded->version) + ", this pawl reads format " +
                                               std::to_string(kFormatVersion));
  reader.header_ = decoded->header;
  reader.seed_ = seed_of(decoded->header);
  if (decoded->header.number != name.number)
    return std::unexpected(reader.damage(0, "the header says number " + std::to_string(decoded->header.number)));
  return reader;
}

Result<std::span<const std::byte>> SegmentReader::view(std::uint64_t offset, std::size_t count) {
  if (offset >= size_) return std::span<const std::byte>{};
  count = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - offset));
  if (offset < window_at_ || offset + count > window_at_ + window_.size()) {
    window_.recycle(kWindowBytesKept);
    window_at_ = offset;
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(std::max(count, kWindowBytes), size_ - offset));
    std::byte* at = window_.extend(want);
    auto got = file_.read_at(offset, {at, want});
    if (!got) return std::unexpected(std::move(got.error()));
    window_.shrink(*got);
  }
  const auto from = static_cast<std::size_t>(offset - window_at_);
  const auto all = std::as_const(window_).bytes();
  if (from >= all.size()) return std::span<const std::byte>{};  // the file has become shorter
  return all.subspan(from, std::min(count, all.size() - from));
}

Result<Found> SegmentReader::next(RecordView& out) {
  auto head = view(offset_, kRecordHeaderBytes);
  if (!head) return std::unexpected(std::move(head.error()));
  if (head->size() < kTerminatorBytes)
    return std::ranges::all_of(*head, [](std::byte byte) { return byte == std::byte{0}; }) ? Found::end : Found::bad;
  if (record_length(head->first<4>()) == 0) return Found::end;
  if (head->size() < kRecordHeaderBytes) return Found::bad;
  const auto header = decode_record_header(head->first<kRecordHeaderBytes>(), seed_);
  if (!header || offset_ + header->length > size_) return Found::bad;
  auto whole = view(offset_, header->length);
  if (!whole) return std::unexpected(std::move(whole.error()));
  if (whole->size() < header->length) return Found::bad;
  const auto payload = whole->subspan(kRecordHeaderBytes);
  if (crc32c(0, payload) != header->payload_crc) return Found::bad;
  out = {*header, offset_, payload};
  offset_ += padded(header->length);
  return header->kind == Kind::seal ? Found::seal : Found::record;
}

Result<bool> SegmentReader::was_durable(std::uint64_t place) {
  // Only headers are looked at: they are guarded by a CRC of their own, so the cost per place is small and constant
  // whatever the bytes are.
  for (std::uint64_t at = place + kRecordAlignment; at + kRecordHeaderBytes <= size_; at += kRecordAlignment) {
    auto bytes = view(at, kRecordHeaderBytes);
    if (!bytes) return std::unexpected(std::move(bytes.error()));
    if (bytes->size() < kRecordHeaderBytes) break;
    if (record_length(bytes->first<4>()) == 0) continue;
    const auto header = decode_record_header(bytes->first<kRecordHeaderBytes>(), seed_);
    if (header && header->durable > place) return true;
  }
  return false;
}

Result<std::optional<RecordHeader>> SegmentReader::header_at(std::uint64_t place) {
  auto bytes = view(place, kRecordHeaderBytes);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  if (bytes->size() < kRecordHeaderBytes) return std::nullopt;
  return decode_record_header(bytes->first<kRecordHeaderBytes>(), seed_);
}

Result<std::optional<std::uint64_t>> SegmentReader::next_whole(std::uint64_t place) {
  for (std::uint64_t at = place + kRecordAlignment; at + kRecordHeaderBytes <= size_; at += kRecordAlignment) {
    const auto header = header_at(at);
    if (!header) return std::unexpected(header.error());
    if (!*header) continue;
    offset_ = at;
    RecordView record;
    const auto found = next(record);
    offset_ = place;
    if (!found) return std::unexpected(found.error());
    if (*found == Found::record || *found == Found::seal) return at;
  }
  return std::nullopt;
}

Result<std::uint64_t> SegmentReader::bytes_behind(std::uint64_t place) {
  std::uint64_t end = place;
  for (std::uint64_t at = place; at < size_;) {
    auto bytes = view(at, kWindowBytes);
    if (!bytes) return std::unexpected(std::move(bytes.error()));
    if (bytes->empty()) break;
    for (std::size_t i = 0; i < bytes->size(); ++i)
      if ((*bytes)[i] != std::byte{0}) end = at + i + 1;
    at += bytes->size();
  }
  return end - place;
}

Error SegmentReader::damage(std::uint64_t place, std::string_view what) const {
  return {ErrorCode::journal,
          "journal segment " + file_.path().string() + " is damaged at byte " + std::to_string(place) + ": " +
              std::string(what),
          0};
}

}  // namespace pawl::journal
