// From what the parts of a run know of themselves to what is shown of it.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/engine.h>
#include <pawl/http.h>
#include <pawl/observe.h>
#include <pawl/stages.h>

#include "options.h"

namespace pawl::tool {

struct ShownStages {
  const Stage& save;
  const http::CallStage& call;
  const Stage& commit;
};

/// Depths and latencies of the stages, lanes, budget, retries and the note, from `view.status` and what they say. Any
/// thread.
void show_stages(observe::RunView& view, const ShownStages& stages, const RunOptions& options);

/// "https://user@host:1/path": "host:1". Pure.
[[nodiscard]] std::string_view host_of(std::string_view url);

/// "127.0.0.1:8080: status 404" of a task whose outcome is no 2xx. Pure.
[[nodiscard]] std::string failure_text(const Task& task);

/// Layout raw keeps no record of a failure, so it is said. Pure.
[[nodiscard]] std::string failure_in_raw(const Task& task);

/// Where the record of a committed task lies in the repository; empty: layout raw keeps none. Pure.
[[nodiscard]] std::string record_of(const Task& task, const RunOptions& options);

/// The streams that wait longest, looked for at most once a second: it looks at every task in flight.
class SlowStreams {
 public:
  /// Any thread.
  [[nodiscard]] std::vector<observe::StreamView> look(const Engine& engine);

 private:
  std::mutex mutex_;  // guards both
  std::chrono::steady_clock::time_point next_{};
  std::vector<observe::StreamView> found_;
};

}  // namespace pawl::tool
