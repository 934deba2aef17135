// Order by turns: the tasks of one stream leave in the order they entered, whatever order they arrive in.
//
// A stream is one word, `turn`: [version:40][index:24], the index of its youngest task's link, 0 if it is idle. A task
// enters by a CAS of its own index into the word and a link from its predecessor to itself. Its `gate` opens in two
// steps: it has arrived, and its predecessor has gone. Whoever brings the second one carries on with it. O(1) per
// task, no window, no search, no waiting for a peer; memory only for tasks in flight, an idle stream is its word alone.
//
// The version is even while the stream is in use and changes when it is taken out of use, so that an enter with a
// version from an earlier use fails (see streams.h, which says when that is).
//
// Threads: try_enter() any; arrive() one at a time for all streams, each call happening after the one before (a serial
// node of the graph). That is why `gate` is plain: before its task is handed on only the thread that enters it writes
// it, and it gives up doing so in the exchange that lets the arriving thread find the link.
//
// Storage: links are named by their 1-based index in a slab. A link may still be looked at by its successor after its
// turn; then, and only then, it has one holder more than its way through the pipeline. A `Slab` has, by index, link(),
// hold() for one more holder and release() for one less; who releases last may use the link again. Within arrive()
// a link is never released last. Model: tests/model/turn.pml.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/prefetch.h"

namespace pawl {

template <template <class> class Atom = std::atomic>
class StreamTurns {
 public:
  static constexpr unsigned kIndexBits = 24;
  static constexpr std::uint32_t kMostLinks = (1u << kIndexBits) - 1;  // the largest index

  class Link {
    friend class StreamTurns;
    Atom<std::uint32_t> next_{0};  // the successor's index, written by it; or kGone, by arrive(): [T1]
    bool gate_ = false;            // one of {arrived, predecessor gone} has happened; see above for who writes it
  };

  using Word = Atom<std::uint64_t>;
  static constexpr std::uint64_t version_of(std::uint64_t word) noexcept { return word >> kIndexBits; }
  static constexpr std::uint32_t index_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word & kIndexMask);
  }
  static constexpr std::uint64_t word_of(std::uint64_t version, std::uint32_t index) noexcept {
    return version << kIndexBits | index;
  }
  static constexpr bool in_use(std::uint64_t word) noexcept { return (version_of(word) & 1) == 0; }

  /// Makes a link ready to enter. `has_turn`: it is the first of a stream that nobody else knows yet.
  static void prepare(Link& link, bool has_turn) noexcept {
    link.next_.store(0, std::memory_order_relaxed);  // relaxed: published by the CAS that enters it [T3]
    link.gate_ = has_turn;
  }

  /// A hint: a link will soon enter a stream whose word is `word`.
  template <class Slab>
  static void prefetch_predecessor(std::uint64_t word, Slab&& slab) noexcept {
    if (const std::uint32_t before = index_of(word); before != 0) prefetch_to_write(&slab.link(before));
  }

  /// Fixes the place of a prepared link in the stream. False, and nothing has happened, if the stream's version is
  /// another one. Releases the predecessor if that had to wait for it. Lock-free: the CAS fails only if another task
  /// entered, the stream became idle or its version changed.
  template <class Slab>
  [[nodiscard]] static bool try_enter(Word& turn, std::uint64_t version, std::uint32_t index, Slab&& slab) noexcept {
    std::uint64_t word = turn.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    do {
      if (version_of(word) != version) return false;
      // acq_rel [T3]: publishes the link to the successor, sees the predecessor's; relaxed on failure: tried again
    } while (!turn.compare_exchange_weak(word, word_of(version, index), std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
    const std::uint32_t before = index_of(word);
    Link& link = slab.link(index);
    if (before == 0) {
      link.gate_ = true;
      return true;
    }
    Link& predecessor = slab.link(before);
    if (predecessor.next_.exchange(index, std::memory_order_acq_rel) != kGone) return true;  // acq_rel [T1]
    link.gate_ = true;
    slab.release(before);
    return true;
  }

  /// The link has arrived. Calls visit(link) for it and for each successor whose turn has come, in order. By then the
  /// links' places in the stream are settled: a visit may pass the task on to another thread. True if the stream is
  /// idle now, or was for a moment. One call at a time, see above. Wait-free but for the length of the chain it visits.
  template <class Slab, class Visit>
  static bool arrive(Word& turn, std::uint32_t index, Slab&& slab, Visit&& visit) noexcept {
    Link* now = &slab.link(index);
    if (!open_gate(*now)) return false;
    for (;;) {
      std::uint32_t next = now->next_.load(std::memory_order_acquire);  // acquire [T1]: sees the successor's link
      if (next == 0) {
        if (leave_idle(turn, index)) {
          visit(*now);
          return true;
        }
        // A successor has entered and not linked itself yet: it will find the mark, inherit the turn, and let go.
        slab.hold(index);
        next = now->next_.exchange(kGone, std::memory_order_acq_rel);  // acq_rel [T1]
        if (next == 0) {
          visit(*now);
          return false;
        }
        slab.release(index);  // it has linked itself and will not look again
      }
      visit(*now);
      now = &slab.link(next);
      index = next;
      if (!open_gate(*now)) return false;
    }
  }

  /// Takes an idle stream out of use: from then on try_enter() with its version fails. False if it is not idle. The
  /// arriving thread. Wait-free.
  [[nodiscard]] static bool take_out_of_use(Word& turn) noexcept {
    std::uint64_t word = turn.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    return index_of(word) == 0 &&
           // relaxed: publishes nothing; who enters next gets to this thread only through the pipeline
           turn.compare_exchange_strong(word, word_of(version_of(word) + 1, 0), std::memory_order_relaxed,
                                        std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint64_t kIndexMask = (1u << kIndexBits) - 1;
  static constexpr std::uint32_t kGone = ~0u;  // in `next_`: the turn has been handed on to whoever links itself here

  /// True the second time.
  static bool open_gate(Link& link) noexcept {
    const bool opened = link.gate_;
    link.gate_ = true;
    return opened;
  }
  static bool leave_idle(Word& turn, std::uint32_t index) noexcept {
    std::uint64_t word = turn.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    return index_of(word) == index &&
           // relaxed: as in take_out_of_use()
           turn.compare_exchange_strong(word, word_of(version_of(word), 0), std::memory_order_relaxed,
                                        std::memory_order_relaxed);
  }
};

}  // namespace pawl
