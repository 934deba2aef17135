// Ends transfers whose server lets them wait for a byte for too long (Options::first_byte_time_max, idle_time_max).
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include <pawl/http.h>

#include "transfer.h"

namespace pawl::http {

/// Calls `end` for each transfer that has waited for too long; returns when to look again. Looks at all of them, so
/// not more often than what it returns says.
template <class End>
std::chrono::steady_clock::time_point end_late(std::vector<std::unique_ptr<Transfer>>& transfers,
                                               const Options& options, std::chrono::steady_clock::time_point now,
                                               End end) {
  using Time = std::chrono::steady_clock::time_point;
  using std::chrono::milliseconds;
  // Whatever begins now is not late before the shorter of the two limits is over.
  Time next = now + milliseconds(100);
  for (const auto limit : {options.first_byte_time_max, options.idle_time_max}) {
    if (limit.count() > 0) next = std::min<Time>(next, now + limit);
  }
  for (auto& transfer : transfers) {
    const auto ends = transfer->call() != nullptr ? transfer->patience_ends() : std::nullopt;
    if (!ends) continue;
    if (*ends > now) {
      next = std::min(next, std::max(*ends, Time(now + milliseconds(1))));
      continue;
    }
    transfer->lose_patience();
    end(*transfer);
  }
  return next;
}

}  // namespace pawl::http
