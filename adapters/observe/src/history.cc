#include "history.h"

#include <cmath>

namespace pawl::observe {

double quantile_between(const HistogramView& before, const HistogramView& after, double share) {
  const auto count_of = [&](std::size_t i) {
    return after.buckets[i].count - (i < before.buckets.size() ? before.buckets[i].count : 0);
  };
  const std::uint64_t count = after.count - before.count;
  if (count == 0 || after.buckets.empty()) return -1;
  const double wanted = share * static_cast<double>(count);
  double low_ms = 0;
  double seen = 0;  // up to low_ms
  for (std::size_t i = 0; i < after.buckets.size(); ++i) {
    const auto here = static_cast<double>(count_of(i));
    const double high_ms = after.buckets[i].at_most_s * 1000;
    if (here >= wanted && here > seen) return low_ms + (high_ms - low_ms) * (wanted - seen) / (here - seen);
    low_ms = high_ms;
    seen = here;
  }
  return low_ms;  // beyond the last bound
}

void History::add(const RunView& view) {
  if (!points_.empty() && view.elapsed < points_.back().at + every_) return;
  if (points_.size() >= most_) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < points_.size(); i += 2) points_[kept++] = points_[i];
    points_.resize(kept);
    every_ *= 2;
    if (view.elapsed < points_.back().at + every_) return;
  }
  points_.push_back({view.elapsed, view.finished(), view.status.failed, view.retried, view.waiting(), view.calling(),
                     view.ordering(), quantile_between(call_times_, view.call.times, 0.5),
                     quantile_between(call_times_, view.call.times, 0.99)});
  call_times_ = view.call.times;
}

std::string History::to_json() const {
  std::string json = "{\"version\":1,\"every_ms\":" + std::to_string(every_.count()) +
                     ",\"fields\":[\"elapsed_ms\",\"finished\",\"failed\",\"retried\",\"waiting\",\"calling\","
                     "\"ordering\",\"p50_ms\",\"p99_ms\"],\"points\":[";
  const auto tenths = [](double ms) {
    return ms < 0 ? std::string("null")
                  : std::to_string(std::llround(ms * 10) / 10) + "." + std::to_string(std::llround(ms * 10) % 10);
  };
  for (const Point& point : points_) {
    if (&point != points_.data()) json += ',';
    json += '[' + std::to_string(point.at.count());
    for (const auto number :
         {point.finished, point.failed, point.retried, point.waiting, point.calling, point.ordering})
      json += ',' + std::to_string(number);
    json += ',' + tenths(point.p50_ms) + ',' + tenths(point.p99_ms) + ']';
  }
  return json + "]}";
}

}  // namespace pawl::observe
