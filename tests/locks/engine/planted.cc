#include "planted.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace tbb::detail::r1 {
void call_itt_notify(int what, void* lock);
}

namespace pawl::locks {
namespace {

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
std::uint32_t word = 0;

struct Made {  // what has no static initializer
  Made() {
    ::pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    ::sem_init(&semaphore, 0, 0);
  }
  pthread_spinlock_t spin{};
  sem_t semaphore{};
} made;

void wait_for_the_past() noexcept {
  const timespec past{};
  ::pthread_mutex_lock(&mutex);
  ::pthread_cond_timedwait(&condition, &mutex, &past);
  ::pthread_mutex_unlock(&mutex);
}

void allocate_and_release() noexcept {
  void* volatile block = std::malloc(100);  // volatile: a pair that nobody sees may be left out
  std::free(block);
}

}  // namespace

void plant(Call call) noexcept {
  switch (call) {
    case Call::mutex:
      ::pthread_mutex_lock(&mutex);
      ::pthread_mutex_unlock(&mutex);
      break;
    case Call::rwlock:
      ::pthread_rwlock_rdlock(&rwlock);
      ::pthread_rwlock_unlock(&rwlock);
      break;
    case Call::spin:
      ::pthread_spin_lock(&made.spin);
      ::pthread_spin_unlock(&made.spin);
      break;
    case Call::condition_wait: wait_for_the_past(); break;
    case Call::condition_signal: ::pthread_cond_signal(&condition); break;
    case Call::semaphore: static_cast<void>(::sem_trywait(&made.semaphore)); break;
    case Call::futex_wait:  // the word is not 1: returns at once
      ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, nullptr, nullptr, 0);
      break;
    case Call::futex_wake: ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); break;
    case Call::yield: ::sched_yield(); break;
    case Call::allocate:
    case Call::release: allocate_and_release(); break;
    case Call::tbb_lock: tbb::detail::r1::call_itt_notify(2, &word); break;
  }
  word = 0;  // so that no call above is the function's last and returns to our caller
}

std::size_t plant_in_string(const std::string& text) {
  const std::string copy = text;
  return copy.size();
}

}  // namespace pawl::locks
