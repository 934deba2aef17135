// History: a run since its start in a bounded number of points. When it is full every other point goes and the time
// between two doubles, so a run of any length is shown whole.
//
// Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <pawl/observe.h>

namespace pawl::observe {

class History {
 public:
  /// Keeps at most `most` points, at least 4.
  explicit History(std::size_t most = 600) : most_(most) {}

  /// Takes the view as a point, unless the last one is younger than the time between two. `view.elapsed` must not go
  /// back.
  void add(const RunView& view);

  /// {"every_ms":1000,"fields":["elapsed_ms",…],"points":[[…],…]}
  [[nodiscard]] std::string to_json() const;

  [[nodiscard]] std::size_t size() const noexcept { return points_.size(); }
  [[nodiscard]] std::chrono::milliseconds every() const noexcept { return every_; }

 private:
  struct Point {
    std::chrono::milliseconds at;
    std::uint64_t finished, failed, retried, waiting, calling, ordering;
    double p50_ms, p99_ms;  // of the calls since the point before; negative: there were none
  };

  std::size_t most_;
  std::chrono::milliseconds every_{1000};
  std::vector<Point> points_;
  HistogramView call_times_;  // at the last point
};

/// Milliseconds that `share` (0 … 1) of what came between two states of one histogram did not exceed, by interpolation
/// within a bucket; negative if nothing came.
[[nodiscard]] double quantile_between(const HistogramView& before, const HistogramView& after, double share);

}  // namespace pawl::observe
