// The run that the tests of this folder show.
#pragma once

#include <pawl/observe.h>

namespace pawl::observe {

inline RunView busy_view() {
  RunView view;
  view.status.admitted = 5197;
  view.status.saved = 5195;
  view.status.called = 4129;
  view.status.ordered = 4101;
  view.status.retired = 4098;
  view.status.committed = 4096;
  view.status.failed = 2;
  view.status.unfinished = 2;
  view.status.bytes_in_flight = 1228800;
  view.status.call = {.waiting = 807, .active = 256, .delayed = 3};
  view.inputs_read = 5297;
  view.skipped = 100;
  view.retried = 17;
  view.tasks_total = 8396;
  view.elapsed = std::chrono::milliseconds{2100};
  view.latency = {52.1, 110.4, 240, 301.4, 412.7};
  view.rate_per_s = 1930.4;
  view.eta = std::chrono::seconds{41};
  view.eta_low = std::chrono::seconds{38};
  view.save = {.depth = 2, .rate_per_s = 1950, .latency = {}};
  view.call = {.depth = 1066, .rate_per_s = 1940.5, .latency = view.latency};
  view.commit = {.depth = 31, .rate_per_s = 1930.4, .latency = {}};
  view.budget = {.calls = 4200,
                 .calls_max = 10'000,
                 .tokens = 0,
                 .tokens_max = 0,
                 .time_max = {},
                 .time = std::chrono::milliseconds{1900}};
  return view;
}

}  // namespace pawl::observe
