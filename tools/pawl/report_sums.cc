#include "report_sums.h"

#include <fmt/format.h>

#include <bit>
#include <utility>

namespace pawl::tool {
namespace {

constexpr std::size_t kNameBytes = 1024;
constexpr std::size_t kEarlierRunsKnown = 100'000;

std::string cut(const std::string& text) { return text.substr(0, kNameBytes); }

template <class Time>
void widen(std::optional<Time>& first, std::optional<Time>& last, Time begin, Time end) {
  if (!first || begin < *first) first = begin;
  if (!last || end > *last) last = end;
}

NamedTask named(const git::StoredResult& result) {
  NamedTask task{cut(result.stream), cut(result.id),  result.path,     {},
                 result.started,     result.duration, result.attempts, result.status_code};
  if (result.success) return task;
  task.error = result.status_code != 0 ? fmt::format("status {}", result.status_code)
                                       : cut(result.error_code) + ": " + cut(result.error_message);
  return task;
}

std::int64_t floor_div(std::int64_t value, std::int64_t by) {
  return value >= 0 ? value / by : -((-value + by - 1) / by);
}

}  // namespace

std::size_t DurationCounts::bucket_of(std::uint64_t ms) noexcept {
  if (ms < 16) return static_cast<std::size_t>(ms);
  const auto octave = static_cast<std::size_t>(std::bit_width(ms)) - 1;  // ≥ 4
  const std::size_t bucket = 16 * (octave - 3) + ((ms >> (octave - 4)) & 15U);
  return std::min(bucket, kBuckets - 1);
}

std::uint64_t DurationCounts::begin_of(std::size_t bucket) noexcept {
  if (bucket < 16) return bucket;
  return (16 + bucket % 16) << (bucket / 16 - 1);
}

void DurationCounts::add(std::chrono::milliseconds duration, bool success) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, duration.count()));
  ++(success ? succeeded_ : failed_)[bucket_of(ms)];
  ++count_;
  max_ = std::max(max_, duration);
}

void DurationCounts::clear() {
  if (count_ == 0) return;
  succeeded_.fill(0);
  failed_.fill(0);
  count_ = 0;
  max_ = {};
}

std::chrono::milliseconds DurationCounts::percentile(double share) const {
  const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(count_) + 0.5);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += succeeded_[i] + failed_[i];
    if (seen != 0 && seen >= rank)
      return std::min(max_, std::chrono::milliseconds(static_cast<std::int64_t>(begin_of(i + 1)) - 1));
  }
  return max_;
}

std::vector<DurationCounts::Bar> DurationCounts::bars() const {
  std::vector<Bar> bars;
  std::size_t last = 0;
  for (std::size_t i = 0; i < kBuckets;) {
    // Below 16 ms a bucket is a millisecond, and so is a bar.
    const std::size_t width = i < 16 ? 1 : 4;
    Bar bar{std::chrono::milliseconds(static_cast<std::int64_t>(begin_of(i))),
            std::chrono::milliseconds(static_cast<std::int64_t>(begin_of(i + width))), 0, 0};
    for (std::size_t k = i; k < i + width; ++k) {
      bar.succeeded += succeeded_[k];
      bar.failed += failed_[k];
    }
    i += width;
    if (bar.succeeded + bar.failed != 0)
      last = bars.size() + 1;
    else if (bars.empty())
      continue;
    bars.push_back(bar);
  }
  bars.resize(last);
  return bars;
}

TimeCounts::Slot& TimeCounts::slot_at(std::int64_t ms) {
  while (true) {
    const std::int64_t at = floor_div(ms, width_ms_);
    const std::int64_t first = slots_.empty() ? at : std::min(at, slots_.begin()->first);
    const std::int64_t last = slots_.empty() ? at : std::max(at, slots_.rbegin()->first);
    if (last - first < kMost) return slots_[at];
    width_ms_ *= 2;
    std::map<std::int64_t, Slot> wider;
    for (const auto& [slot_number, slot] : slots_) {
      Slot& sum = wider[floor_div(slot_number, 2)];
      sum.started += slot.started;
      sum.succeeded += slot.succeeded;
      sum.failed += slot.failed;
    }
    slots_ = std::move(wider);
  }
}

