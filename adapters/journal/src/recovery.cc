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

Result<LeftSegment> scan_segment(SegmentReader& reader, const SegmentName& name, std::uint32_t index, Scan& scan,
                                 Found& found) {
  LeftSegment segment{name};
  RecordView view;
  for (;;) {
    segment.end = reader.offset();
    auto got = reader.next(view);
    if (!got) return std::unexpected(std::move(got.error()));
    found = *got;
    if (found != Found::record) break;
    const Kind kind = view.header.kind;
    if (kind == Kind::task) {
      ++segment.tasks;
      scan.tasks.push_back({view.header.key, view.offset, index});
    } else if (kind == Kind::answer || kind == Kind::sent || kind == Kind::settled) {
      ++segment.notes;
      scan.left.answers += kind == Kind::answer;
      scan.notes.push_back({view.header.key, view.offset, index, kind});
    }
  }
  segment.sealed = found == Found::seal;
  return segment;
}

/// What counts of the notes of one task: its newest answer, or if it has none, its newest mark.
const NotePlace* newest(std::span<const NotePlace> notes) noexcept {
  for (auto note = notes.rbegin(); note != notes.rend(); ++note)
    if (note->kind == Kind::answer) return &*note;
  return notes.empty() ? nullptr : &notes.back();
}

std::uint64_t count_in_doubt(const std::vector<NotePlace>& notes, const std::vector<TaskPlace>& tasks) {
  std::uint64_t count = 0;
  for (std::size_t first = 0, end = 0; first < notes.size(); first = end) {
    while (end < notes.size() && notes[end].key == notes[first].key) ++end;
    const bool sent = newest(std::span(notes).subspan(first, end - first))->kind == Kind::sent;
    if (sent && std::ranges::binary_search(tasks, notes[first].key, {}, &TaskPlace::key)) ++count;
  }
  return count;
}

}  // namespace

Result<Scan> scan_folder(const std::filesystem::path& folder) {
  auto names = list_segments(folder);
  if (!names) return std::unexpected(std::move(names.error()));
  Scan scan;
  for (std::size_t i = 0; i < names->size(); ++i) {
    auto reader = SegmentReader::open((*names)[i]);
    if (!reader) return std::unexpected(std::move(reader.error()));
    Found found = Found::end;
    auto segment = scan_segment(*reader, (*names)[i], static_cast<std::uint32_t>(i), scan, found);
    if (!segment) return std::unexpected(std::move(segment.error()));
    if (!segment->sealed) {
      auto judged = judge_tail(*reader, found, std::span(*names).subspan(i + 1), scan.left);
      if (!judged) return std::unexpected(std::move(judged.error()));
    }
    scan.left.tasks += segment->tasks;
    scan.left.bytes += segment->end - kSegmentHeaderBytes;
    scan.segments.push_back(std::move(*segment));
  }
  const auto place = [](const auto& a) { return std::tuple(a.key, a.segment, a.offset); };
  std::ranges::sort(scan.tasks, {}, place);
  std::ranges::sort(scan.notes, {}, place);
  scan.left.in_doubt = count_in_doubt(scan.notes, scan.tasks);
  return scan;
}

Result<Recovery> Recovery::open(const std::filesystem::path& folder) {
  Recovery recovery;
  auto scan = scan_folder(folder);
  if (!scan) return std::unexpected(std::move(scan.error()));
  recovery.scan_ = std::move(*scan);
  if (!recovery.scan_.segments.empty()) recovery.next_number_ = recovery.scan_.segments.back().name.number + 1;
  if (auto repaired = recovery.repair(folder); !repaired) return std::unexpected(std::move(repaired.error()));
  recovery.count();
  return recovery;
}

Result<Recovery> Recovery::look(const std::filesystem::path& folder) {
  Recovery recovery;
  auto scan = scan_folder(folder);
  if (!scan) return std::unexpected(std::move(scan.error()));
  recovery.scan_ = std::move(*scan);
  recovery.count();
  return recovery;
}

