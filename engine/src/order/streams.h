// Streams: finds or makes the stream of a name, orders its tasks by turns, and takes idle streams back.
//
// Names are not kept: a stream is known by a 64-bit hash of its name, its key. Two names with equal keys share one
// order, and one `broken`: more order than promised, never less. Among N streams at a time the chance is N²/2^65,
// 3·10^-10 for 100,000. Not for finding anything else by name.
//
// Streams are kept in buckets: a bucket is a word [tag:36][index:28], its newest stream, each stream naming the next.
// Idle streams are kept, oldest first, up to a bound; beyond it the oldest is taken out of use, unlinked and used again
// for another name. So memory is bounded by tasks in flight + idle bound + broken streams, whatever number of names
// pass; O(1) per task. A broken stream (a task of it is unfinished) is never taken back: its later tasks must find it.
//
// Why it is right. Memory of streams is never returned before the end and all its words are atomic, so a look at a
// stream that has meanwhile become another is harmless; what was seen is believed only after a second look:
//  - Every insert into a bucket and every unlink from it changes its tag, the unlink *before* the stream can be used
//    again. A walk that finds the head unchanged after reading a stream has read a stream of this bucket in its present
//    use. So walks never stray into another bucket, and end: the list they see does not change.
//  - Entering is a CAS of the stream's word from the version that was read together with the key: a stream that has
//    been taken out of use has another version, so nobody enters a dead stream or one of another key.
//  - A stream is inserted by a CAS from the very head whose walk did not find the key. A success means that nothing has
//    been inserted since, and what was dead or another's then still is. So at most one stream in use has a given key.
//  - Only an idle stream is taken out of use, by the thread that gives turns, so every task of the old one has had its
//    turn before any task of the new one has.
// Dead streams that are still linked are passed by: nobody waits for the thread that unlinks them. A walk starts again
// only when another insert or unlink has got through, so enter() is lock-free. Model: tests/model/streams.pml.
//
// Threads: enter() any; arrive() one at a time, each call happening after the one before, as are reads and writes of
// Stream::broken in its visits.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "base/cache_line.h"
#include "base/check.h"
#include "base/prefetch.h"
#include "order/stream_turns.h"

namespace pawl {

struct StreamLimits {
  std::uint32_t tasks_in_flight = 8192;  // this and the next size the buckets: about one per stream
  std::uint32_t idle_streams = 16'384;   // kept to be found again under their name; a stream takes 128 bytes
  std::uint32_t buckets_min = 1024;      // a power of two. A list's length is about streams in use / buckets
};

template <template <class> class Atom = std::atomic>
class Streams {
 public:
  using Turns = StreamTurns<Atom>;
  using Link = typename Turns::Link;

  /// A stream in use. A task keeps the one that enter() gave it until its turn.
  class alignas(kCacheLine) Stream {
    friend class Streams;
    typename Turns::Word turn_{Turns::word_of(1, 0)};  // see StreamTurns; an odd version: not in use
    Atom<std::uint64_t> key_{0};   // written by who makes the stream, before it is in use; read by all: [S1]
    Atom<std::uint32_t> next_{0};  // next of the bucket, or of the free ones; written by maker and unlinker: [S2]
    std::uint32_t self_ = 0;       // its index; written once

   public:
    /// Arriving thread only: a task of it is unfinished; once true it stays so. On a line of its own with what else is
    /// of that thread alone, which would take the submitters' line away from them at every task.
    alignas(kCacheLine) bool broken = false;

   private:
    bool queued_ = false;           // arriving thread only: is in the queue of idle streams
    std::uint32_t newer_idle_ = 0;  // arriving thread only: the next in that queue
  };

  /// Where a producer's last task entered: saves the walk if the next one is of the same stream. Not thread-safe.
  class Handle {
    friend class Streams;
    Stream* stream_ = nullptr;
    std::uint64_t version_ = 0;
    std::uint64_t key_ = 0;
  };

