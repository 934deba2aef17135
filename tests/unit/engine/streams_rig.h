// Tasks, slots and the rules they must keep, for tests that drive streams through chosen orders of atomic operations.
//
// Producers enter tasks, one actor has them arrive in a chosen order and one retires them, so that slots and streams
// are used again while others still look at them. Everything that is not an atomic of the code under test is plain: all
// actors are fibers of one thread (stepped.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "order/streams.h"
#include "stepped.h"

namespace pawl::test {

class StreamsRig {
 public:
  using S = Streams<SteppedAtom>;
  using Choose = Stepped::Choose;
  struct Shape {
    std::size_t slots = 3;
    std::uint64_t breaks = 0;  // one in so many tasks is unfinished; 0: none
    std::size_t handles = 1;   // of each producer; with several, any of them, and sometimes with a look ahead
    StreamLimits limits{.tasks_in_flight = 1, .idle_streams = 0, .buckets_min = 1};
  };

  /// `keys[p]`: what producer p submits to, in order.
  StreamsRig(const Shape& shape, std::vector<std::vector<std::uint64_t>> keys, const Choose& choose)
      : shape_(shape), keys_(std::move(keys)), choose_(choose), streams_(shape.limits), slots_(shape.slots + 1) {
    for (std::uint32_t index = 1; index <= shape.slots; ++index) free_.push_back(index);
    for (const auto& of_one : keys_) all_ += of_one.size();
  }

  void run() {
    Stepped::Bodies bodies;
    for (std::size_t p = 0; p < keys_.size(); ++p) bodies.push_back([this, p] { produce(p); });
    bodies.push_back([this] { arrive_all(); });
    bodies.push_back([this] { retire_all(); });
    Stepped::run(bodies, choose_);
  }

  /// After run().
  [[nodiscard]] testing::AssertionResult kept() const {
    if (!complaint_.empty()) return testing::AssertionFailure() << complaint_;
    if (visited_.size() != all_) return testing::AssertionFailure() << visited_.size() << " of " << all_ << " visited";
    if (free_.size() != shape_.slots) return testing::AssertionFailure() << free_.size() << " slots free at the end";
    for (std::size_t later = 1; later < visited_.size(); ++later)
      for (std::size_t sooner = 0; sooner < later; ++sooner) {
        const Task& first = tasks_[visited_[sooner]];
        const Task& second = tasks_[visited_[later]];
        if (first.key == second.key && second.entered < first.entering)
          return testing::AssertionFailure()
                 << "a task of stream " << first.key << " was visited before an earlier one";
      }
    if (streams_.idle() > shape_.limits.idle_streams) return testing::AssertionFailure() << "too many idle streams";
    const std::size_t most = shape_.limits.idle_streams + shape_.slots + keys_.size() + 1 + broken_.size();
    if (streams_.made() > most) return testing::AssertionFailure() << streams_.made() << " streams made";
    return testing::AssertionSuccess();
  }

 private:
  struct Task {
    std::uint64_t key = 0;
    std::size_t entering = 0, entered = 0;  // when enter() began and ended
    S::Stream* stream = nullptr;
    bool unfinished = false;
  };
  struct Slot {
    S::Link link;
    SteppedAtom<std::uint32_t> holders{0};
    std::size_t task = 0;
    bool used = false;
  };
  struct Slab {
    StreamsRig& rig;
    S::Link& link(std::uint32_t index) const { return rig.slots_[index].link; }
    void hold(std::uint32_t index) const { rig.slots_[index].holders.fetch_add(1, std::memory_order_relaxed); }
    void release(std::uint32_t index) const {
      Slot& slot = rig.slots_[index];
      if (!slot.used) rig.complain("a slot was released that was free");
      if (slot.holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      slot.used = false;
      rig.free_.push_back(index);
      announce(rig.freed_);
    }
  };

