#include "queue/task_queue.h"

#include <cstdio>
#include <cstdlib>

namespace pawl {

void queue_out_of_memory() noexcept {
  std::fputs("pawl: out of memory in a task queue; accepted tasks are in the journal\n", stderr);
  std::_Exit(70);
}

}  // namespace pawl
