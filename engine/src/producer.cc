// Admission: the way from a caller's request to the intake queue.
#include <algorithm>
#include <thread>

#include "base/check.h"
#include "core.h"
#include "engine_impl.h"

namespace pawl {

struct Producer::Impl {
  explicit Impl(Core& owner)
      : core(owner),
        shard(owner.shards.take()),
        intake(owner.intake.producer()),
        lot(owner.credits.join()),
        word(owner.epochs.word(shard)),
        admitted(owner.admitted.shard(shard)) {}
  ~Impl() {
    give_back();
    core.credits.leave(lot);
    core.shards.give(shard);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Makes sure that at least one slot is at hand; takes at most a lot.
  bool take_slots() noexcept {
    if (held != 0) return true;
    held = core.credits.take_slots(slots, lot);
    prefetch_slots(1);
    return held != 0;
  }
  void give_back() noexcept {
    if (held != 0) core.credits.give_slots(slots, held);
    held = 0;
  }

  /// Admits `count` tasks whose slots and bytes are at hand; `fill(i, slot)` hands over the i-th. False: closed.
  /// noexcept: once counted in, a task must reach the queue; out of memory ends the process.
  template <class Fill>
  bool admit(std::size_t count, Fill&& fill) noexcept {
    const auto entry = Epochs<>::admit(word, count);
    if (!entry.admitted) return false;
    if (shard != Shards<>::kShared)
      admitted.add_alone(count);
    else
      admitted.add(count);
    Slot* batch[Credits::kMostAtOnce];
    for (std::size_t i = 0; i < count; ++i) core.streams.look_ahead(streams[i], keys[i], Slab{*this});
    for (std::size_t i = 0; i < count; ++i) {
      Slot& slot = *slots[--held];
      if (slot.fate != Fate::live) slot.error.reset();
      slot.fate = Fate::live;
      slot.saved = slot.committed = slot.unchanged = slot.sent = slot.in_doubt = false;
      slot.parity = entry.parity;
      slot.holders.store(1, std::memory_order_relaxed);  // relaxed: published by enter()
      fill(i, slot);
      batch[i] = &slot;
    }
    for (std::size_t i = 0; i < count; ++i)
      batch[i]->stream = &core.streams.enter(streams[i], keys[i], batch[i]->index, Slab{*this});
    if (count == 1)
      core.intake.put(intake, batch[0]);
    else
      core.intake.put(intake, batch, count);
    if (core.intake_bell.take_ring()) core.pump->poke();
    prefetch_slots(count);
    return true;
  }
  /// Asks for the lines of the slots that the next tasks will be put into, so that they come while the caller makes
  /// those tasks.
  void prefetch_slots(std::size_t most) noexcept {
    for (std::size_t i = held; i != 0 && held - i < most; --i) slots[i - 1]->prefetch_to_fill();
  }
  /// Notes the stream of the `i`-th of the next tasks, and asks for its line.
  void note_stream(std::size_t i, std::string_view name) noexcept {
    keys[i] = Streams<>::key_of(name);
    core.streams.prefetch(keys[i]);
  }

  /// How a task finds its predecessor in its stream, see StreamTurns.
  struct Slab {
    Producer::Impl& producer;
    [[nodiscard]] Streams<>::Link& link(std::uint32_t index) const noexcept {
      return producer.core.credits.slot(index);
    }
    void hold(std::uint32_t) const noexcept {}  // the order node does
    void release(std::uint32_t index) const noexcept {
      Slot& slot = producer.core.credits.slot(index);
      if (slot.let_go()) producer.take_back(slot);
    }
  };
  /// The slot of a task that retired before its successor in the stream was linked to it.
  void take_back(Slot& slot) noexcept {
    Slot* one = &slot;
    if (held + 1 < lot && core.credits.nobody_looks())
      slots[held++] = one;  // not more than this producer may hold ahead
    else
      core.credits.give_slots(&one, 1);
  }

  /// One task; `fill(slot)` swaps it in. Never waits.
  template <class Fill>
  Admission try_one(const Request& request, std::uint64_t bytes, Fill&& fill) {
    if (core.epochs.closing()) return Admission::closed;
    if (!take_slots()) return Admission::full;
    note_stream(0, request.stream);
    if (!core.credits.take_bytes(bytes, given_seen)) {
      give_back();  // others may have a smaller task
      return Admission::full;
    }
    const bool in = admit(1, [&](std::size_t, Slot& slot) {
      fill(slot);
      slot.bytes = bytes;
    });
    if (in) return Admission::accepted;
    core.credits.give_bytes(bytes);
    give_back();
    return Admission::closed;
  }

  template <class Fill>
  Admission one(const Request& request, std::uint64_t bytes, Fill&& fill) {
    for (unsigned tries = 0;; ++tries) {
      const Admission admission = try_one(request, bytes, fill);
      if (admission != Admission::full) return admission;
      if (tries < kYields)
        std::this_thread::yield();
      else
        core.credits.wait(bytes, [this] { return core.epochs.closing(); });
    }
  }

  static constexpr unsigned kYields = 16;  // ringing a sleeper costs microseconds, so look again first

  Core& core;
  const std::size_t shard;
  PointerQueue<Slot>::ProducerToken intake;
  const std::size_t lot;  // most slots to take at once
  Epochs<>::Word& word;
  Counter<>& admitted;
  Slot* slots[Credits::kMostAtOnce];  // taken ahead; the last `held` are free for use
  std::size_t held = 0;
  std::uint64_t given_seen = 0;  // for Credits::take_bytes()
  // By place in the batch that is being submitted: the stream's key, and where a task of that place entered last.
  std::uint64_t keys[Credits::kMostAtOnce];
  Streams<>::Handle streams[Credits::kMostAtOnce];
};

namespace {

void exchange_text(std::string& mine, std::string& yours) noexcept {
  if (!mine.empty() || !yours.empty()) mine.swap(yours);
}

/// What the caller gets back are used buffers.
void take_request(Request& request, Slot& slot) noexcept {
  Request& mine = slot.request;
  mine.task_id = request.task_id;
  mine.position = request.position;
  mine.digest = request.digest;
  exchange_text(mine.stream, request.stream);
  exchange_text(mine.id, request.id);
  exchange_text(mine.method, request.method);
  exchange_text(mine.url, request.url);
  exchange_text(mine.content_type, request.content_type);
  exchange_text(mine.body, request.body);
  if (!mine.headers.empty() || !request.headers.empty()) mine.headers.swap(request.headers);
  slot.save_mark = slot.answer_mark = slot.sent_mark = 0;
}

}  // namespace

Producer::Producer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Producer::Producer(Producer&&) noexcept = default;
Producer& Producer::operator=(Producer&&) noexcept = default;
Producer::~Producer() = default;

Admission Producer::try_submit(Request& request) {
  return impl_->try_one(request, request.bytes(), [&](Slot& slot) { take_request(request, slot); });
}

Admission Producer::submit(Request& request) {
  return impl_->one(request, request.bytes(), [&](Slot& slot) { take_request(request, slot); });
}

std::size_t Producer::submit_bulk(std::span<Request> requests) {
  if (requests.empty() || impl_->core.epochs.closing() || !impl_->take_slots()) return 0;
  const std::size_t most = std::min(requests.size(), impl_->held);
  // As many as the byte limit allows at all: only one task may be larger than it, and only alone.
  std::size_t count = 1;
  std::uint64_t bytes = requests[0].bytes();
  for (; count < most; ++count) {
    const std::uint64_t more = requests[count].bytes();
    if (bytes + more > impl_->core.credits.bytes_limit()) break;
    bytes += more;
  }
  if (!impl_->core.credits.take_bytes(bytes, impl_->given_seen)) {  // not all: then the first alone
    count = 1;
    bytes = requests[0].bytes();
    if (!impl_->core.credits.take_bytes(bytes, impl_->given_seen)) {
      impl_->give_back();
      return 0;
    }
  }
  for (std::size_t i = 0; i < count; ++i) impl_->note_stream(i, requests[i].stream);
  const bool in = impl_->admit(count, [&](std::size_t i, Slot& slot) {
    slot.bytes = requests[i].bytes();
    take_request(requests[i], slot);
  });
  if (in) return count;
  impl_->core.credits.give_bytes(bytes);
  impl_->give_back();
  return 0;
}

Admission Producer::submit_recovered(Recovered& recovered) {
  const std::uint64_t bytes = recovered.request.bytes() + recovered.outcome.body.size();
  return impl_->one(recovered.request, bytes, [&](Slot& slot) {
    take_request(recovered.request, slot);
    std::swap(slot.outcome, recovered.outcome);
    slot.saved = true;
    slot.save_mark = recovered.save_mark;
    slot.answer_mark = recovered.answer_mark;
    slot.sent_mark = recovered.sent_mark;
    slot.sent = slot.in_doubt = recovered.in_doubt;
  });
}

Producer Engine::producer() { return Producer(std::make_unique<Producer::Impl>(impl_->core)); }

}  // namespace pawl
