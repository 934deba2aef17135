#include <pawl/thread.h>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pawl {

void name_this_thread(const char* name) noexcept {
  char kept[16] = {};
  std::strncpy(kept, name, sizeof kept - 1);
  ::pthread_setname_np(::pthread_self(), kept);
}

void put_this_thread_behind() noexcept {
  constexpr int kBehind = 5;  // a third of the weight of an ordinary thread
  const auto self = static_cast<id_t>(::gettid());
  errno = 0;
  const int now = ::getpriority(PRIO_PROCESS, self);
  if (errno == 0) ::setpriority(PRIO_PROCESS, self, now + kBehind);  // refused or not, the work is done
}

}  // namespace pawl