void TimeCounts::add(std::chrono::system_clock::time_point started, std::chrono::milliseconds duration, bool success) {
  const auto begin = std::chrono::duration_cast<std::chrono::milliseconds>(started.time_since_epoch()).count();
  ++slot_at(begin).started;
  Slot& end = slot_at(begin + duration.count());
  ++(success ? end.succeeded : end.failed);
}

std::vector<TimeCounts::Slot> TimeCounts::slots() const {
  std::vector<Slot> all;
  if (slots_.empty()) return all;
  all.resize(static_cast<std::size_t>(slots_.rbegin()->first - first() + 1));
  for (const auto& [slot_number, slot] : slots_) all[static_cast<std::size_t>(slot_number - first())] = slot;
  return all;
}

void ReportSums::add(const git::StoredResult& result) {
  if (result.stream != stream_name_ || streams == 0) {
    end_stream();
    ++streams;
    stream_name_ = result.stream;
    stream_.name = cut(result.stream);
  }
  ++records;
  ++stream_.records;
  attempts += result.attempts;
  ++by_attempts[std::min<std::size_t>(result.attempts, kAttempts)];
  if (result.attempts > 1) ++stream_.retried;
  durations.add(result.duration, result.success);
  stream_durations_.add(result.duration, result.success);
  if (result.started) widen(stream_.first, stream_.last, *result.started, *result.started + result.duration);
  if (!result.started) ++without_time;
  if (slowest.takes(result.duration)) slowest.put(result.duration, named(result));
  add_to_run(result);
  if (result.success) return;
  ++failed;
  ++stream_.failed;
  std::string kind = result.status_code != 0 ? fmt::format("status {}", result.status_code) : cut(result.error_code);
  if (!failure_kinds.contains(kind) && failure_kinds.size() >= kFailureKinds) kind = "other";
  ++failure_kinds[kind];
  const auto when = result.started.value_or(std::chrono::system_clock::time_point{});
  if (failures.takes(when)) failures.put(when, named(result));
}

void ReportSums::add_to_run(const git::StoredResult& result) {
  const std::uint64_t run = result.task_id.run;
  RunSum* sum = &earlier;
  if (runs.size() < kRuns || run >= runs.begin()->first) {
    sum = &runs[run];
    sum->run = run;
  } else if (earlier_seen_.size() < kEarlierRunsKnown) {
    earlier_seen_.insert(run);
  }
  ++sum->records;
  sum->failed += result.success ? 0 : 1;
  sum->attempts += result.attempts;
  if (result.started) {
    widen(sum->first, sum->last, *result.started, *result.started + result.duration);
    if (sum != &earlier) sum->times.add(*result.started, result.duration, result.success);
  }
  if (runs.size() <= kRuns) return;
  const auto oldest = runs.extract(runs.begin());
  const RunSum& gone = oldest.mapped();
  earlier_seen_.insert(gone.run);
  earlier.records += gone.records;
  earlier.failed += gone.failed;
  earlier.attempts += gone.attempts;
  if (gone.first) widen(earlier.first, earlier.last, *gone.first, *gone.last);
}

void ReportSums::end_stream() {
  if (streams == 0) return;
  const std::array<std::uint64_t, 2> rank{stream_.failed, stream_.records};
  if (worst_streams.takes(rank)) {
    stream_.p50 = stream_durations_.percentile(0.5);
    stream_.p99 = stream_durations_.percentile(0.99);
    stream_.max = stream_durations_.max();
    worst_streams.put(rank, stream_);
  }
  stream_ = {};
  stream_durations_.clear();
}

void ReportSums::end() {
  end_stream();
  stream_name_.clear();
}

}  // namespace pawl::tool
