// When is a pipeline idle? When every other thread of this process sleeps in the kernel. Linux (proc(5)).
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace pawl::bench {

/// True if no other thread of this process runs or is ready to run.
inline bool others_sleep() {
  const std::string self = std::to_string(::syscall(SYS_gettid));
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() == self) continue;
    std::ifstream file(thread.path() / "stat");
    std::string stat;
    if (!std::getline(file, stat)) continue;  // has ended
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || name_end + 2 >= stat.size()) std::abort();  // not as proc(5) says
    if (stat[name_end + 2] != 'S') return false;
  }
  return true;
}

/// Waits until all other threads have been seen asleep twice in a row: a thread on its way to sleep may wait for a page
/// or a lock on the way.
inline void wait_until_others_sleep() {
  for (int seen = 0; seen < 2;) {
    if (others_sleep()) {
      ++seen;
    } else {
      seen = 0;
      std::this_thread::yield();
    }
  }
}

}  // namespace pawl::bench
