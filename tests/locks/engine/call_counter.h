// Call counter: how many lock, futex and heap calls each loaded library makes while counting is on.
//
// The library stands before libc, libstdc++ and oneTBB in the loader's search order (linked first, or in LD_PRELOAD),
// so their public functions resolve to it; it counts and passes on. A call belongs to the library it was made from.
// Where that is only the C or C++ runtime (a std::string that grows, a condition variable's wait()), it belongs to the
// nearest caller outside the runtime.
//
// What it cannot see: a lock that is inlined and never sleeps (a spin lock; for oneTBB's see Call::tbb_lock), futex
// calls that libc makes inside functions of its own, which are counted as calls of those functions, and system calls
// made by hand. A function that ends in a tail call to a counted one is taken for its caller; so look at all libraries'
// rows, not only at one.
//
// Not for sanitizers, which interpose the same functions. glibc only.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pawl::locks {

enum class Call : std::uint8_t {
  mutex,             // pthread_mutex_lock, trylock, timedlock, clocklock
  rwlock,            // pthread_rwlock_*lock
  spin,              // pthread_spin_lock, trylock
  condition_wait,    // pthread_cond_wait, timedwait, clockwait
  condition_signal,  // pthread_cond_signal, broadcast
  semaphore,         // sem_wait, trywait, timedwait, clockwait, post
  futex_wait,        // syscall(SYS_futex), any operation but those that wake
  futex_wake,        // syscall(SYS_futex) with FUTEX_WAKE, FUTEX_WAKE_BITSET or FUTEX_WAKE_OP
  yield,             // sched_yield
  allocate,          // malloc, calloc, realloc, memalign, aligned_alloc, posix_memalign, operator new
  release,           // free, operator delete; not of null
  tbb_lock,          // oneTBB's inlined locks taken, told by code compiled with TBB_USE_PROFILING_TOOLS=1
};
inline constexpr std::size_t kCalls = 12;
inline constexpr std::array<const char*, kCalls> kCallNames = {
    "mutex lock", "rwlock lock", "spin lock", "condition wait", "condition signal", "semaphore",
    "futex wait", "futex wake",  "yield",     "allocation",     "release",          "oneTBB inlined lock"};

/// One loaded library's calls. `name` is the file's name, without its folder; the program's is "program".
struct LibraryCalls {
  std::array<char, 64> name{};
  std::uintptr_t first = 0, past = 0;  // addresses it is loaded at
  bool runtime = false;                // libc, libstdc++ and the like: a call from there is made for somebody else
  std::array<std::atomic<std::uint64_t>, kCalls> calls{};  // written by whoever calls, relaxed: read when they rest

  [[nodiscard]] std::uint64_t count(Call call) const noexcept {
    return calls[static_cast<std::size_t>(call)].load(std::memory_order_relaxed);
  }
};

/// A place that calls: where to look when a count is not what it should be (addr2line -Cfie FILE OFFSET).
struct CallSite {
  // [address of the call's return:60][call:4], 0 while free; written once by the first who calls from here, relaxed
  std::atomic<std::uint64_t> key{0};
  std::atomic<std::uint64_t> count{0};  // written by whoever calls, relaxed

  [[nodiscard]] std::uintptr_t address() const noexcept { return key.load(std::memory_order_relaxed) >> 4; }
  [[nodiscard]] Call call() const noexcept { return static_cast<Call>(key.load(std::memory_order_relaxed) & 15); }
};

/// Sets all counts to 0 and begins. Libraries loaded from now on are counted as "unknown". One caller at a time;
/// allocates nothing, so a loaded thread may call it without disturbing what is counted.
[[gnu::visibility("default")]] void begin_counting() noexcept;
[[gnu::visibility("default")]] void end_counting() noexcept;

/// The last counts, one row a library, "unknown" first. Valid until the next begin_counting().
[[nodiscard, gnu::visibility("default")]] std::span<const LibraryCalls> counted() noexcept;

/// The places of the last counts; not all, if there were many.
[[nodiscard, gnu::visibility("default")]] std::span<const CallSite> counted_sites() noexcept;

}  // namespace pawl::locks