  explicit Streams(const StreamLimits& limits)
      : idle_most_(limits.idle_streams),
        bucket_mask_(std::bit_ceil(std::max(limits.tasks_in_flight + limits.idle_streams, limits.buckets_min)) - 1),
        buckets_(std::make_unique<Bucket[]>(bucket_mask_ + 1)) {}
  ~Streams() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_acquire);  // acquire [S4]
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  [[nodiscard]] static std::uint64_t key_of(std::string_view name) noexcept {
    static_assert(sizeof(std::size_t) == sizeof(std::uint64_t), "a key has 64 bits");
    return std::hash<std::string_view>{}(name);
  }

  /// A hint for what follows: the stream of `key` is probably the first of its bucket. Any thread.
  void prefetch(std::uint64_t key) noexcept {
    const std::uint32_t index = index_of(bucket_of(key).load(std::memory_order_acquire));  // acquire [S4]
    if (index != 0) prefetch_to_write(&at(index));
  }
  /// Looks the stream of `key` up ahead of enter(handle, key, …), and asks for the line of the task that will be the
  /// predecessor. Changes nothing but `handle`; whether what was seen still holds is found out by enter(). Any thread.
  template <class Slab>
  void look_ahead(Handle& handle, std::uint64_t key, Slab&& slab) noexcept {
    if (handle.stream_ == nullptr || handle.key_ != key) {
      Bucket& bucket = bucket_of(key);
      const Found found = find(bucket, bucket.load(std::memory_order_acquire), key);  // acquire [S2]
      if (found.stream == nullptr) return;
      handle.stream_ = found.stream;
      handle.version_ = found.version;
      handle.key_ = key;
    }
    // relaxed: only a hint
    Turns::prefetch_predecessor(handle.stream_->turn_.load(std::memory_order_relaxed), slab);
  }

  /// Gives the link at `index` its place in the stream of `key`, which is made if it is not there. `slab` as in
  /// StreamTurns. Any thread, lock-free; running out of memory ends the process.
  template <class Slab>
  [[nodiscard]] Stream& enter(Handle& handle, std::uint64_t key, std::uint32_t index, Slab&& slab) noexcept {
    Turns::prepare(slab.link(index), false);
    if (handle.stream_ == nullptr || handle.key_ != key ||
        !Turns::try_enter(handle.stream_->turn_, handle.version_, index, slab))
      find_or_make(handle, key, index, slab);
    return *handle.stream_;
  }

  /// The task of the link at `index` has arrived; `stream` is where it entered. Calls visit(link) for it and each
  /// successor whose turn has come. One call at a time. Takes back at most one other stream.
  template <class Slab, class Visit>
  void arrive(Stream& stream, std::uint32_t index, Slab&& slab, Visit&& visit) noexcept {
    if (!Turns::arrive(stream.turn_, index, slab, visit) || stream.queued_ || stream.broken) return;
    queue_idle(stream);
    if (idle_ > idle_most_) take_back_oldest();
  }

  /// Streams that memory has been taken for: never falls. At most: idle bound + tasks in flight + threads that submit
  /// + broken streams. Any thread.
  [[nodiscard]] std::uint32_t made() const noexcept {
    return made_.load(std::memory_order_relaxed);  // relaxed: a gauge
  }
  /// Streams kept though they are idle. The arriving thread.
  [[nodiscard]] std::uint32_t idle() const noexcept { return idle_; }

 private:
  // A head: [tag:36][index:28]. The tag changes with every change of the list; it would have to come round, 7·10^10
  // changes of one bucket, between a thread's look at the head and its CAS.
  using Bucket = Atom<std::uint64_t>;
  static constexpr unsigned kIndexBits = 28;
  static constexpr std::uint32_t kMostStreams = (1u << kIndexBits) - 1;
  static constexpr std::uint64_t kOneTag = 1ull << kIndexBits;
  static std::uint32_t index_of(std::uint64_t head) noexcept { return static_cast<std::uint32_t>(head & kMostStreams); }
  static std::uint64_t changed(std::uint64_t head, std::uint32_t index) noexcept {
    return ((head & ~std::uint64_t{kMostStreams}) + kOneTag) | index;
  }
  Bucket& bucket_of(std::uint64_t key) noexcept { return buckets_[(key ^ (key >> 32)) & bucket_mask_]; }

  Stream& at(std::uint32_t index) noexcept {
    const Place place = place_of(index);
    return chunks_[place.chunk].load(std::memory_order_acquire)[place.offset];  // acquire [S4]
  }

