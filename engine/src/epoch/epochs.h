// Epochs: admission, flush and close as one protocol.
//
// Admission is one read-modify-write on a word `[closed:1][epoch:15][count:48]`, one word per shard of producers; the
// old value says whether the submit was admitted, and to which epoch. A flush takes a ticket. To answer tickets, an
// epoch is *sealed* (every word is swapped for one of the next epoch, which adds up what the old one admitted) and
// *ended* when as many have retired; that answers all tickets taken before it was sealed. Tasks retire into one of two
// counters, for odd and even epochs. The seal raises the counter so that it meets kSeal exactly when the epoch is
// empty.
//
// Nobody waits while leading. Sealing and ending is done in lead(), by one thread at a time, which goes as far as it
// goes at once. Whoever may have made more possible *asks*: a flush after taking its ticket, and the retire() that
// empties a sealed epoch. Who asks first leads; who asks meanwhile leaves it to the leader, who does not step down
// before it has looked once more for all who asked. What is sealed is a state of the object and not of a caller, so a
// flush that leaves at its deadline has nothing to hand over; the others wait for the count of ended epochs to change.
//
// Not for one flush a task: sealing touches all words (a microsecond or two). And no flush but the first of many has an
// epoch to itself: one that comes while an epoch is sealed is answered by the one after.
//
// Proof sketch (model with bad variants: tests/model/epoch.pml; every order of small cases: epochs_test.cc).
// 1. A task belongs to the epoch that its fetch_add saw [E1]. The word's exchange is before or after it: the task is in
//    the sum of exactly that epoch. It retires into the counter of that epoch's parity.
// 2. An epoch is sealed only after the one before it has ended, so when epoch e+1 is open, tasks in flight are of e and
//    e+1 alone: two counters do. The counter of e is reset when e is empty, and used next by epoch e+2, whose words
//    were written later by leaders that saw the reset: [E1] hands it to the submits.
// 3. A ticket is answered: its asking [E3] is followed by a whole run of lead() that sees the ticket, and that stops
//    only if nothing is unanswered or a sealed epoch is not empty. Then a task is in flight; the last one to retire
//    finds the counter at kSeal and asks [E2]; the run that follows ends the epoch and seals the next one, for tickets
//    that came too late for it.
// 4. A flush is woken: it reads the turn word first and `done_` second [E5], and sleeps only if the word still has that
//    turn, marked "somebody sleeps" [E6]. An epoch's end writes `done_` first and the turn word second. So if the flush
//    has missed this end, it does not fall asleep; if it sleeps, the exchange of the word finds the mark and wakes it.
// 5. The last retire of the epoch happens before its end, through the counter [E2], and that before the flush returns,
//    through `done_` [E5]: what retired tasks did is visible to the flusher.
// 6. Close = begin_close() + flush(): the leader reads the tickets first and `closing_` second [E4], so the epoch that
//    answers this flush has been followed by closed words, which stay closed. Once it has said true nothing is
//    admitted, and all that was admitted has retired.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <pawl/inbox.h>

#include "base/cache_line.h"

namespace pawl {

/// REQUIRES: all calls have returned before it is destroyed; a flush that returns may leave others on their way out.
/// `kWords` and `Clock` are for tests.
template <template <class> class Atom = std::atomic, std::size_t kWords = 64, class Clock = std::chrono::steady_clock>
class Epochs {
 public:
  static constexpr std::size_t kShards = kWords;

  using Deadline = std::chrono::steady_clock::time_point;
  static_assert(std::is_same_v<typename Clock::time_point, Deadline>);

  struct Entry {
    bool admitted = false;
    std::uint8_t parity = 0;  // of the epoch that admitted it; give it back to retire()
  };

  class alignas(kCacheLine) Word {
    friend class Epochs;
    Atom<std::uint64_t> value{0};  // [closed:1][epoch:15][count:48]; written by submits and by the leader
  };

  [[nodiscard]] Word& word(std::size_t index) noexcept { return words_[index % kShards]; }

  /// Admits `count` tasks or none. Wait-free, one RMW. What the caller does next must not fail.
  [[nodiscard]] static Entry admit(Word& word, std::uint64_t count) noexcept {
    // acq_rel [E1]: ordered against the leader's exchange, which adds the count up
    const std::uint64_t old = word.value.fetch_add(count, std::memory_order_acq_rel);
    return {(old & kClosed) == 0, static_cast<std::uint8_t>((old >> kCountBits) & 1)};
  }

  /// `count` tasks of one parity have retired. Releases everything they did to whoever flushes. Lock-free; one RMW,
  /// unless they were the last of a sealed epoch: then this ends it, and wakes those who sleep in flush().
  void retire(std::uint8_t parity, std::int64_t count) noexcept {
    auto& retired = retired_[parity].value;
    if (retired.fetch_add(count, std::memory_order_acq_rel) + count == kSeal) [[unlikely]]  // acq_rel [E2]
      ask();
  }

