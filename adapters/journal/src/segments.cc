#include "segments.h"

#include <fcntl.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

namespace pawl::journal {
namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;  // gathered before a write: what was just made is in the cache yet
constexpr std::size_t kPendingBytesKept = 16 * 1024 * 1024;
constexpr std::size_t kSparesMax = 2;
constexpr std::uint64_t kSealBytes = kRecordHeaderBytes;
// A new segment's blocks are made in steps that double, so that a short run does not pay for a whole segment.
constexpr std::uint64_t kFillMin = 64 * 1024;
constexpr std::uint64_t kFillMax = 4 * 1024 * 1024;
// A write of so many bytes costs its sync little more if it makes the file longer; zeros written first cost their
// bytes.
constexpr std::uint64_t kFillsItself = 256 * 1024;

/// Salts only have to differ; without the kernel's random numbers the clock makes them differ.
std::uint64_t random_salt() noexcept {
  std::uint64_t salt = 0;
  if (::getrandom(&salt, sizeof salt, GRND_NONBLOCK) == static_cast<ssize_t>(sizeof salt)) return salt;
  return static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
}

}  // namespace

Result<void> Segments::open(std::uint64_t next_number) {
  auto folder = File::open(options_.folder, O_RDONLY | O_DIRECTORY);
  if (!folder) return std::unexpected(std::move(folder.error()));
  folder_ = std::move(*folder);
  next_number_ = next_number;
  return {};
}

void Segments::adopt(std::uint64_t number, std::uint64_t tasks) {
  accounts_[number] = {static_cast<std::int64_t>(tasks), 0, true, false};
}

Result<std::uint64_t> Segments::add_task(const Request& request) {
  if (auto room = make_room(record_bytes(request)); !room) return std::unexpected(std::move(room.error()));
  const std::size_t before = pending_.size();
  append_task(pending_, request);
  stamp(pending_.bytes().subspan(before), seed_, durable_);
  ++accounts_[number_].tasks;
  if (pending_.size() >= kWriteBytes)
    if (auto flushed = flush(); !flushed) return std::unexpected(std::move(flushed.error()));
  return number_;
}

Result<std::uint64_t> Segments::add_notes(std::span<const std::byte> records, std::uint64_t count) {
  if (auto room = make_room(records.size()); !room) return std::unexpected(std::move(room.error()));
  const std::size_t before = pending_.size();
  pending_.append(records);
  stamp(pending_.bytes().subspan(before), seed_, durable_);
  accounts_[number_].notes += static_cast<std::int64_t>(count);
  if (pending_.size() >= kWriteBytes)
    if (auto flushed = flush(); !flushed) return std::unexpected(std::move(flushed.error()));
  return number_;
}

Result<void> Segments::make_room(std::uint64_t bytes) {
  const std::uint64_t tail = kSealBytes;  // room for the seal is also room for the terminator
  if (file_.is_open() && written_ + pending_.size() + bytes + tail <= capacity_) return {};
  if (file_.is_open())
    if (auto closed = seal_and_close(); !closed) return closed;
  return begin(std::max(options_.segment_bytes, padded(kSegmentHeaderBytes + bytes + tail)));
}

Result<void> Segments::flush() {
  if (pending_.empty()) return {};
  const std::size_t records = pending_.size();
  // The terminator goes with the records; at the very end of a segment there is a seal instead, and no room for it.
  if (written_ + records + kTerminatorBytes <= capacity_)
    std::ranges::fill(std::span(pending_.extend(kTerminatorBytes), kTerminatorBytes), std::byte{0});
  if (auto filled = fill_ahead(written_ + pending_.size()); !filled) return filled;
  if (auto wrote = file_.write_at(written_, pending_.bytes()); !wrote) return wrote;
  written_ += records;
  counters_.bytes.add(records);
  pending_.recycle(kPendingBytesKept);
  return {};
}

Result<void> Segments::fill_ahead(std::uint64_t need) {
  if (need <= filled_) return {};
  if (need - written_ >= kFillsItself) {
    filled_ = need;
    return {};
  }
  const std::uint64_t ahead = std::clamp(filled_, kFillMin, kFillMax);
  const std::uint64_t until = std::min(capacity_, need + ahead);
  if (auto zeroed = file_.write_zeros(need, until - need); !zeroed) return zeroed;
  filled_ = until;
  return {};
}

Result<void> Segments::sync() {
  if (auto flushed = flush(); !flushed) return flushed;
  if (!file_.is_open() || durable_ == written_) return {};
  counters_.syncs.add(1);
  if (auto synced = file_.sync_data(); !synced) return synced;
  durable_ = written_;
  return {};
}

Result<void> Segments::seal_and_close() {
  if (auto flushed = flush(); !flushed) return flushed;
  append_seal(pending_);
  stamp(pending_.bytes(), seed_, durable_);
  // Whatever the durability is: recovery relies on every segment but the last being whole.
  if (auto synced = sync(); !synced) return synced;
  const std::uint64_t number = std::exchange(number_, 0);
  file_ = File();
  changed(number, accounts_[number]);
  return {};
}

