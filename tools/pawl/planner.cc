#include "planner.h"

#include <fmt/format.h>

#include <pawl/http.h>

namespace pawl::tool {

bool Planner::runs(const git::CommittedKey& known, const Request& request) const noexcept {
  // A key whose request has changed since is on its way already: the journal gave it back.
  if (options_.rerun == Rerun::recorded) return !known.success && known.digest == request.digest;
  if (options_.rerun == Rerun::all || known.digest != request.digest) return true;
  return options_.rerun == Rerun::failed && !known.success;
}

bool Planner::is_held(const std::string& stream) const {
  if (!any_held_.load(std::memory_order_acquire)) return false;  // acquire [H1]: the set holds what made it true
  const std::lock_guard lock(held_mutex_);
  return held_streams_.contains(stream);
}

void Planner::hold_stream(const std::string& stream) {
  const std::lock_guard lock(held_mutex_);
  held_streams_.insert(stream);
  any_held_.store(true, std::memory_order_release);  // release [H1]
}

void Planner::make_key_fresh(Request& request) const {
  if (http::has_idempotency_key(request)) return;  // the input's own
  request.headers.push_back(fmt::format("Idempotency-Key: {}-{:x}", http::idempotency_key(request), options_.run));
}

Result<Planner::Decision> Planner::offer(Request& request, Producer& producer) {
  const std::lock_guard lock(mutex_);
  if (is_held(request.stream)) {
    held_back_.fetch_add(1, std::memory_order_relaxed);  // relaxed: shown only
    return Decision::held;
  }
  request.task_id = {options_.run, ordinal_ + 1};
  if (borrowed_index_ == nullptr) {
    request.position = position_;
    if (request.method != "GET" && request.method != "HEAD") make_key_fresh(request);
    if (producer.submit(request) != Admission::accepted) return Decision::closed;
    ++ordinal_;
    ++position_;
    return Decision::submitted;
  }
  auto known = borrowed_index_->find(request.stream, request.id);
  if (!known) return std::unexpected(known.error());
  if (*known && !runs(**known, request)) {
    skipped_.fetch_add(1, std::memory_order_relaxed);  // relaxed: shown only, and read when all inputs have ended
    // Rerun::recorded takes up all failures: what it passes over has another request by now.
    if (!(*known)->success && options_.rerun != Rerun::recorded)
      skipped_failed_.fetch_add(1, std::memory_order_relaxed);  // relaxed: likewise
    return Decision::skipped;
  }
  if (*known) {
    request.position = (*known)->position;  // the record is replaced where it lies
    if (options_.rerun == Rerun::all && (*known)->digest == request.digest) make_key_fresh(request);
  } else {
    auto position = borrowed_index_->take_position(request.stream);
    if (!position) return std::unexpected(position.error());
    request.position = *position;
  }
  // Known before it is in, because it may retire at once, as a failure (note_failure). If it does not get in, the
  // index knows a key that nobody will commit, so it must not be kept: see index_is_true().
  if (auto put = put_newest(request); !put) return std::unexpected(put.error());
  if (producer.submit(request) == Admission::accepted) {
    ++ordinal_;
    return Decision::submitted;
  }
  incomplete_.store(true, std::memory_order_release);
  return Decision::closed;
}

Result<bool> Planner::holds(const Request& recovered) {
  if (borrowed_index_ == nullptr) return false;  // layout raw keeps no record of a key
  auto known = borrowed_index_->find(recovered.stream, recovered.id);
  if (!known) return std::unexpected(known.error());
  return *known && (*known)->task_id >= recovered.task_id;
}

void Planner::know_position(const Request& committed) {
  if (borrowed_index_ != nullptr) borrowed_index_->see_position(committed.stream, committed.position);
}

Result<void> Planner::know(const Request& recovered) {
  if (borrowed_index_ == nullptr) return {};
  know_position(recovered);
  return put_newest(recovered);
}

Result<void> Planner::put_newest(const Request& request) {
  const std::lock_guard lock(newest_mutex_);
  return borrowed_index_->put(request.stream, request.id, {request.position, request.digest, true, request.task_id});
}

Result<void> Planner::note_failure(const Request& request) {
  if (borrowed_index_ == nullptr) return {};
  const std::lock_guard lock(newest_mutex_);
  const auto known = borrowed_index_->find(request.stream, request.id);
  if (!known) return std::unexpected(known.error());
  // A younger task of the key, whose request has changed since, is on its way: it is the one that the branch will hold.
  if (*known && (*known)->task_id != request.task_id) return {};
  return borrowed_index_->put(request.stream, request.id, {request.position, request.digest, false, request.task_id});
}

}  // namespace pawl::tool
