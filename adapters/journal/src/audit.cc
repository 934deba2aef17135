#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include <pawl/journal_audit.h>

#include "file.h"
#include "segment_reader.h"

namespace pawl::journal {
namespace {

/// Reads one folder. What was bad is kept until it is known whether a later segment has records.
class Auditor {
 public:
  Result<Audit> run(const std::filesystem::path& folder);

 private:
  struct Tail {  // a place where reading stopped without a seal
    std::filesystem::path segment;
    std::uint64_t offset = 0;
    std::uint64_t torn_bytes = 0;
  };

  Result<void> segment(const SegmentName& name);
  Result<void> records(SegmentReader& reader, const SegmentName& name);
  /// At a place where no whole record is: false if this is the segment's end.
  Result<bool> pass(SegmentReader& reader, const SegmentName& name, Found found);
  void note_record(const RecordView& view, const SegmentName& name);
  void finish();

  Audit audit_;
  std::vector<TaskId> answers_;
  std::vector<Tail> tails_;
  bool holds_records_ = false;  // the segment being read
};

Result<Audit> Auditor::run(const std::filesystem::path& folder) {
  auto names = list_segments(folder);
  if (!names) return std::unexpected(std::move(names.error()));
  for (const SegmentName& name : *names) {
    if (audit_.segments++ == 0)
      audit_.first_segment = name.number;
    else if (name.number > audit_.last_segment + 1)
      audit_.missing.push_back({audit_.last_segment + 1, name.number - 1});
    audit_.last_segment = name.number;
    if (auto read = segment(name); !read) return std::unexpected(std::move(read.error()));
  }
  finish();
  return std::move(audit_);
}

Result<void> Auditor::segment(const SegmentName& name) {
  auto reader = SegmentReader::open(name);
  if (!reader) {
    if (reader.error().sys_errno == ENOENT) return {};  // released while the folder was read
    if (reader.error().code == ErrorCode::unsupported) return std::unexpected(std::move(reader.error()));
    const std::string& why = reader.error().context;
    const std::size_t colon = reader.error().code == ErrorCode::journal ? why.rfind(": ") : std::string::npos;
    audit_.damage.push_back({name.path, 0, colon == std::string::npos ? why : why.substr(colon + 2), std::nullopt});
    return {};
  }
  const std::vector<Tail> earlier = std::exchange(tails_, {});
  holds_records_ = false;
  auto read = records(*reader, name);
  if (!read) {
    audit_.damage.push_back({name.path, reader->offset(), read.error().context, std::nullopt});
    read = {};
  }
  if (holds_records_) {
    for (const Tail& tail : earlier)
      audit_.damage.push_back(
          {tail.segment, tail.offset, "its end is missing, and a later segment has records", std::nullopt});
  } else {
    tails_.insert(tails_.begin(), earlier.begin(), earlier.end());
  }
  return read;
}

Result<void> Auditor::records(SegmentReader& reader, const SegmentName& name) {
  RecordView view;
  for (;;) {
    const auto found = reader.next(view);
    if (!found) return std::unexpected(found.error());
    if (*found == Found::seal) {
      holds_records_ = true;
      return {};
    }
    if (*found == Found::record) {
      note_record(view, name);
      continue;
    }
    const auto passed = pass(reader, name, *found);
    if (!passed) return std::unexpected(passed.error());
    if (!*passed) return {};
  }
}

Result<bool> Auditor::pass(SegmentReader& reader, const SegmentName& name, Found found) {
  const std::uint64_t place = reader.offset();
  const auto durable = reader.was_durable(place);
  if (!durable) return std::unexpected(durable.error());
  if (!*durable) {
    const auto torn = found == Found::bad ? reader.bytes_behind(place) : Result<std::uint64_t>(0);
    if (!torn) return std::unexpected(torn.error());
    tails_.push_back({name.path, place, *torn});
    return false;
  }
  const auto header = reader.header_at(place);
  if (!header) return std::unexpected(header.error());
  const auto next = reader.next_whole(place);
  if (!next) return std::unexpected(next.error());
  Damage damage{name.path, place, {}, std::nullopt};
  if (*header) {
    damage.task = (*header)->key;
    damage.what = (*header)->kind == Kind::task     ? "the request of a task is damaged"
                  : (*header)->kind == Kind::answer ? "the answer of a task is damaged"
                                                    : "a record is damaged";
  } else {
    damage.what = "a record that was durable cannot be read";
  }
  damage.what += *next ? "; reading goes on at byte " + std::to_string(**next) : "; nothing behind it can be read";
  audit_.damage.push_back(std::move(damage));
  if (!*next) return false;
  reader.seek(**next);
  return true;
}

void Auditor::note_record(const RecordView& view, const SegmentName& name) {
  holds_records_ = true;
  audit_.left.bytes += padded(view.header.length);
  if (view.header.kind == Kind::task) {
    ++audit_.left.tasks;
    audit_.tasks.push_back({view.header.key, name.number, false});
    Request request;
    if (!decode_request(view.borrowed_payload, request))
      audit_.damage.push_back({name.path, view.offset, "a task record has an impossible content", view.header.key});
  }
  if (view.header.kind == Kind::answer) {
    ++audit_.left.answers;
    answers_.push_back(view.header.key);
  }
}

void Auditor::finish() {
  for (const Tail& tail : tails_) audit_.left.torn_bytes += tail.torn_bytes;
  std::ranges::sort(answers_);
  for (AuditedTask& task : audit_.tasks) task.answered = std::ranges::binary_search(answers_, task.task_id);
  std::ranges::sort(audit_.tasks, {}, &AuditedTask::task_id);
}

}  // namespace

Result<Audit> audit(const std::filesystem::path& folder) { return Auditor().run(folder); }

}  // namespace pawl::journal
