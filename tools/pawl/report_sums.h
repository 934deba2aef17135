// What a report adds up from records: counts, histograms and the few worst, so that memory does not grow with the
// number of records.
//
// When not to use it: for exact percentiles (a histogram's are at most a sixteenth too high).
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <pawl/git_records.h>

namespace pawl::tool {

/// Counts of durations in buckets a sixteenth of their value wide.
class DurationCounts {
 public:
  void add(std::chrono::milliseconds duration, bool success);
  void clear();
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// Upper bound of the bucket, at most max(); 0 if there is nothing. `share` in 0 … 1.
  [[nodiscard]] std::chrono::milliseconds percentile(double share) const;
  [[nodiscard]] std::chrono::milliseconds max() const noexcept { return max_; }

  struct Bar {
    std::chrono::milliseconds from{0};
    std::chrono::milliseconds to{0};  // one past
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
  };
  /// Four bars for each doubling, from the first with something in it to the last.
  [[nodiscard]] std::vector<Bar> bars() const;

 private:
  static constexpr std::size_t kBuckets = 640;
  [[nodiscard]] static std::size_t bucket_of(std::uint64_t ms) noexcept;
  [[nodiscard]] static std::uint64_t begin_of(std::size_t bucket) noexcept;

  std::array<std::uint32_t, kBuckets> succeeded_{};
  std::array<std::uint32_t, kBuckets> failed_{};
  std::uint64_t count_ = 0;
  std::chrono::milliseconds max_{0};
};

/// What began and ended when, in at most kMost slots of time; they become wider as the time does.
class TimeCounts {
 public:
  static constexpr std::int64_t kMost = 200;
  struct Slot {
    std::uint32_t started = 0;
    std::uint32_t succeeded = 0;
    std::uint32_t failed = 0;
  };

  void add(std::chrono::system_clock::time_point started, std::chrono::milliseconds duration, bool success);
  [[nodiscard]] std::int64_t width_ms() const noexcept { return width_ms_; }
  [[nodiscard]] std::int64_t first() const { return slots_.empty() ? 0 : slots_.begin()->first; }
  /// From the first slot to the last, the empty ones between them included.
  [[nodiscard]] std::vector<Slot> slots() const;

 private:
  Slot& slot_at(std::int64_t ms);

  std::int64_t width_ms_ = 100;
  std::map<std::int64_t, Slot> slots_;  // by milliseconds since 1970 / width
};

/// A task that a report names.
struct NamedTask {
  std::string stream, id, path, error;  // cut
  std::optional<std::chrono::system_clock::time_point> started;
  std::chrono::milliseconds duration{0};
  std::uint32_t attempts = 0;
  int status_code = 0;
};

struct StreamSum {
  std::string name;  // cut
  std::uint64_t records = 0;
  std::uint64_t failed = 0;
  std::uint64_t retried = 0;  // records with more than one attempt
  std::chrono::milliseconds p50{0}, p99{0}, max{0};
  std::optional<std::chrono::system_clock::time_point> first, last;
};

struct RunSum {
  std::uint64_t run = 0;  // TaskId::run; 0: of those that are summed up
  std::uint64_t records = 0;
  std::uint64_t failed = 0;
  std::uint64_t attempts = 0;
  std::optional<std::chrono::system_clock::time_point> first, last;  // a call's start and end
  TimeCounts times;
};

/// The `most` highest of what is offered, by `Rank`.
template <class Rank, class Item>
class Highest {
 public:
  explicit Highest(std::size_t most) : most_(most) {}
  [[nodiscard]] bool takes(const Rank& rank) const { return kept_.size() < most_ || rank > kept_.begin()->first; }
  /// REQUIRES: takes(rank).
  void put(const Rank& rank, Item item) {
    kept_.emplace(rank, std::move(item));
    if (kept_.size() > most_) kept_.erase(kept_.begin());
  }
  /// Highest first.
  [[nodiscard]] std::vector<const Item*> sorted() const {
    std::vector<const Item*> items;
    for (auto at = kept_.rbegin(); at != kept_.rend(); ++at) items.push_back(&at->second);
    return items;
  }

 private:
  std::size_t most_;
  std::multimap<Rank, Item> kept_;
};

class ReportSums {
 public:
  static constexpr std::size_t kAttempts = 10;  // the last one: that many or more
  static constexpr std::size_t kSlowest = 20;
  static constexpr std::size_t kFailures = 200;
  static constexpr std::size_t kFailureKinds = 40;  // then "other"
  static constexpr std::size_t kStreams = 50;
  static constexpr std::size_t kRuns = 30;

  /// Records of one stream come one after the other.
  void add(const git::StoredResult& result);
  /// There are no more.
  void end();

  std::uint64_t records = 0;
  std::uint64_t failed = 0;
  std::uint64_t streams = 0;
  std::uint64_t attempts = 0;
  std::uint64_t without_time = 0;  // records that do not say when: in no chart
  DurationCounts durations;
  std::array<std::uint64_t, kAttempts + 1> by_attempts{};
  std::map<std::string, std::uint64_t> failure_kinds;
  Highest<std::chrono::milliseconds, NamedTask> slowest{kSlowest};
  Highest<std::chrono::system_clock::time_point, NamedTask> failures{kFailures};  // the youngest
  Highest<std::array<std::uint64_t, 2>, StreamSum> worst_streams{kStreams};       // by failures, then records
  std::map<std::uint64_t, RunSum> runs;                                           // the youngest, by TaskId::run
  RunSum earlier;                                                                 // what older ones left
  [[nodiscard]] std::uint64_t earlier_runs() const noexcept { return earlier_seen_.size(); }

 private:
  void end_stream();
  void add_to_run(const git::StoredResult& result);

  StreamSum stream_;
  std::string stream_name_;
  DurationCounts stream_durations_;
  std::set<std::uint64_t> earlier_seen_;
};

}  // namespace pawl::tool
