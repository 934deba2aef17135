#include "recovery.h"

#include <fcntl.h>

#include <algorithm>
#include <string>
#include <tuple>

namespace pawl::journal {
namespace {

/// Whether a segment holds a whole record. Errors: as SegmentReader.
Result<bool> holds_records(const SegmentName& name) {
  auto reader = SegmentReader::open(name);
  if (!reader) return std::unexpected(std::move(reader.error()));
  RecordView view;
  auto found = reader->next(view);
  if (!found) return std::unexpected(std::move(found.error()));
  return *found == Found::record || *found == Found::seal;
}

/// Decides whether a segment that is not sealed ends in an unfinished write or in damage.
Result<void> judge_tail(SegmentReader& reader, Found found, std::span<const SegmentName> later, Left& left) {
  const std::uint64_t end = reader.offset();
  auto durable = reader.was_durable(end);
  if (!durable) return std::unexpected(std::move(durable.error()));
  if (*durable) return std::unexpected(reader.damage(end, "a record that was durable cannot be read"));
  for (const SegmentName& name : later) {
    auto holds = holds_records(name);
    if (!holds) return std::unexpected(std::move(holds.error()));
    if (*holds) return std::unexpected(reader.damage(end, "its end is missing, and a later segment has records"));
  }
  if (found != Found::bad) return {};
  auto torn = reader.bytes_behind(end);
  if (!torn) return std::unexpected(std::move(torn.error()));
  left.torn_bytes += *torn;
  return {};
}

Result<LeftSegment> scan_segment(SegmentReader& reader, const SegmentName& name, std::uint32_t index,
                                 std::vector<AnswerPlace>* answers, Found& found) {
  LeftSegment segment{name};
  RecordView view;
  for (;;) {
    segment.end = reader.offset();
    auto got = reader.next(view);
    if (!got) return std::unexpected(std::move(got.error()));
    found = *got;
    if (found != Found::record) break;
    if (view.header.kind == Kind::task) ++segment.tasks;
    if (view.header.kind == Kind::answer) {
      ++segment.answers;
      if (answers != nullptr) answers->push_back({view.header.key, view.offset, index});
    }
  }
  segment.sealed = found == Found::seal;
  return segment;
}

}  // namespace

Result<Scan> scan_folder(const std::filesystem::path& folder, Answers answers) {
  auto names = list_segments(folder);
  if (!names) return std::unexpected(std::move(names.error()));
  Scan scan;
  for (std::size_t i = 0; i < names->size(); ++i) {
    auto reader = SegmentReader::open((*names)[i]);
    if (!reader) return std::unexpected(std::move(reader.error()));
    Found found = Found::end;
    auto segment = scan_segment(*reader, (*names)[i], static_cast<std::uint32_t>(i),
                                answers == Answers::index ? &scan.answers : nullptr, found);
    if (!segment) return std::unexpected(std::move(segment.error()));
    if (!segment->sealed) {
      auto judged = judge_tail(*reader, found, std::span(*names).subspan(i + 1), scan.left);
      if (!judged) return std::unexpected(std::move(judged.error()));
    }
    scan.left.tasks += segment->tasks;
    scan.left.answers += segment->answers;
    scan.left.bytes += segment->end - kSegmentHeaderBytes;
    scan.segments.push_back(std::move(*segment));
  }
  std::ranges::sort(scan.answers, {}, [](const AnswerPlace& a) { return std::tuple(a.key, a.segment, a.offset); });
  return scan;
}

Result<Recovery> Recovery::open(const std::filesystem::path& folder) {
  Recovery recovery;
  auto scan = scan_folder(folder, Answers::index);
  if (!scan) return std::unexpected(std::move(scan.error()));
  recovery.scan_ = std::move(*scan);
  if (!recovery.scan_.segments.empty()) recovery.next_number_ = recovery.scan_.segments.back().name.number + 1;
  if (auto repaired = recovery.repair(folder); !repaired) return std::unexpected(std::move(repaired.error()));
  recovery.answers_used_.resize(recovery.scan_.segments.size());
  return recovery;
}

Result<void> Recovery::repair(const std::filesystem::path& folder) {
  auto spares = list_spares(folder);
  if (!spares) return std::unexpected(std::move(spares.error()));
  for (const auto& path : *spares)
    if (auto removed = remove_file(path); !removed) return removed;
  for (LeftSegment& segment : scan_.segments) {
    if (segment.tasks + segment.answers == 0) {
      if (auto removed = remove_file(segment.name.path); !removed) return removed;
      continue;
    }
    if (segment.sealed) continue;
    auto reader = SegmentReader::open(segment.name);
    if (!reader) return std::unexpected(std::move(reader.error()));
    auto file = File::open(segment.name.path, O_WRONLY);
    if (!file) return std::unexpected(std::move(file.error()));
    ByteBuffer seal;
    append_seal(seal);
    stamp(seal.bytes(), seed_of(reader->header()), segment.end);
    if (auto cut = file->truncate(segment.end); !cut) return cut;
    if (auto wrote = file->write_at(segment.end, seal.bytes()); !wrote) return wrote;
    if (auto synced = file->sync_all(); !synced) return synced;
    segment.sealed = true;
  }
  return {};
}

Result<bool> Recovery::next(Recovered& recovered) {
  RecordView view;
  while (at_ < scan_.segments.size()) {
    const LeftSegment& segment = scan_.segments[at_];
    if (segment.tasks + segment.answers == 0) {  // was removed at open()
      pass_segment();
      continue;
    }
    if (!tasks_) {
      auto reader = SegmentReader::open(segment.name);
      if (!reader) return std::unexpected(std::move(reader.error()));
      tasks_ = std::move(*reader);
    }
    if (tasks_->offset() >= segment.end) {
      pass_segment();
      continue;
    }
    const std::uint64_t place = tasks_->offset();
    auto found = tasks_->next(view);
    if (!found) return std::unexpected(std::move(found.error()));
    if (*found != Found::record) return std::unexpected(tasks_->damage(place, "it has changed since it was opened"));
    if (view.header.kind != Kind::task) continue;
    if (!decode_request(view.borrowed_payload, recovered.request))
      return std::unexpected(tasks_->damage(place, "a task record has an impossible content"));
    recovered.request.task_id = view.header.key;
    recovered.save_mark = segment.name.number;
    if (auto filled = fill_answer(recovered); !filled) return std::unexpected(std::move(filled.error()));
    return true;
  }
  scan_.answers = {};
  answer_.reset();
  return false;
}

Result<void> Recovery::fill_answer(Recovered& recovered) {
  recovered.outcome.reset();
  recovered.answer_mark = 0;
  const auto same = std::ranges::equal_range(scan_.answers, recovered.request.task_id, {}, &AnswerPlace::key);
  if (same.empty()) return {};
  const AnswerPlace& place = same.back();  // the newest
  const LeftSegment& segment = scan_.segments[place.segment];
  if (!answer_ || answer_->header().number != segment.name.number) {
    auto reader = SegmentReader::open(segment.name);
    if (!reader) return std::unexpected(std::move(reader.error()));
    answer_ = std::move(*reader);
  }
  RecordView view;
  answer_->seek(place.offset);
  auto found = answer_->next(view);
  if (!found) return std::unexpected(std::move(found.error()));
  if (*found != Found::record || !decode_outcome(view.borrowed_payload, recovered.outcome))
    return std::unexpected(answer_->damage(place.offset, "an answer record has an impossible content"));
  recovered.answer_mark = segment.name.number;
  ++answers_used_[place.segment];
  return {};
}

void Recovery::pass_segment() {
  passed_.push_back({scan_.segments[at_].name.number, answers_used_[at_]});
  tasks_.reset();
  ++at_;
}

}  // namespace pawl::journal