  template <class Slab>
  void find_or_make(Handle& handle, std::uint64_t key, std::uint32_t index, Slab&& slab) noexcept {
    Bucket& bucket = bucket_of(key);
    Stream* made = nullptr;
    for (;;) {  // again only if another thread has changed the bucket, or taken the stream found out of use
      const std::uint64_t head = bucket.load(std::memory_order_acquire);  // acquire [S2]: sees the list
      const Found found = find(bucket, head, key);
      if (found.disturbed) continue;
      if (found.stream != nullptr) {
        if (!Turns::try_enter(found.stream->turn_, found.version, index, slab)) continue;
        handle.stream_ = found.stream;
        handle.version_ = found.version;
        break;
      }
      if (made == nullptr) made = &take_free(key);
      if (insert(bucket, head, *made, slab.link(index), index)) {
        handle.stream_ = std::exchange(made, nullptr);
        handle.version_ = Turns::version_of(handle.stream_->turn_.load(std::memory_order_relaxed));
        break;
      }
    }
    handle.key_ = key;
    if (made != nullptr) give_free(*made);
  }

  struct Found {
    Stream* stream = nullptr;
    std::uint64_t version = 0;
    bool disturbed = false;  // the bucket has changed: look again
  };
  Found find(Bucket& bucket, std::uint64_t head, std::uint64_t key) noexcept {
    for (std::uint32_t index = index_of(head); index != 0;) {
      Stream& stream = at(index);
      // acquire [S1], [S2], [S3]: a value from a later use comes with the tag that tells of it
      const std::uint64_t word = stream.turn_.load(std::memory_order_acquire);
      const bool is_it = Turns::in_use(word) && stream.key_.load(std::memory_order_acquire) == key;
      index = stream.next_.load(std::memory_order_acquire);
      if (bucket.load(std::memory_order_relaxed) != head) return {.disturbed = true};  // relaxed: after the acquires
      if (is_it) return {.stream = &stream, .version = Turns::version_of(word)};
    }
    return {};
  }

  /// Puts a stream with its first task at the head of a bucket, if that is still `head`.
  bool insert(Bucket& bucket, std::uint64_t head, Stream& made, Link& link, std::uint32_t index) noexcept {
    Turns::prepare(link, true);
    const std::uint64_t version = Turns::version_of(made.turn_.load(std::memory_order_relaxed)) + 1;  // relaxed: ours
    made.turn_.store(Turns::word_of(version, index), std::memory_order_release);                      // release [S3]
    made.next_.store(index_of(head), std::memory_order_release);                                      // release [S2]
    // acq_rel [S2]: publishes the stream; relaxed on failure: the caller looks again
    if (bucket.compare_exchange_strong(head, changed(head, made.self_), std::memory_order_acq_rel,
                                       std::memory_order_relaxed))
      return true;
    made.turn_.store(Turns::word_of(version + 1, 0), std::memory_order_release);  // release [S3]
    Turns::prepare(link, false);
    return false;
  }

  void queue_idle(Stream& stream) noexcept {
    stream.queued_ = true;
    (idle_++ == 0 ? oldest_idle_ : at(newest_idle_).newer_idle_) = stream.self_;
    newest_idle_ = stream.self_;
  }
  void take_back_oldest() noexcept {
    Stream& oldest = at(oldest_idle_);
    oldest_idle_ = oldest.newer_idle_;
    --idle_;
    oldest.queued_ = false;
    // One that has been entered meanwhile is queued again when it is idle again.
    if (oldest.broken || !Turns::take_out_of_use(oldest.turn_)) return;
    unlink(oldest);
    give_free(oldest);
  }

  /// Only one thread unlinks, so of published streams only the head of a bucket can change under it, by an insert.
  void unlink(Stream& stream) noexcept {
    Bucket& bucket = bucket_of(stream.key_.load(std::memory_order_relaxed));  // relaxed: seen through its tasks
    const std::uint32_t next = stream.next_.load(std::memory_order_relaxed);  // relaxed: likewise
    std::uint64_t head = bucket.load(std::memory_order_acquire);              // acquire [S2]
    while (index_of(head) == stream.self_)
      // acq_rel [S2]: a walk that sees the stream in a later use sees this tag
      if (bucket.compare_exchange_weak(head, changed(head, next), std::memory_order_acq_rel, std::memory_order_acquire))
        return;
    Stream* before = &at(index_of(head));
    for (std::uint32_t index; (index = before->next_.load(std::memory_order_relaxed)) != stream.self_;)
      before = &at(index);  // relaxed: [S2] published what this thread has not written itself
    before->next_.store(next, std::memory_order_release);  // release [S2]
    bucket.fetch_add(kOneTag, std::memory_order_acq_rel);  // acq_rel [S2]: as above
  }

