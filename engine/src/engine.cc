#include <pawl/engine.h>

#include <algorithm>
#include <cstdio>

#include "base/check.h"
#include "base/coarse_clock.h"
#include "engine_impl.h"

namespace pawl {

using std::chrono_literals::operator""ms;

Result<std::unique_ptr<Engine>> Engine::make(const Limits& limits, Stages stages, RetireFn on_retire) {
  if (auto valid = limits.validate(); !valid) return std::unexpected(valid.error());
  if (!stages.save || !stages.call || !stages.commit)
    return failure(ErrorCode::usage, "an engine needs a save, a call and a commit stage");
  return std::unique_ptr<Engine>(new Engine(std::make_unique<Impl>(limits, std::move(stages), std::move(on_retire))));
}

Engine::Engine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Engine::~Engine() {
  if (status().in_flight() != 0) abort();
  if (!close(time_in(impl_->stop_patience))) {
    for (const Overdue& task : overdue(std::chrono::milliseconds(0), 10))
      std::fprintf(stderr, "pawl: %s for %lld ms: stream %s, id %s\n", std::string(name_of(task.place)).c_str(),
                   static_cast<long long>(task.age.count()), task.stream.c_str(), task.id.c_str());
    check_failed("every stage gives its tasks back after an abort", __FILE__, __LINE__);
  }
  impl_->graph->stop();
}

void Engine::flush() { static_cast<void>(flush(Deadline::max())); }

bool Engine::flush(Deadline deadline) {
  Core& core = impl_->core;
  core.waiters.fetch_add(1, std::memory_order_seq_cst);  // [W1]: before the look at the counters
  if (core.commit_is_waited_for()) impl_->stages.commit->hurry();
  const bool all = core.epochs.flush(deadline);
  core.waiters.fetch_sub(1, std::memory_order_relaxed);  // relaxed: a late look only hurries for nothing
  return all;
}

void Engine::stop_admission() noexcept {
  impl_->core.epochs.begin_close();
  impl_->core.credits.wake_waiters();
}

void Engine::close() { static_cast<void>(close(Deadline::max())); }

bool Engine::close(Deadline deadline) {
  stop_admission();
  return flush(deadline);
}

void Engine::drain() noexcept {
  stop_admission();
  impl_->stages.save->cancel(Cancel::waiting);
  impl_->stages.call->cancel(Cancel::waiting);
  // Not the commit stage: what has been called is to be committed.
}

Status Engine::abort() noexcept {
  stop_admission();
  const Status found = status();
  impl_->stages.save->cancel(Cancel::all);
  impl_->stages.call->cancel(Cancel::all);
  impl_->stages.commit->cancel(Cancel::all);
  return found;
}

Status Engine::status() const noexcept {
  const Core& core = impl_->core;
  Status status;
  // Reverse stage order, parts before their whole: see Status.
  status.failed = core.failed.read();
  status.unchanged = core.unchanged.read();
  status.committed = core.committed.read();
  status.unfinished = core.unfinished.read();
  status.retired = status.committed + status.unfinished;
  status.ordered = core.ordered.read();
  status.called = core.called.read();
  status.saved = core.saved.read();
  status.admitted = core.admitted.read();
  status.bytes_in_flight = core.credits.bytes();
  status.save = impl_->stages.save->gauge();
  status.call = impl_->stages.call->gauge();
  status.commit = impl_->stages.commit->gauge();
  return status;
}

std::vector<Overdue> Engine::overdue(std::chrono::milliseconds bound, std::size_t most) const {
  Credits& credits = impl_->core.credits;
  const auto now = coarse_now();
  struct Seen {
    std::uint32_t index;
    Place place;
    std::chrono::milliseconds age;
  };
  std::vector<Seen> seen_long;
  const Look look(credits);
  for (std::uint32_t index = 1; index <= credits.size(); ++index) {
    const Slot& slot = credits.slot(index);
    const auto seen = slot.where.look();
    const auto age = std::max(now - seen.since, 0ms);  // it may have moved since `now`
    if (seen.place != Place::none && age >= bound) seen_long.push_back({index, seen.place, age});
  }
  const auto end = seen_long.begin() + static_cast<std::ptrdiff_t>(std::min(most, seen_long.size()));
  std::partial_sort(seen_long.begin(), end, seen_long.end(),
                    [](const Seen& a, const Seen& b) { return a.age > b.age; });
  std::vector<Overdue> found;
  for (auto seen = seen_long.begin(); seen != end; ++seen) {
    const Slot& slot = credits.slot(seen->index);
    found.push_back({slot.request.stream, slot.request.id, seen->place, seen->age});
  }
  return found;
}

}  // namespace pawl
