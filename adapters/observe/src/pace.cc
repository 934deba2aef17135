#include <algorithm>
#include <cmath>

#include <pawl/observe.h>

namespace pawl::observe {

namespace {

double in_seconds(std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); }

std::optional<std::chrono::seconds> time_for(double tasks, double rate_per_s) {
  constexpr double kLongestSeconds = 100.0 * 365 * 24 * 3600;
  if (rate_per_s <= 0 || tasks / rate_per_s >= kLongestSeconds) return std::nullopt;
  return std::chrono::seconds{std::llround(std::ceil(tasks / rate_per_s))};
}

}  // namespace

// Standard error of the mean rate, from the rates of slices of a tenth of the window; none if there are too few.
std::optional<double> Pace::rate_error(const Sample& from, const Sample& to) const {
  constexpr std::size_t kFewest = 3;
  const auto slice = window_ / 10;
  std::size_t count = 0;
  double sum = 0, squares = 0;
  Sample begin = from;
  const auto cut = [&](const Sample& end) {
    const double rate = static_cast<double>(end.finished - begin.finished) / in_seconds(end.at - begin.at);
    ++count;
    sum += rate;
    squares += rate * rate;
    begin = end;
  };
  for (const Sample& sample : samples_) {
    if (sample.at >= begin.at + slice) cut(sample);
  }
  if (to.at >= begin.at + slice) cut(to);
  if (count < kFewest) return std::nullopt;
  const auto n = static_cast<double>(count);
  const double variance = std::max(0.0, (squares - sum * sum / n) / (n - 1));
  return std::sqrt(variance / n);
}

void Pace::update(RunView& view) {
  const Sample now{view.elapsed, view.finished(), view.status.saved, view.status.called, view.status.retired};
  // A window's worth of samples at ten a second is what is kept, however often it is asked.
  const auto least_gap = window_ / 128;
  if (samples_.empty() || now.at - samples_.back().at >= least_gap) samples_.push_back(now);
  while (samples_.size() > 2 && now.at - samples_[1].at >= window_) samples_.pop_front();

  // In its first window a run is measured from its beginning.
  const Sample from = now.at <= window_ ? Sample{} : samples_.front();
  const double seconds = in_seconds(now.at - from.at);
  const auto rate = [seconds](std::uint64_t before, std::uint64_t after) {
    return seconds > 0 ? static_cast<double>(after - before) / seconds : 0;
  };
  view.rate_per_s = rate(from.finished, now.finished);
  view.save.rate_per_s = rate(from.saved, now.saved);
  view.call.rate_per_s = rate(from.called, now.called);
  view.commit.rate_per_s = rate(from.retired, now.retired);

  view.eta.reset();
  view.eta_low.reset();
  view.eta_high.reset();
  const auto all = view.total();
  if (!all || view.rate_per_s <= 0 || view.phase == Phase::done) return;
  const auto left = static_cast<double>(*all - view.finished());
  view.eta = time_for(left, view.rate_per_s);
  const auto error = rate_error(from, now);
  if (!view.eta || !error) return;
  view.eta_low = time_for(left, view.rate_per_s + 2 * *error);
  view.eta_high = time_for(left, view.rate_per_s - 2 * *error);
}

}  // namespace pawl::observe