void Recovery::count() {
  notes_used_.resize(scan_.segments.size());
  for (const LeftSegment& segment : scan_.segments) tasks_to_come_.push_back(segment.tasks);
}

Result<void> Recovery::repair(const std::filesystem::path& folder) {
  auto spares = list_spares(folder);
  if (!spares) return std::unexpected(std::move(spares.error()));
  for (const auto& path : *spares)
    if (auto removed = remove_file(path); !removed) return removed;
  for (LeftSegment& segment : scan_.segments) {
    if (segment.empty()) {
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
  pass_segments();
  if (task_ == scan_.tasks.size()) {
    scan_.tasks = {};
    scan_.notes = {};
    task_ = 0;
    tasks_.reset();
    answer_.reset();
    return false;
  }
  const TaskPlace& place = scan_.tasks[task_++];
  auto reader = reader_of(place.segment, tasks_);
  if (!reader) return std::unexpected(std::move(reader.error()));
  RecordView view;
  (*reader)->seek(place.offset);
  auto found = (*reader)->next(view);
  if (!found) return std::unexpected(std::move(found.error()));
  if (*found != Found::record || view.header.key != place.key)
    return std::unexpected((*reader)->damage(place.offset, "it has changed since it was opened"));
  if (!decode_request(view.borrowed_payload, recovered.request))
    return std::unexpected((*reader)->damage(place.offset, "a task record has an impossible content"));
  recovered.request.task_id = place.key;
  recovered.save_mark = scan_.segments[place.segment].name.number;
  --tasks_to_come_[place.segment];
  if (auto filled = fill_notes(recovered); !filled) return std::unexpected(std::move(filled.error()));
  return true;
}

Result<SegmentReader*> Recovery::reader_of(std::uint32_t segment, std::optional<SegmentReader>& reader) const {
  const SegmentName& name = scan_.segments[segment].name;
  if (!reader || reader->header().number != name.number) {
    auto opened = SegmentReader::open(name);
    if (!opened) return std::unexpected(std::move(opened.error()));
    reader = std::move(*opened);
  }
  return &*reader;
}

Result<void> Recovery::fill_notes(Recovered& recovered) {
  recovered.outcome.reset();
  recovered.answer_mark = recovered.sent_mark = 0;
  recovered.in_doubt = false;
  const auto same = std::ranges::equal_range(scan_.notes, recovered.request.task_id, {}, &NotePlace::key);
  const NotePlace* place = newest({same.begin(), same.end()});
  if (place == nullptr) return {};
  const std::uint64_t number = scan_.segments[place->segment].name.number;
  ++notes_used_[place->segment];
  if (place->kind == Kind::answer) {
    recovered.answer_mark = number;
    return fill_answer(*place, recovered.outcome);
  }
  recovered.sent_mark = number;
  recovered.in_doubt = place->kind == Kind::sent;
  return {};
}

Result<void> Recovery::fill_answer(const NotePlace& place, Outcome& outcome) {
  auto reader = reader_of(place.segment, answer_);
  if (!reader) return std::unexpected(std::move(reader.error()));
  RecordView view;
  (*reader)->seek(place.offset);
  auto found = (*reader)->next(view);
  if (!found) return std::unexpected(std::move(found.error()));
  if (*found != Found::record || !decode_outcome(view.borrowed_payload, outcome))
    return std::unexpected((*reader)->damage(place.offset, "an answer record has an impossible content"));
  return {};
}

/// In order, so that all tasks whose notes a passed segment holds have been handed out.
void Recovery::pass_segments() {
  for (; passed_to_ < scan_.segments.size() && tasks_to_come_[passed_to_] == 0; ++passed_to_)
    passed_.push_back({scan_.segments[passed_to_].name.number, notes_used_[passed_to_]});
}

}  // namespace pawl::journal