Result<void> Segments::begin(std::uint64_t capacity) {
  const std::uint64_t number = next_number_++;
  const SegmentHeader header{number, random_salt()};
  std::array<std::byte, kSegmentHeaderBytes + kTerminatorBytes> bytes{};
  encode_segment_header(header, std::span(bytes).first<kSegmentHeaderBytes>());
  const bool usual = capacity == options_.segment_bytes;
  const bool reuse = usual && !spares_.empty();
  const std::uint64_t fill = std::min(capacity, kFillMin);
  auto file = reuse ? take_spare(bytes) : make_file(fill, bytes);
  if (!file) return std::unexpected(std::move(file.error()));
  // The name is given when the header is durable, so a segment without a good header is a damaged one.
  if (auto renamed = file->rename_to(segment_path(options_.folder, number)); !renamed) return renamed;
  if (auto synced = folder_.sync_all(); !synced) return synced;
  auto size = file->size();
  if (!size) return std::unexpected(std::move(size.error()));
  (reuse ? counters_.segments_reused : counters_.segments_made).add(1);
  file_ = std::move(*file);
  number_ = number;
  seed_ = seed_of(header);
  capacity_ = capacity;
  filled_ = *size;
  written_ = durable_ = kSegmentHeaderBytes;
  accounts_[number] = {0, 0, false, usual};
  return {};
}

Result<File> Segments::make_file(std::uint64_t first_fill, std::span<const std::byte> header) {
  const auto path = options_.folder / ("new" + std::string(kSpareEnding));
  auto file = File::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!file) return file;
  if (auto wrote = file->write_at(0, header); !wrote) return std::unexpected(std::move(wrote.error()));
  auto zeroed = file->write_zeros(header.size(), first_fill - header.size());
  if (!zeroed) return std::unexpected(std::move(zeroed.error()));
  if (auto synced = file->sync_all(); !synced) return std::unexpected(std::move(synced.error()));
  return file;
}

Result<File> Segments::take_spare(std::span<const std::byte> header) {
  const auto path = std::move(spares_.back());
  spares_.pop_back();
  // That it is a spare must be durable before it gets a new header: else power loss could show the new header under the
  // old name.
  if (auto synced = folder_.sync_all(); !synced) return std::unexpected(std::move(synced.error()));
  auto file = File::open(path, O_WRONLY);
  if (!file) return file;
  if (auto wrote = file->write_at(0, header); !wrote) return std::unexpected(std::move(wrote.error()));
  if (auto synced = file->sync_data(); !synced) return std::unexpected(std::move(synced.error()));
  return file;
}

void Segments::changed(std::uint64_t number, const Account& account) noexcept {
  if (number != number_ && account.empty()) released_.push_back(number);
}

void Segments::release_task(std::uint64_t number) noexcept {
  const auto at = accounts_.find(number);
  if (at == accounts_.end()) return;
  --at->second.tasks;
  changed(number, at->second);
}

void Segments::release_note(std::uint64_t number) noexcept {
  const auto at = accounts_.find(number);
  if (at == accounts_.end()) return;
  --at->second.notes;
  changed(number, at->second);
}

void Segments::unpin(std::uint64_t number, std::uint64_t notes) noexcept {
  const auto at = accounts_.find(number);
  if (at == accounts_.end()) return;
  at->second.pinned = false;
  at->second.notes += static_cast<std::int64_t>(notes);
  changed(number, at->second);
}

void Segments::reap() noexcept {
  for (const std::uint64_t number : released_) {
    const auto at = accounts_.find(number);
    if (at == accounts_.end()) continue;
    const auto path = segment_path(options_.folder, number);
    if (at->second.of_usual_size && spares_.size() < kSparesMax) {
      const auto spare = options_.folder / (std::to_string(number) + std::string(kSpareEnding));
      if (::rename(path.c_str(), spare.c_str()) == 0) spares_.push_back(spare);
    } else {
      static_cast<void>(remove_file(path));  // stays as a released segment, which the next run asks git about
    }
    counters_.segments_removed.add(1);
    accounts_.erase(at);
  }
  released_.clear();
}

void Segments::finish(Ending ending) noexcept {
  reap();
  const std::uint64_t last = std::exchange(number_, 0);
  if (last != 0) {
    if (accounts_[last].empty()) {
      changed(last, accounts_[last]);
    } else if (ending == Ending::whole) {
      // Sealed, so that the next run can tell damage from an unfinished write also at the very end.
      append_seal(pending_);
      stamp(pending_.bytes().last(padded(kSealBytes)), seed_, durable_);
      if (sync()) static_cast<void>(file_.truncate(written_));  // only gives space back
    }
  }
  file_ = File();
  for (auto& [number, account] : accounts_) account.of_usual_size = false;  // from here on, remove
  reap();
  for (const auto& spare : spares_) static_cast<void>(remove_file(spare));
  spares_.clear();
}

}  // namespace pawl::journal