  // ---- Streams not in use: a stack as in queue/free_stack.h, linked through the streams themselves because it grows.
  Stream& take_free(std::uint64_t key) noexcept {
    std::uint64_t head = free_.load(std::memory_order_acquire);  // acquire [S5]
    Stream* taken = nullptr;
    while (taken == nullptr && index_of(head) != 0) {
      Stream& top = at(index_of(head));
      const std::uint32_t next = top.next_.load(std::memory_order_relaxed);  // relaxed: a stale one fails the CAS
      // acq_rel [S5]: sees what its giver did; acquire on failure for the next look
      if (free_.compare_exchange_weak(head, changed(head, next), std::memory_order_acq_rel, std::memory_order_acquire))
        taken = &top;
    }
    if (taken == nullptr) taken = &make();
    taken->key_.store(key, std::memory_order_release);  // release [S1]: with it comes the tag of its unlinking
    return *taken;
  }
  void give_free(Stream& stream) noexcept {
    std::uint64_t head = free_.load(std::memory_order_relaxed);  // relaxed: the CAS checks it
    do {
      stream.next_.store(index_of(head), std::memory_order_release);  // release [S2]
      // acq_rel [S5]: publishes the end of its use
    } while (!free_.compare_exchange_weak(head, changed(head, stream.self_), std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
  }

  // ---- Memory: chunks that double, so that a small table names them all and none ever moves.
  static constexpr unsigned kFirstChunkBits = 6;
  static constexpr std::size_t kChunks = kIndexBits - kFirstChunkBits + 1;
  struct Place {
    unsigned chunk;
    std::uint32_t offset;
  };
  static Place place_of(std::uint32_t index) noexcept {
    const std::uint32_t from_first = index - 1 + (1u << kFirstChunkBits);
    const unsigned bits = static_cast<unsigned>(std::bit_width(from_first)) - 1;
    return {.chunk = bits - kFirstChunkBits, .offset = from_first - (1u << bits)};
  }
  Stream& make() noexcept {
    const std::uint32_t index = made_.fetch_add(1, std::memory_order_relaxed) + 1;  // relaxed: only numbers
    PAWL_CHECK(index <= kMostStreams);
    const Place place = place_of(index);
    auto& chunk = chunks_[place.chunk];
    Stream* streams = chunk.load(std::memory_order_acquire);  // acquire [S4]
    if (streams == nullptr) {
      auto fresh = std::make_unique<Stream[]>(std::size_t{1} << (kFirstChunkBits + place.chunk));
      // acq_rel [S4]: publishes the streams, or sees those of another thread
      if (chunk.compare_exchange_strong(streams, fresh.get(), std::memory_order_acq_rel, std::memory_order_acquire))
        streams = fresh.release();
    }
    streams[place.offset].self_ = index;
    return streams[place.offset];
  }

  // Arriving thread only.
  const std::uint32_t idle_most_;
  std::uint32_t idle_ = 0;         // in the queue of idle streams
  std::uint32_t oldest_idle_ = 0;  // stale if idle_ is 0
  std::uint32_t newest_idle_ = 0;  // likewise
  // Read by all.
  const std::uint64_t bucket_mask_;
  const std::unique_ptr<Bucket[]> buckets_;
  Atom<Stream*> chunks_[kChunks]{};                  // by place_of(); each written once: [S4]
  alignas(kCacheLine) Atom<std::uint64_t> free_{0};  // as a bucket's head: the streams not in use; written by all: [S5]
  alignas(kCacheLine) Atom<std::uint32_t> made_{0};  // streams in chunks that have been given out; written by make()
  static_assert(sizeof(Stream) == 2 * kCacheLine);
};

}  // namespace pawl
