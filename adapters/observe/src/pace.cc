#include <cmath>

#include <pawl/observe.h>

namespace pawl::observe {

void Pace::update(RunView& view) {
  // A window's worth of samples at ten a second is what is kept, however often it is asked.
  const auto least_gap = window_ / 128;
  if (samples_.empty() || view.elapsed - samples_.back().at >= least_gap) {
    samples_.push_back({view.elapsed, view.finished()});
  }
  while (samples_.size() > 2 && view.elapsed - samples_[1].at >= window_) samples_.pop_front();

  // In its first window a run is measured from its beginning.
  const bool young = view.elapsed <= window_;
  const Sample from = young ? Sample{std::chrono::milliseconds{0}, 0} : samples_.front();
  const double seconds = std::chrono::duration<double>(view.elapsed - from.at).count();
  const auto done = view.finished() - from.finished;
  view.rate_per_s = seconds > 0 ? static_cast<double>(done) / seconds : 0;

  view.eta.reset();
  const auto all = view.total();
  if (!all || view.rate_per_s <= 0 || view.phase == Phase::done) return;
  const double left = static_cast<double>(*all - view.finished()) / view.rate_per_s;
  constexpr double kLongestSeconds = 100.0 * 365 * 24 * 3600;
  if (left < kLongestSeconds) view.eta = std::chrono::seconds{std::llround(std::ceil(left))};
}

}  // namespace pawl::observe
