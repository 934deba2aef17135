// A saturated engine between stages that do nothing, so that what is counted is the engine's.
//
// Producers submit without pause and the pipeline never runs dry. First every slot, stream and buffer is used at least
// once; then calls are counted while a given number of tasks retire, from one submit of the first producer to another.
// Order and completeness of what retires are checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <pawl/engine.h>

namespace pawl::locks {

enum class Way : std::uint8_t {
  one,      // try_submit() of one; again when full
  bulk,     // submit_bulk() of 64; again when full
  waiting,  // submit(), which sleeps when full
};

struct Load {
  std::size_t producers = 2;
  std::size_t streams = 64;  // drawn at random for each task; 0: each task is the only one of a stream of its own
  Way way = Way::one;
  std::uint64_t tasks = 1'000'000;  // at least so many retire while calls are counted
  void (*in_commit)() = nullptr;    // called once for each batch in the commit stage, if given
  std::uint32_t tasks_in_flight = 1024;
};

struct Ran {
  std::uint64_t tasks = 0;  // that retired while calls were counted
  double seconds = 0;       // that this took
  std::string fault;        // what was lost, doubled or out of order; empty: nothing
};

/// Runs the load; afterwards counted() holds what was called meanwhile.
[[nodiscard]] Ran run(const Load& load);

}  // namespace pawl::locks
