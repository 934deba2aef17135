#include "feeder.h"

#include <pawl/thread.h>

#include "digest.h"

namespace pawl::tool {

Feeder::Feeder(Engine& engine, Planner& planner, StopFlag& stop, Sources sources,
               std::function<void(std::string)> message)
    : engine_(engine), planner_(planner), stop_(stop), sources_(std::move(sources)), message_(std::move(message)) {
  bytes_total_ = 0;
  for (const auto& reader : sources_.readers) {
    lanes_.push_back(std::make_unique<Lane>());
    const auto total = reader->bytes_total();
    bytes_total_ = bytes_total_ && total ? std::optional(*bytes_total_ + *total) : std::nullopt;
  }
  if (sources_.failed) lanes_.push_back(std::make_unique<Lane>());
  thread_ = std::thread([this] { run(); });
}

Feeder::~Feeder() {
  stop_.raise();
  wait();
}

void Feeder::wait() {
  if (thread_.joinable()) thread_.join();
}

void Feeder::run() {
  name_this_thread("pawl-feed");
  // One for all: what one producer submits reaches the call stage in the order of acceptance. The planner lets one
  // thread at a time submit anyway.
  Producer producer = engine_.producer();
  bool complete = feed_recovered(producer);
  if (complete) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < sources_.readers.size(); ++i)
      threads.emplace_back([this, i, &producer] { feed(*sources_.readers[i], *lanes_[i], producer); });
    if (sources_.failed) feed_failed(*lanes_.back(), producer);
    for (auto& thread : threads) thread.join();
  }
  complete = complete && !stop_.raised() && !error().has_value();
  complete_.store(complete, std::memory_order_release);
}

bool Feeder::feed_recovered(Producer& producer) {
  if (sources_.borrowed_journal == nullptr) return true;
  Recovered task;
  while (!stop_.raised()) {
    const auto more = sources_.borrowed_journal->next(task);
    if (!more) return fail(more.error()), false;
    if (!*more) return true;
    const auto held = planner_.holds(task.request);
    if (!held) return fail(held.error()), false;
    if (*held) {
      planner_.know_position(task.request);
      sources_.borrowed_journal->forget(task);
      committed_before_.fetch_add(1, std::memory_order_relaxed);  // relaxed: shown only, as all counts here
      continue;
    }
    if (auto known = planner_.know(task.request); !known) return fail(known.error()), false;
    const bool in_doubt = task.in_doubt;
    if (in_doubt && sources_.hold_in_doubt) planner_.hold_stream(task.request.stream);
    if (producer.submit_recovered(task) != Admission::accepted) return false;
    recovered_.fetch_add(1, std::memory_order_relaxed);
    if (in_doubt) in_doubt_.fetch_add(1, std::memory_order_relaxed);
  }
  return false;
}

void Feeder::feed(input::Reader& reader, Lane& lane, Producer& producer) {
  name_this_thread("pawl-input");
  Digester digester;
  Request request;
  while (!stop_.raised()) {
    const auto more = reader.next(request);
    lane.bytes.store(reader.bytes_read(), std::memory_order_relaxed);
    if (!more) {
      if (sources_.on_bad_line == OnBadLine::stop || more.error().code != ErrorCode::input) return fail(more.error());
      lane.bad.fetch_add(1, std::memory_order_relaxed);
      message_(more.error().context + " (skipped)");
      continue;
    }
    if (!*more) return;
    lane.read.fetch_add(1, std::memory_order_relaxed);
    digester.set(request);
    const auto decision = planner_.offer(request, producer);
    if (!decision) return fail(decision.error());
    if (*decision == Planner::Decision::closed) return stop_.raise();
  }
}

void Feeder::feed_failed(Lane& lane, Producer& producer) {
  git::StoredRecord record;
  while (!stop_.raised()) {
    const auto more = sources_.failed->next(record);
    if (!more) return fail(more.error());
    if (!*more) return;
    lane.read.fetch_add(1, std::memory_order_relaxed);
    const auto decision = planner_.offer(record.request, producer);
    if (!decision) return fail(decision.error());
    if (*decision == Planner::Decision::closed) return stop_.raise();
  }
}

void Feeder::fail(const Error& error) {
  {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = error;
  }
  stop_.raise();
}

std::optional<Error> Feeder::error() const {
  const std::lock_guard lock(error_mutex_);
  return error_;
}

Feeder::Counts Feeder::counts() const noexcept {
  Counts counts;
  counts.in_doubt = in_doubt_.load(std::memory_order_relaxed);
  counts.recovered = recovered_.load(std::memory_order_relaxed);
  counts.committed_before = committed_before_.load(std::memory_order_relaxed);
  counts.bytes_total = bytes_total_;
  for (const auto& lane : lanes_) {
    counts.read += lane->read.load(std::memory_order_relaxed);
    counts.bad_lines += lane->bad.load(std::memory_order_relaxed);
    counts.bytes_read += lane->bytes.load(std::memory_order_relaxed);
  }
  return counts;
}

}  // namespace pawl::tool
