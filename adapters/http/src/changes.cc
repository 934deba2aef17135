#include "changes.h"

#include <chrono>

#include "lessons.h"
#include "send_gate.h"
#include "surroundings.h"
#include "wait_line.h"

namespace pawl::http {

Result<void> PendingChanges::ask(const Changes& changes) {
  const std::lock_guard lock(mutex_);
  Options wanted = asked_;
  if (changes.parallel_max) wanted.parallel_max = *changes.parallel_max;
  if (changes.rate) wanted.rate = *changes.rate;
  if (changes.rate_tokens) wanted.rate_tokens = *changes.rate_tokens;
  if (auto valid = wanted.validate(); !valid) return valid;
  if (auto room = connections_per_shard(wanted.parallel_max, parts_); !room) return std::unexpected(room.error());
  asked_ = std::move(wanted);
  if (changes.paused) pause_asked_ = *changes.paused;
  if (changes.rate || changes.rate_tokens) rates_asked_ = true;
  news_.store(true, std::memory_order_release);  // release [P1]: pairs with any()
  return {};
}

void PendingChanges::apply(TransferSetup& setup, WaitLine& line, SendGate& gate) {
  const std::lock_guard lock(mutex_);
  news_.store(false, std::memory_order_relaxed);  // relaxed: the mutex orders it
  paused_ = pause_asked_;
  Options& options = setup.options;
  options.parallel_max = asked_.parallel_max;
  options.rate = asked_.rate;
  options.rate_tokens = asked_.rate_tokens;
  line.set_rules(line_rules(options), rates_asked_ ? LaneGate::Rates::fresh : LaneGate::Rates::same,
                 std::chrono::steady_clock::now());
  rates_asked_ = false;
  gate.set_limits(options.parallel_max, line.host_max(), paces(options) ? 0 : SendGate::kAheadMax);
}

}  // namespace pawl::http
