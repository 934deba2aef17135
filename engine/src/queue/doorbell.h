// Doorbell: lets a thread that finds nothing to do sleep, at next to no cost for those who bring work.
//
// Protocol (store-load, as in Dekker's algorithm): the sleeper announces itself, fences, looks for work once more and
// only then sleeps; the bringer publishes work, fences, and looks for a sleeper. One of the two sees the other. The
// flag is read-mostly, so ringing when nobody sleeps costs one fence and one shared load.
//
// Sleepers wait on a count of rings that they read before they announced themselves, not on the flag: with several
// sleepers a second one may raise the flag again between a ring and the first one's futex call, which would then
// sleep through the ring. Model: tests/model/bell.pml.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <pawl/inbox.h>

#include "base/cache_line.h"

namespace pawl {

/// Orders everything before against everything after it, stores against later loads included.
inline void full_fence() noexcept {
#if defined(__SANITIZE_THREAD__)
  static std::atomic<std::uint32_t> order{0};  // the sanitizer does not know fences; a common RMW orders the same
  order.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}
/// The same, for templates: an atomic of a test brings its own one along.
inline void full_fence(const std::atomic<std::uint32_t>&) noexcept { full_fence(); }

template <template <class> class Atom = std::atomic>
class alignas(kCacheLine) BasicDoorbell {
 public:
  /// Sleeps until rung, unless `has_work()` says there is no need. May return early. Any number of sleepers.
  template <class HasWork>
  void sleep(HasWork&& has_work) noexcept {
    const std::uint32_t heard = rings_.load(std::memory_order_acquire);  // acquire [D2]: before we announce ourselves
    announce();
    if (!has_work()) wait_on(rings_, heard, std::chrono::steady_clock::time_point::max());
  }

  /// Announces a sleeper that does not sleep on this object but wants take_ring() to tell it (a graph node).
  void announce() noexcept {
    sleeping_.store(1, std::memory_order_seq_cst);  // seq_cst [D1]: before the look for work that follows
    full_fence(sleeping_);
  }

  /// For bringers of work, after publishing it: true if a sleeper had announced itself and this call took the ring,
  /// so that the caller must wake it. At most one of several callers gets true.
  [[nodiscard]] bool take_ring() noexcept {
    full_fence(sleeping_);  // [D1]: the work published before is visible to a sleeper we do not see
    if (sleeping_.load(std::memory_order_relaxed) == 0) [[likely]]  // relaxed: ordered by the fence
      return false;
    return sleeping_.exchange(0, std::memory_order_acq_rel) != 0;
  }

  /// Wakes all threads in sleep().
  void ring() noexcept {
    if (take_ring()) wake_sleepers();
  }

  /// Wakes all threads in sleep(), announced or not.
  void ring_always() noexcept {
    full_fence(sleeping_);
    sleeping_.store(0, std::memory_order_release);
    wake_sleepers();
  }

 private:
  void wake_sleepers() noexcept {
    rings_.fetch_add(1, std::memory_order_release);  // release [D2]: who has not slept yet finds the count changed
    wake_all(rings_);
  }

  Atom<std::uint32_t> sleeping_{0};  // 1: someone sleeps or is about to; written by sleepers and ringers
  Atom<std::uint32_t> rings_{0};     // rings taken; the word that sleepers wait on
};

using Doorbell = BasicDoorbell<>;

}  // namespace pawl