  static void announce(SteppedAtom<std::uint32_t>& news) {
    news.fetch_add(1, std::memory_order_release);
    news.notify_all();
  }
  /// Takes one of `from`, any of them, waiting for `news` if there is none.
  std::uint32_t take(std::vector<std::uint32_t>& from, SteppedAtom<std::uint32_t>& news) {
    for (;;) {
      const std::uint32_t seen = news.load(std::memory_order_acquire);
      if (!from.empty()) break;
      news.wait(seen, std::memory_order_acquire);
    }
    const std::size_t nth = from.size() == 1 ? 0 : choose_(from.size());
    const std::uint32_t taken = from[nth];
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(nth));
    return taken;
  }
  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
  }

  void produce(std::size_t p) {
    std::vector<S::Handle> handles(shape_.handles);
    for (const std::uint64_t key : keys_[p]) {
      const std::uint32_t index = take(free_, freed_);
      Slot& slot = slots_[index];
      if (slot.used) complain("a slot is used twice");
      slot.used = true;
      slot.holders.store(1, std::memory_order_relaxed);
      slot.task = tasks_.size();
      tasks_.push_back({.key = key, .entering = ++now_});
      if (shape_.breaks != 0 && choose_(shape_.breaks) == 0) tasks_.back().unfinished = true;
      S::Handle& handle = handles[handles.size() == 1 ? 0 : choose_(handles.size())];
      if (handles.size() != 1 && choose_(2) == 0) {
        if (choose_(2) == 0) streams_.prefetch(key);
        streams_.look_ahead(handle, key, Slab{*this});
      }
      S::Stream* stream = &streams_.enter(handle, key, index, Slab{*this});
      tasks_[slot.task].stream = stream;
      tasks_[slot.task].entered = ++now_;
      for (const Slot& other : slots_)
        if (other.used && in_flight(other.task) &&
            (tasks_[other.task].stream == stream) != (tasks_[other.task].key == key))
          complain("two streams in use for one key, or two keys in one stream");
      waiting_.push_back(index);
      announce(handed_);
    }
  }
  [[nodiscard]] bool in_flight(std::size_t task) const {
    return tasks_[task].stream != nullptr && std::find(visited_.begin(), visited_.end(), task) == visited_.end();
  }

  void arrive_all() {
    while (visited_.size() < all_) {
      const std::uint32_t index = take(waiting_, handed_);
      S::Stream& stream = *tasks_[slots_[index].task].stream;
      streams_.arrive(stream, index, Slab{*this}, [&](S::Link& link) { visit(stream, link); });
      announce(visits_);
    }
  }
  void visit(S::Stream& stream, S::Link& link) {
    std::uint32_t index = 1;
    while (&slots_[index].link != &link) ++index;
    const Task& task = tasks_[slots_[index].task];
    if (!slots_[index].used) complain("a slot was visited that was free");
    if (task.stream != &stream && task.stream != nullptr) complain("a task was visited in another stream");
    if (stream.broken != broken_.contains(task.key)) complain("a broken stream was forgotten, or one is by mistake");
    if (task.unfinished) stream.broken = broken_[task.key] = true;
    visited_.push_back(slots_[index].task);
    retiring_.push_back(index);
  }
  void retire_all() {
    for (std::size_t retired = 0; retired < all_; ++retired) Slab{*this}.release(take(retiring_, visits_));
  }

  const Shape shape_;
  const std::vector<std::vector<std::uint64_t>> keys_;
  const Choose& choose_;
  S streams_;
  std::vector<Slot> slots_;  // from 1
  std::vector<std::uint32_t> free_, waiting_, retiring_;
  SteppedAtom<std::uint32_t> freed_{0}, handed_{0}, visits_{0};
  std::vector<Task> tasks_;
  std::vector<std::size_t> visited_;
  std::map<std::uint64_t, bool> broken_;  // keys with an unfinished task
  std::size_t all_ = 0, now_ = 0;
  std::string complaint_;
};

}  // namespace pawl::test
