// Prefetching: asks for a cache line before it is needed, so that the wait for another processor that has written it
// overlaps with other work. Hints only: any address will do, and nothing is ordered by them.
//
// Use it where a thread knows some tens of nanoseconds ahead what another thread's line it is about to change; a locked
// instruction behind a store that waits for its line waits too.
#pragma once

namespace pawl {

inline void prefetch_to_read(const void* address) noexcept { __builtin_prefetch(address, 0, 3); }
/// For a line about to be changed: takes it away from whoever holds it.
inline void prefetch_to_write(const void* address) noexcept {
#if defined(__x86_64__)
  // The compiler falls back to a prefetch for reading unless it is told that the processor knows this one; those that
  // do not know it pass it by.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
#else
  __builtin_prefetch(address, 1, 3);
#endif
}

}  // namespace pawl
