#include <algorithm>

#include <pawl/observe.h>

namespace pawl::observe {

std::string_view name_of(Phase phase) noexcept {
  switch (phase) {
    case Phase::running: return "running";
    case Phase::draining: return "draining";
    case Phase::stopping: return "stopping";
    case Phase::done: return "done";
  }
  return "unknown";
}

// The gauge is read at another instant than the counters, so it may exceed what they leave for it.
std::uint64_t RunView::calling() const noexcept { return std::min(status.call.active, status.in_call_stage()); }

std::uint64_t RunView::waiting() const noexcept { return status.admitted - status.called - calling(); }

std::uint64_t RunView::ordering() const noexcept { return status.called - status.retired; }

std::optional<std::uint64_t> RunView::total() const noexcept {
  if (tasks_total) return std::max(*tasks_total, finished() + status.in_flight());
  if (!bytes_total || bytes_read == 0 || inputs_read == 0) return std::nullopt;
  const double tasks_per_byte = static_cast<double>(inputs_read) / static_cast<double>(bytes_read);
  const auto from_inputs = bytes_read >= *bytes_total
                               ? inputs_read
                               : static_cast<std::uint64_t>(tasks_per_byte * static_cast<double>(*bytes_total));
  return std::max(from_inputs + recovered, finished() + status.in_flight());
}

std::optional<double> RunView::fraction() const noexcept {
  const auto all = total();
  if (!all || *all == 0) return std::nullopt;
  return std::min(1.0, static_cast<double>(finished()) / static_cast<double>(*all));
}

}  // namespace pawl::observe
