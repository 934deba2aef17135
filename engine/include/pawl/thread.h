// What a thread says of itself to the system: its name, and how urgent it is.
#pragma once

#include <pawl/export.h>

namespace pawl {

/// Names the calling thread, so that top, gdb and perf show which part works; at most 15 bytes are kept
/// (pthread_setname_np(3)).
PAWL_API void name_this_thread(const char* name) noexcept;

/// Lets other threads go first where processors are scarce: for work that nobody waits for at once, so that the
/// threads that react to the network are not kept waiting behind it. Linux has a nice value per thread (sched(7)).
PAWL_API void put_this_thread_behind() noexcept;

}  // namespace pawl