  /// Waits until everything admitted before the call has retired; false: not before the deadline. Then nothing is
  /// undone, and a later flush does not begin anew. A deadline that has passed asks without waiting. Any thread, any
  /// number of them; not from within retire's caller, which it would wait for.
  bool flush(Deadline deadline = Deadline::max()) noexcept {
    const std::uint64_t ticket = tickets_.fetch_add(1, std::memory_order_acq_rel) + 1;  // acq_rel [E3] [E4]
    ask();
    for (;;) {
      std::uint32_t turn = turn_.load(std::memory_order_acquire);        // acquire [E5]: before the look at done_
      if (done_.load(std::memory_order_acquire) >= ticket) return true;  // acquire [E5]
      if (deadline != Deadline::max() && Clock::now() >= deadline) return false;
      const std::uint32_t asleep = turn | kSleepers;
      // relaxed [E6]: the exchange that ends this turn reads the mark, and the mark publishes nothing. One who leaves
      // at a deadline leaves the mark behind: at worst one futex call for nobody.
      if (turn == asleep ||
          turn_.compare_exchange_strong(turn, asleep, std::memory_order_relaxed, std::memory_order_relaxed))
        wait_on(turn_, asleep, deadline);
    }
  }

  /// From the next flush on, admit() refuses. Callers refuse at once by asking closing().
  void begin_close() noexcept {
    closing_.store(1, std::memory_order_release);  // release: the caller's ticket publishes it to the leader [E4]
  }
  [[nodiscard]] bool closing() const noexcept { return closing_.load(std::memory_order_acquire) != 0; }

 private:
  static constexpr unsigned kCountBits = 48;
  static constexpr std::uint64_t kClosed = 1ull << 63;
  static constexpr std::uint64_t kCountMask = (1ull << kCountBits) - 1;
  static constexpr std::uint64_t kEpochMask = 0x7fff;
  static constexpr std::int64_t kSeal = 1ll << 62;  // far above any count: "the sum is known and reached"
  static constexpr std::uint32_t kSleepers = 1;     // in turn_: somebody sleeps; the rest counts ended epochs

  /// Sees to it that a whole run of lead() follows, here or by the thread that leads. Does not wait.
  void ask() noexcept {
    // acq_rel [E3]: publishes what we ask about to the leader, or shows us what the last leader left
    if (asked_.fetch_add(1, std::memory_order_acq_rel) != 0) return;
    bool sleepers = false;
    std::uint32_t answered = 1;
    do {
      sleepers |= lead();
      // acq_rel [E3]: hands the leader's state on; a failure shows us what those who asked meanwhile ask about
    } while (!asked_.compare_exchange_strong(answered, 0, std::memory_order_acq_rel, std::memory_order_acquire));
    if (sleepers) wake_all(turn_);
  }

  /// Leader only. Ends the sealed epoch and seals the next as far as that goes without waiting. True: those who sleep
  /// on turn_ must be woken.
  [[nodiscard]] bool lead() noexcept {
    bool sleepers = false;
    for (;;) {
      if (!sealed_) {
        const std::uint64_t tickets = tickets_.load(std::memory_order_acquire);  // acquire [E4]: before closing_
        if (tickets == upto_) return sleepers;
        upto_ = tickets;
        seal();
      }
      // acquire [E2]: sees what the retired tasks did
      if (retired_[epoch_ & 1].value.load(std::memory_order_acquire) != kSeal) return sleepers;
      sleepers |= end();
    }
  }

  /// Leader only. Opens the next epoch; from now on the counter of the old one meets kSeal when it is empty.
  void seal() noexcept {
    const std::uint64_t fresh = (((epoch_ + 1) & kEpochMask) << kCountBits) | (closing() ? kClosed : 0);
    std::int64_t admitted = 0;
    for (auto& word : words_) {
      const std::uint64_t old = word.value.exchange(fresh, std::memory_order_acq_rel);  // acq_rel [E1]
      if ((old & kClosed) == 0) admitted += static_cast<std::int64_t>(old & kCountMask);
    }
    retired_[epoch_ & 1].value.fetch_add(kSeal - admitted, std::memory_order_acq_rel);  // acq_rel [E2]
    sealed_ = true;
  }

  /// Leader only. The sealed epoch is empty: answers its tickets. True: somebody sleeps.
  [[nodiscard]] bool end() noexcept {
    retired_[epoch_ & 1].value.store(0, std::memory_order_relaxed);  // relaxed: the next to use it is given it by [E1]
    sealed_ = false;
    ++epoch_;
    ended_ += 2;                                    // leaves the mark out
    done_.store(upto_, std::memory_order_release);  // release [E5]
    // acq_rel [E5]: after done_; [E6]: takes the mark of those who sleep on the old turn
    return (turn_.exchange(ended_, std::memory_order_acq_rel) & kSleepers) != 0;
  }

  struct alignas(kCacheLine) Retired {
    Atom<std::int64_t> value{0};  // tasks retired, and the seal; written by retire() and the leader
  };

  std::array<Word, kWords> words_;
  std::array<Retired, 2> retired_;
  alignas(kCacheLine) Atom<std::uint32_t> closing_{0};  // 1: refuse from the next epoch on; read by every submit
  alignas(kCacheLine) Atom<std::uint64_t> tickets_{0};  // flushes asked for
  Atom<std::uint64_t> done_{0};                         // flushes answered; written by the leader
  Atom<std::uint32_t> turn_{0};                         // [epochs ended:31][sleepers:1]; the word that flushes sleep on
  Atom<std::uint32_t> asked_{0};                        // askings that the leader has yet to answer; 0: nobody leads
  bool sealed_ = false;                                 // leader only, as all below: epoch_ is sealed, not yet ended
  std::uint64_t epoch_ = 0;                             // the one that is open, or sealed and not yet ended
  std::uint64_t upto_ = 0;                              // the last ticket that a seal covers
  std::uint32_t ended_ = 0;                             // turn_ without the mark
};

}  // namespace pawl
